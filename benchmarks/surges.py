"""Surges of negative news: found, how soon, and how many alarms without a cause.

- Real headlines: 5,189 Chinese titles of listed companies (2017 to February 2019, labelled), and
  17,800 English ones of the Guardian (December 2017 to July 2020; a word list says which are
  negative), in 11 topics by key words. They have a day and no hour: that is drawn by the hours of
  CNBC's headlines. Windows are hours. Surges of known start are put into them: for 12 hours
  Poisson(size × (m + 0.5)) more negative posts an hour, m the mean of an hour, sizes 1, 2, 4 and
  8; each topic gets one about every 40 days, never within three days after an alarm of anyone
  on the untouched stream. `recall` is the share with an alarm from their first to their last hour;
  `delay_windows` the median number of hours until it, the first hour counted as 1.
- Quiet months: 30 for each of 12 series, simulated, after three months to learn from; all alarms in
  them are false. Their volume is log-normal and goes on from hour to hour, which no side assumes.
- Beside ours, a z-score of the count (over 7 days, over 28 days, over the same hour of 28 days) and
  river's ADWIN (on counts and on shares). Their threshold is chosen on other quiet months for the
  rate that ours is told to keep; ours is chosen on nothing. Of each peer the variant that finds
  most of the surges of this test is shown. Alarms within a day are one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.building import SCREEN
from benchmarks.surges_data import (
    HOUR_S,
    SURGE_WINDOWS,
    Counts,
    Stream,
    Surge,
    inject,
    quiet_stream,
    read_streams,
)
from tailorbird.assistants.opinion.watching import WatchSettings
from tailorbird.assistants.opinion.watching.detector import Detector
from tailorbird.assistants.opinion.watching.series import Key
from tailorbird.hardware import processor

SIZES = (1.0, 2.0, 4.0, 8.0)
MONTH = 30 * 24
LEARNING = 91 * 24
PAUSE = 24
"""Alarms of a series nearer than this are one."""
SPACING = 40 * 24
Alarms = list[list[int]]
"""By series, the windows with an alarm, those within a day of the one before left out."""
Method = Callable[[Stream], Alarms]


@dataclass(frozen=True, slots=True)
class Found:
    """What a method found."""

    recall: float
    delay_windows: float
    by_size: dict[float, tuple[float, float]]
    """Size → recall and median delay."""


def main() -> None:
    """Measure all; print."""
    options = _options()
    rng = np.random.default_rng(options.seed)
    rate = options.false_alarms
    begun_s = time.perf_counter()
    tuning = quiet_stream(LEARNING // 24 + options.months * 30, rng)
    quiet = quiet_stream(LEARNING // 24 + options.months * 30, rng)
    ways: dict[str, Method] = {
        "ours": lambda stream: by_ours(stream, rate),
        "from 1 post": lambda stream: by_ours(stream, rate, min_posts=1),
    }
    for name, days, same_hour in (("7 d", 7, False), ("28 d", 28, False), ("hour", 28, True)):
        scores = _scores(days, same_hour)
        limit = tuned_limit(scores(tuning), rate)
        ways[f"zscore {name}"] = _above(scores, limit)
    for name, is_share in (("count", False), ("share", True)):
        ways[f"adwin {name}"] = tuned_adwin(tuning, rate, is_share=is_share)
    streams = read_streams(options.data, rng)
    natural = [[way(stream) for way in ways.values()] for stream in streams]
    cases = []
    for _ in range(options.repeats):
        for stream, alarms in zip(streams, natural, strict=True):
            surges = placed(stream, alarms, rng)
            cases.append((inject(stream, surges, rng), surges))
    found = {name: judged(way, cases) for name, way in ways.items()}
    false = {name: way(quiet) for name, way in ways.items()}
    rates = {name: false_rate(alarms, options.months) for name, alarms in false.items()}
    for name, alarms in false.items():
        worst = max(false_rate([row], options.months) for row in alarms)
        SCREEN.print(f"{name}: the noisiest quiet series has {worst:.2f} alarms a month")
    show(found, rates, sum(len(surges) for _, surges in cases), time.perf_counter() - begun_s)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the two sets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--false-alarms", type=float, default=1.0, help="of each topic in 30 days")
    parser.add_argument("--months", type=int, default=30, help="quiet months of each series")
    parser.add_argument("--repeats", type=int, default=3, help="how often surges are placed anew")
    return parser.parse_args()


def by_ours(stream: Stream, rate: float, *, min_posts: int = 3) -> Alarms:
    """The windows in which the detector began a rise."""
    detector = Detector(
        WatchSettings(window_s=HOUR_S, false_alarms_per_topic_month=rate, min_posts=min_posts)
    )
    keys = [Key(topic=name) for name in stream.names]
    place = {key: k for k, key in enumerate(keys)}
    posts = (stream.negatives + stream.others).astype(int).tolist()
    negatives = stream.negatives.astype(int).tolist()
    totals = stream.totals.astype(int).tolist()
    alarms: Alarms = [[] for _ in keys]
    for t, total in enumerate(totals):
        counts = {key: (posts[k][t], negatives[k][t]) for k, key in enumerate(keys) if posts[k][t]}
        for rise in detector.step(stream.first + t, counts, total):
            if rise.found == stream.first + t:
                alarms[place[rise.key]].append(t)
    return alarms


def _scores(days: int, same_hour: bool) -> Callable[[Stream], Counts]:
    """(S, T) z-scores of counts against the windows before them."""
    step = 24 if same_hour else 1
    n = days * 24 // step

    def scores(stream: Stream) -> Counts:
        counts = stream.negatives
        usable = counts.shape[1] // step * step
        parts = counts[:, :usable].reshape(len(counts), -1, step)
        sums, squares = (_before(part, n) for part in (parts, parts**2))
        mean = sums / n
        deviation = np.sqrt(np.maximum(squares / n - mean**2, 1.0 / n))
        found = ((parts - mean) / deviation).reshape(len(counts), -1)
        return np.pad(found, ((0, 0), (0, counts.shape[1] - usable)), constant_values=-np.inf)

    return scores


def _before(parts: Counts, n: int) -> Counts:
    """Sum of the *n* values before each, along axis 1; what begins earlier counts as 0."""
    sums = np.cumsum(np.pad(parts, ((0, 0), (n + 1, 0), (0, 0))), axis=1)
    return np.asarray(sums[:, n:-1] - sums[:, : -n - 1])


def _above(scores: Callable[[Stream], Counts], limit: float) -> Method:
    return lambda stream: episodes(scores(stream) >= limit)


def episodes(is_alarm: NDArray[np.bool_]) -> Alarms:
    """The windows with an alarm, those within a day of an alarm before left out.

    >>> episodes(np.array([[True, True] + [False] * 30 + [True]]))
    [[0, 32]]
    """
    found: Alarms = []
    for row in is_alarm:
        last, kept = -PAUSE - 1, []
        for t in np.flatnonzero(row).tolist():
            if t - last > PAUSE:
                kept.append(t)
            last = t
        found.append(kept)
    return found


def tuned_limit(scores: Counts, rate: float) -> float:
    """The lowest limit with at most *rate* alarms a series and month, after the learning time."""
    n_months = (scores.shape[1] - LEARNING) / MONTH
    low, high = 0.0, 200.0
    for _ in range(40):
        middle = (low + high) / 2
        if false_rate(episodes(scores >= middle), n_months) > rate:
            low = middle
        else:
            high = middle
    return high


def tuned_adwin(stream: Stream, rate: float, *, is_share: bool) -> Method:
    """ADWIN with the largest delta that has at most *rate* alarms a series and month."""
    n_months = (stream.negatives.shape[1] - LEARNING) / MONTH
    low, high = -40.0, 0.0  # of the exponent
    for _ in range(10):
        delta = float(10 ** ((low + high) / 2))
        if false_rate(by_adwin(stream, delta, is_share=is_share), n_months) > rate:
            high = (low + high) / 2
        else:
            low = (low + high) / 2
    return lambda other: by_adwin(other, float(10**low), is_share=is_share)


def by_adwin(stream: Stream, delta: float, *, is_share: bool) -> Alarms:
    """The windows after which ADWIN says that the mean has become larger."""
    from river.drift import ADWIN

    rows = []
    for negatives, others in zip(stream.negatives, stream.others, strict=True):
        posts = negatives + others
        # It is made for values in [0, 1]; windows without posts have no share.
        values = negatives / np.maximum(posts, 1) if is_share else np.minimum(negatives / 20, 1.0)
        watch = ADWIN(delta=delta, clock=1, min_window_length=1)
        is_alarm = np.zeros(len(values), dtype=bool)
        for t, (value, n) in enumerate(zip(values.tolist(), posts.tolist(), strict=True)):
            if is_share and not n:
                continue
            before = watch.estimation
            watch.update(value)
            is_alarm[t] = watch.drift_detected and watch.estimation > before
        rows.append(is_alarm)
    return episodes(np.array(rows))


def false_rate(alarms: Alarms, n_months: float) -> float:
    """Alarms a series and month of a quiet stream, after the learning time."""
    return sum(t >= LEARNING for row in alarms for t in row) / len(alarms) / n_months


def placed(stream: Stream, natural: Sequence[Alarms], rng: np.random.Generator) -> list[Surge]:
    """Surges about every 40 days in each series, none soon after an alarm that is there anyway."""
    surges = []
    n = stream.negatives.shape[1]
    for series in range(len(stream.names)):
        taken = np.zeros(n, dtype=bool)
        for alarms in natural:
            for t in alarms[series]:
                taken[max(0, t - SURGE_WINDOWS) : t + 72] = True
        for begin in range(LEARNING, n - SPACING, SPACING):
            free = np.flatnonzero(~taken[begin : begin + SPACING - 10 * 24])
            if len(free):
                start = begin + int(rng.choice(free))
                surges.append(Surge(series, start, float(rng.choice(SIZES))))
    return surges


def judged(way: Method, cases: Sequence[tuple[Stream, list[Surge]]]) -> Found:
    """Which surges a method finds, and how soon."""
    delays: dict[float, list[float]] = {size: [] for size in SIZES}
    for stream, surges in cases:
        alarms = [np.array(row, dtype=int) for row in way(stream)]
        for one in surges:
            after = alarms[one.series] - one.start
            inside = after[(after >= 0) & (after < SURGE_WINDOWS)]
            delays[one.size].append(float(inside[0] + 1) if len(inside) else np.inf)
    every = [delay for some in delays.values() for delay in some]
    return Found(*_figures(every), {size: _figures(some) for size, some in delays.items()})


def _figures(delays: Sequence[float]) -> tuple[float, float]:
    """Recall, and the median delay of what was found."""
    found = [delay for delay in delays if np.isfinite(delay)]
    return len(found) / max(len(delays), 1), float(np.median(found)) if found else float("nan")


def show(found: dict[str, Found], rates: dict[str, float], n_surges: int, took_s: float) -> None:
    """The table, then one line of JSON."""
    sizes = [f"size {size:g}" for size in SIZES]
    title = f"{processor()['name']}: {n_surges} surges"
    table = Table("", "recall", "delay", "false alarms", *sizes, title=title)
    for name, one in found.items():
        cells = [f"{recall:.3f} · {delay:.1f}" for recall, delay in one.by_size.values()]
        facts = (f"{one.recall:.4f}", f"{one.delay_windows:.1f}", f"{rates[name]:.3f}")
        table.add_row(name, *facts, *cells)
    Console(width=120).print(table)
    figures: dict[str, object] = {}
    for side, suffix in (("ours", ""), ("zscore", "_zscore"), ("adwin", "_adwin")):
        name = max((name for name in found if name.startswith(side)), key=lambda k: found[k].recall)
        figures[f"recall{suffix}"] = round(found[name].recall, 4)
        figures[f"false_alarms_per_topic_month{suffix}"] = round(rates[name], 4)
        figures[f"delay_windows{suffix}"] = found[name].delay_windows
    by_size = {f"{size:g}": round(pair[0], 4) for size, pair in found["ours"].by_size.items()}
    figures |= {"recall_by_size": by_size, "n_surges": n_surges, "total_s": round(took_s, 1)}
    print(json.dumps(figures | {"processor": processor()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
