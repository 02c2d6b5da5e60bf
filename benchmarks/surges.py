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
- The topics' own months: 30 for each of the 11 topics, days drawn anew among those of the same
  weekday. What really happened on a day is in them, too, so not every alarm there is false.
- Beside ours, a z-score of the count (over 7 days, over 28 days, over the same hour of 28 days) and
  river's ADWIN (on counts and on shares). Their threshold is chosen for the rate that ours is told
  to keep: once a common one, by the mean over other simulated series; and once ("each") one for
  every topic, by other months of its own, as the rate that is stated is one of every topic. Ours is
  chosen on nothing. Of each peer the variant that finds most of the surges of this test is in the
  line of JSON. Alarms within a day are one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.surges_data import (
    HOUR_S,
    SURGE_WINDOWS,
    Stream,
    Surge,
    inject,
    quiet_stream,
    read_streams,
    redrawn,
)
from benchmarks.surges_peers import (
    LEARNING,
    MONTH,
    Alarms,
    Method,
    false_rate,
    peers,
    peers_of_each,
)
from tailorbird.assistants.opinion.watching import WatchSettings
from tailorbird.assistants.opinion.watching.detector import Detector
from tailorbird.assistants.opinion.watching.series import Key
from tailorbird.hardware import processor

SIZES = (1.0, 2.0, 4.0, 8.0)
SPACING = 40 * 24


@dataclass(frozen=True, slots=True)
class Found:
    """What a method found."""

    recall: float
    delay_windows: float
    by_size: dict[float, tuple[float, float]]
    """Size → recall and median delay."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Alarms a series and month where nothing was put in: their mean, and the noisiest series'."""

    simulated: tuple[float, float]
    own: tuple[float, float]
    """In months of the topics' own days."""


def main() -> None:
    """Measure all; print."""
    options = _options()
    rng = np.random.default_rng(options.seed)
    rate = options.false_alarms
    begun_s = time.perf_counter()
    n_days = LEARNING // 24 + options.months * 30
    tuning, quiet = quiet_stream(n_days, rng), quiet_stream(n_days, rng)
    streams = read_streams(options.data, rng)
    drawing = np.random.default_rng([options.seed, 1])
    own_tuning, own = ([redrawn(one, n_days, drawing) for one in streams] for _ in range(2))
    ways: dict[str, Method] = {
        "ours": lambda stream: by_ours(stream, rate),
        "from 1 post": lambda stream: by_ours(stream, rate, min_posts=1),
    }
    ways |= peers(tuning, rate) | peers_of_each(own_tuning, rate)
    natural = [[way(stream) for way in ways.values()] for stream in streams]
    cases = []
    for _ in range(options.repeats):
        for stream, alarms in zip(streams, natural, strict=True):
            surges = placed(stream, alarms, rng)
            cases.append((inject(stream, surges, rng), surges))
    found = {name: judged(way, cases) for name, way in ways.items()}
    rates = {name: rates_of(name, way, quiet, own) for name, way in ways.items()}
    show(found, rates, sum(len(surges) for _, surges in cases), time.perf_counter() - begun_s)


def rates_of(name: str, way: Method, quiet: Stream, own: Sequence[Stream]) -> Rates:
    """How often a way raises without a surge; one with a threshold a topic knows no simulated."""
    none = (float("nan"), float("nan"))
    simulated = none if name.startswith("each") else _mean_and_worst(way, [quiet])
    return Rates(simulated, _mean_and_worst(way, own))


def _mean_and_worst(way: Method, streams: Sequence[Stream]) -> tuple[float, float]:
    each = []
    for stream in streams:
        n_months = (stream.negatives.shape[1] - LEARNING) / MONTH
        each += [false_rate([row], n_months) for row in way(stream)]
    return float(np.mean(each)), max(each)


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


def show(found: dict[str, Found], rates: dict[str, Rates], n_surges: int, took_s: float) -> None:
    """The table, then one line of JSON."""
    sizes = [f"size {size:g}" for size in SIZES]
    title = f"{processor()['name']}: {n_surges} surges; alarms a month in quiet: mean · noisiest"
    table = Table("", "recall", "delay", "simulated", "own days", *sizes, title=title)
    for name, one in found.items():
        cells = [f"{recall:.3f} · {delay:.1f}" for recall, delay in one.by_size.values()]
        quiet = [f"{mean:.2f} · {worst:.2f}" for mean, worst in _pairs(rates[name])]
        table.add_row(name, f"{one.recall:.4f}", f"{one.delay_windows:.1f}", *quiet, *cells)
    Console(width=140).print(table)
    figures: dict[str, object] = {}
    sides = {"ours": "", "zscore": "_zscore", "adwin": "_adwin"}
    sides |= {"each zscore": "_zscore_each", "each adwin": "_adwin_each"}
    for side, suffix in sides.items():
        name = max((name for name in found if name.startswith(side)), key=lambda k: found[k].recall)
        (simulated, _), (own, worst_own) = _pairs(rates[name])
        figures[f"recall{suffix}"] = round(found[name].recall, 4)
        figures[f"delay_windows{suffix}"] = found[name].delay_windows
        if not np.isnan(simulated):
            figures[f"false_alarms_per_topic_month{suffix}"] = round(simulated, 4)
        figures[f"alarms_on_own_days{suffix}"] = round(own, 4)
        figures[f"alarms_on_own_days_noisiest{suffix}"] = round(worst_own, 4)
    by_size = {f"{size:g}": round(pair[0], 4) for size, pair in found["ours"].by_size.items()}
    figures |= {"recall_by_size": by_size, "n_surges": n_surges, "total_s": round(took_s, 1)}
    print(json.dumps(figures | {"processor": processor()}, ensure_ascii=False))


def _pairs(rates: Rates) -> tuple[tuple[float, float], tuple[float, float]]:
    return rates.simulated, rates.own


if __name__ == "__main__":
    main()
