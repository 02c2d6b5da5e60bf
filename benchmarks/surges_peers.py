"""The sides that `benchmarks.surges` compares with: z-scores and river's ADWIN.

Each has a threshold that is chosen on quiet months for a rate of false alarms: one for all topics,
by their mean, or one for each topic, by its own months.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.surges_data import Counts, Stream

MONTH = 30 * 24
LEARNING = 91 * 24
PAUSE = 24
"""Alarms of a series nearer than this are one."""
Alarms = list[list[int]]
"""By series, the windows with an alarm, those within a day of the one before left out."""
Method = Callable[[Stream], Alarms]
Scores = Callable[[Stream], Counts]
WINDOWS = {"7 d": (7, False), "28 d": (28, False), "hour": (28, True)}
"""Days, and whether of the same hour alone."""
KINDS = {"count": False, "share": True}
"""What ADWIN watches; whether that is a share."""


def peers(tuning: Stream, rate: float) -> dict[str, Method]:
    """Every variant with one threshold, whose mean rate on the series of *tuning* is *rate*."""
    ways: dict[str, Method] = {}
    for name, window in WINDOWS.items():
        scores = z_scores(*window)
        ways[f"zscore {name}"] = _above(scores, tuned_limit(scores(tuning), rate))
    for name, is_share in KINDS.items():
        ways[f"adwin {name}"] = tuned_adwin(tuning, rate, is_share=is_share)
    return ways


def peers_of_each(tunings: Sequence[Stream], rate: float) -> dict[str, Method]:
    """The same with a threshold for each series of *tunings*, which has at most *rate* there.

    They are of use on streams of the same names.
    """
    ways: dict[str, Method] = {}
    singles = [single(stream, name) for stream in tunings for name in stream.names]
    for name, window in WINDOWS.items():
        scores = z_scores(*window)
        limits = {one.names[0]: tuned_limit(scores(one), rate) for one in singles}
        ways[f"each zscore {name}"] = _above_of_each(scores, limits)
    for name, is_share in KINDS.items():
        by_name = {one.names[0]: tuned_adwin(one, rate, is_share=is_share) for one in singles}
        ways[f"each adwin {name}"] = _of_each(by_name)
    return ways


def single(stream: Stream, name: str) -> Stream:
    """One series of a stream."""
    k = stream.names.index(name)
    return Stream([name], stream.first, stream.negatives[[k]], stream.others[[k]])


def _above_of_each(scores: Scores, limits: dict[str, float]) -> Method:
    return lambda stream: episodes(
        scores(stream) >= np.array([limits[name] for name in stream.names])[:, None]
    )


def _of_each(ways: dict[str, Method]) -> Method:
    return lambda stream: [ways[name](single(stream, name))[0] for name in stream.names]


def z_scores(days: int, same_hour: bool) -> Scores:
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


def _above(scores: Scores, limit: float) -> Method:
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
