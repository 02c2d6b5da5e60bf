"""All series at once, window by window: what is usual, what rises, what has come down again.

`Detector.step` is the only way forward. The live watch calls it when a window has passed, a replay
in a loop; so both find the same, bit for bit. Letters: S series, H windows of history, D factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.opinion.watching import surges
from tailorbird.assistants.opinion.watching.baseline import Baseline, History, fit_baseline
from tailorbird.assistants.opinion.watching.seasons import Floats, n_slots, place_in_week
from tailorbird.assistants.opinion.watching.series import Key
from tailorbird.assistants.opinion.watching.settings import DAY_S, WatchSettings

_HOLE_MEAN = 7.0
"""No post at all where so many are usual: one window in a thousand, or the sources are down."""
_END_EVIDENCE = float(np.log(20.0))
"""The log ratio of "usual again" to "still up" that ends a rise."""
_STILL_UP = 0.75
"""Part of the way up, on the scale of ratios, from which a rise goes on. With 0.5 a series of one
post in two days took four days to come down, and a surge in that time was none of its own; with 1.0
a rise that slowly dies down would end at once."""
_LOOK_BACK_DAYS = 14
_MORE_ROWS = 64
_YOUNG_DAYS = 28
_N_LARGE = int(surges.LARGE.sum())
_MONDAY = 4
"""1970-01-05 was the first: day 4."""

End = Literal["", "down", "level"]


@dataclass(slots=True, eq=False)
class Rise:
    """A surge that was found, from its first window to its last."""

    key: Key
    start: int
    """Window in which it began, as the change point says."""
    found: int
    """Window in which the statistic reached the threshold."""
    last_up: int
    """Last window in which it was still up."""
    factor: float
    """Observed by expected, when it was found."""
    observed: int = 0
    expected: float = 0.0
    """Negative posts from start to `last_up`, and those that would be usual."""
    posts: int = 0
    """All posts in that time."""
    log_statistic: float = 0.0
    """The highest so far."""
    quiet: float = 0.0
    """Evidence that it is over, as a CUSUM."""
    log_further: Floats = field(default_factory=lambda: np.full((1, _N_LARGE), -np.inf))
    """(1, D) the statistic of a further surge, three times the level of this one or more."""
    idle: int = -1
    """Last window before which it had not been up for half a day."""
    end: End = ""
    """Why it is over: it came down, or it became what is usual; empty: it is not over."""

    @property
    def ratio(self) -> float:
        """How many times the usual."""
        return self.observed / max(self.expected, 1e-9)


@dataclass
class _Rows:
    """What is known of each series; rows are added as series begin."""

    n_windows: int
    n: int = 0
    keys: dict[Key, int] = field(default_factory=dict)
    first: list[int] = field(default_factory=list)
    """Window from which on a series teaches."""
    free: list[int] = field(default_factory=list)
    """Window from which on a new rise may begin: after the one before."""

    def __post_init__(self) -> None:
        """Make room for the first rows."""
        shape = (_MORE_ROWS, self.n_windows)
        self.negatives, self.others = np.zeros(shape), np.zeros(shape)
        self.expected = np.zeros(shape)
        self.teaches = np.zeros(shape, dtype=bool)
        self.log_m = np.full((_MORE_ROWS, len(surges.FACTORS)), -np.inf)

    def add(self, key: Key, window: int) -> int:
        """A row for a series that begins in *window*."""
        if self.n == len(self.negatives):
            for name in ("negatives", "others", "expected", "teaches"):
                grown = getattr(self, name)
                setattr(self, name, np.concatenate((grown, np.zeros_like(grown))))
            self.log_m = np.concatenate((self.log_m, np.full_like(self.log_m, -np.inf)))
        row = self.keys[key] = self.n
        self.first.append(window)
        self.free.append(window)
        self.n += 1
        return row


class Detector:
    """Finds rises in any number of series; holds all its state in memory."""

    def __init__(self, settings: WatchSettings) -> None:
        self.settings = settings
        self.log_threshold = float(np.log(settings.threshold))
        self.per_day = settings.windows_per_day
        self._near = max(self.per_day, 2)
        """Windows within which two rises of a series are one."""
        n = settings.history_days * self.per_day
        self.rows = _Rows(n)
        self.window: int | None = None
        """The last that was seen."""
        self.n_alarms = 0
        """How often the threshold was reached."""
        self._totals = np.full(n, -1.0)  # -1: not seen, or a hole
        self._numbers = np.arange(n, dtype=np.int64)
        self._places = np.zeros(n, dtype=np.int64)
        self._baseline: Baseline | None = None
        self._fitted = np.zeros(0, dtype=bool)
        self._last: dict[int, Rise] = {}

    def step(self, window: int, counts: Mapping[Key, tuple[int, int]], total: int) -> list[Rise]:
        """Take the counts of the next window; the rises that began, went on or ended in it.

        Args:
            window: its number, one more than the last.
            counts: (posts, negative posts) by series; series without posts may be left out.
            total: posts of all series, each once.
        """
        assert self.window is None or window == self.window + 1, (self.window, window)
        self.window = window
        if self._is_time_to_learn(window):
            self._learn(window)
        column = window % self.rows.n_windows
        self._numbers[column] = window
        at = np.array([window], dtype=np.int64)
        place = self._places[column] = place_in_week(at, self.settings.window_s)[0]
        for key in sorted(counts):
            if key not in self.rows.keys:
                self.rows.add(key, window)
        is_hole = self._is_hole(place, total)
        self._put(column, counts, is_hole=is_hole)
        self._totals[column] = -1.0 if is_hole else total
        if is_hole or self._baseline is None:
            return []
        return self._judge(column, place)

    def open_rises(self) -> list[Rise]:
        """Those that are not over."""
        return [rise for rise in self._last.values() if not rise.end]

    def expected(self, key: Key, window: int) -> float:
        """The usual number of negative posts of a window of the history, at its volume."""
        return float(self.rows.expected[self.rows.keys[key], window % self.rows.n_windows])

    def _is_time_to_learn(self, window: int) -> bool:
        """Each morning while a series is young, else on Mondays."""
        days, rest = divmod(window * self.settings.window_s, DAY_S)
        if rest >= self.settings.window_s or not self.rows.n:
            return False
        youngest = window - max(self.rows.first)
        return days % 7 == _MONDAY or youngest <= _YOUNG_DAYS * self.per_day

    def _is_hole(self, place: int, total: int) -> bool:
        usual = 0.0 if self._baseline is None else float(self._baseline.total[place])
        return not total and usual >= _HOLE_MEAN

    def _put(self, column: int, counts: Mapping[Key, tuple[int, int]], *, is_hole: bool) -> None:
        rows = self.rows
        for array in (rows.negatives, rows.others, rows.expected):
            array[:, column] = 0.0
        rows.teaches[:, column] = False
        for key, (posts, negatives) in counts.items():
            row = rows.keys[key]
            rows.negatives[row, column] = negatives
            rows.others[row, column] = posts - negatives
        rows.teaches[: rows.n, column] = not is_hole

    def _learn(self, window: int) -> None:
        """What is usual, anew, from the windows before."""
        rows = self.rows
        if not rows.n:
            return
        # The oldest first: blocks of neighbours stay blocks.
        order = np.roll(np.arange(rows.n_windows), -(window % rows.n_windows))
        order = order[self._numbers[order] >= min(rows.first)]
        order = order[self._totals[order] >= 0]
        if len(order) < self.settings.warm_up_days * self.per_day // 2:
            return
        n = rows.n
        first = np.array(rows.first)[:, None]
        numbers = self._numbers[order]
        history = History(
            windows=numbers,
            places=self._places[order],
            negatives=rows.negatives[:n, order],
            others=rows.others[:n, order],
            totals=self._totals[order],
            teaches=rows.teaches[:n, order] & (numbers >= first),
            window_s=self.settings.window_s,
        )
        self._baseline = fit_baseline(history)
        warm = self.settings.warm_up_days * self.per_day
        self._fitted = np.array([window - one >= warm for one in rows.first])

    def _judge(self, column: int, place: int) -> list[Rise]:
        """Advance the statistics of the series that have a baseline; rises that changed."""
        assert self._baseline is not None
        assert self.window is not None
        base, rows = self._baseline, self.rows
        n = len(self._fitted)
        negatives = rows.negatives[:n, column]
        mean = base.mean(place, rows.others[:n, column])
        rows.expected[:n, column] = mean
        ratios = surges.log_ratios(negatives, mean * base.margin, base.dispersion)
        rows.log_m[:n] = surges.advance(rows.log_m[:n], ratios)
        rows.log_m[:n][~self._fitted] = -np.inf
        statistics = surges.mixed(rows.log_m[:n])
        changed = []
        for row, rise in list(self._last.items()):
            if not rise.end:
                if self.window - rise.last_up > self._near // 2:
                    rise.idle = self.window
                self._follow(row, rise, float(statistics[row]))
                changed.append(rise)
            if not rise.end:
                changed += self._further(row, rise)
        for row in np.flatnonzero(statistics >= self.log_threshold).tolist():
            rise_before = self._last.get(row)
            if rise_before is not None and (not rise_before.end or rise_before in changed):
                continue
            found = self._found(row, float(statistics[row]))
            if found is not None:
                changed.append(found)
        return changed

    def _found(self, row: int, statistic: float) -> Rise | None:
        """A new rise, or the one before where it goes on; None where it has too few posts."""
        assert self.window is not None
        rows, end = self.rows, self.window + 1
        begin = max(rows.free[row], rows.first[row], end - _LOOK_BACK_DAYS * self.per_day)
        begin = max(begin, end - rows.n_windows)
        ratios = self._ratios(row, begin, end)
        best = int(np.argmax(rows.log_m[row]))
        start = begin + surges.start_of_rise(ratios[:, best])
        key = next(key for key, at in rows.keys.items() if at == row)
        rise = Rise(key, start, self.window, self.window, 1.0, log_statistic=statistic)
        self._count(row, rise)
        if rise.observed < self.settings.min_posts:
            return None
        self.n_alarms += 1
        rise.factor = max(1.5, rise.ratio)
        before = self._last.get(row)
        is_near = before is not None and start - before.last_up <= self._near
        if before is not None and is_near and before.end == "down":
            before.end, before.quiet, before.last_up = "", 0.0, self.window
            before.log_statistic = max(before.log_statistic, statistic)
            self._count(row, before)
            rise = before
        self._last[row] = rise
        self._mark(row, rise.start, end, teaches=False)
        return rise

    def _follow(self, row: int, rise: Rise, statistic: float) -> None:
        """Count one more window to an open rise; end it where that is over."""
        assert self.window is not None
        assert self._baseline is not None
        rows, window = self.rows, self.window
        column = window % rows.n_windows
        self._mark(row, window, window + 1, teaches=False)
        factor = max(1.5, float(rise.factor**_STILL_UP))
        mean, dispersion = rows.expected[row, column], self._baseline.dispersion[row]
        up = surges.log_ratio_at(rows.negatives[row, column], mean, dispersion, factor)
        rise.quiet = max(0.0, rise.quiet - up)
        if rise.quiet == 0.0:
            rise.last_up = window
            rise.log_statistic = max(rise.log_statistic, statistic)
            self._count(row, rise)
        if rise.quiet >= _END_EVIDENCE:
            rise.end = "down"
            self._mark(row, rise.last_up + 1, window + 1, teaches=True)
        elif window - rise.found >= self.settings.longest_days * self.per_day:
            rise.end = "level"
            rows.first[row] = rise.start
            self._fitted[row] = False  # until it has been learned
            self._mark(row, rise.start, window + 1, teaches=True)
        if rise.end:
            rows.log_m[row] = -np.inf
            rows.free[row] = rise.last_up + 1

    def _further(self, row: int, rise: Rise) -> list[Rise]:
        """A surge that begins while an open rise is hardly up any more, which ends before it.

        A rise that came slowly comes down slowly; what begins meanwhile is not to be missed. The
        test is that of any surge, with the level of the open rise as what is usual.
        """
        assert self.window is not None
        assert self._baseline is not None
        half = self._near // 2
        if self.window - rise.found < half or self.window - rise.idle > half:
            rise.log_further[:] = -np.inf
            return []
        level = max(rise.factor, rise.ratio) * self._baseline.margin[row]
        column = np.array([self.window % self.rows.n_windows])
        mean = self.rows.expected[row, column] * level
        dispersion = self._baseline.dispersion[[row]]
        ratios = surges.log_ratios(self.rows.negatives[row, column], mean, dispersion)
        rise.log_further = surges.advance(rise.log_further, ratios[:, surges.LARGE])
        statistic = float(surges.mixed(rise.log_further)[0])
        if statistic < self.log_threshold:
            return []
        rise.end = "down"
        rise.last_up = min(rise.last_up, self.window - 1)
        self._count(row, rise)
        self.rows.free[row] = rise.last_up + 1
        found = Rise(rise.key, self.window, self.window, self.window, 1.0, log_statistic=statistic)
        self._count(row, found)
        found.factor = max(1.5, found.ratio)
        self.n_alarms += 1
        self._last[row] = found
        return [found]

    def _count(self, row: int, rise: Rise) -> None:
        columns = self._columns(rise.start, rise.last_up + 1)
        rise.observed = int(self.rows.negatives[row, columns].sum())
        rise.posts = rise.observed + int(self.rows.others[row, columns].sum())
        rise.expected = float(self.rows.expected[row, columns].sum())

    def _ratios(self, row: int, begin: int, end: int) -> Floats:
        """(T, D) log ratios of the windows of one series, by the baseline of today."""
        assert self._baseline is not None
        columns, n = self._columns(begin, end), end - begin
        mean = self.rows.expected[row, columns] * self._baseline.margin[row]
        dispersion = np.full(n, self._baseline.dispersion[row])
        found = surges.log_ratios(self.rows.negatives[row, columns], mean, dispersion)
        return np.where(mean[:, None] > 0, found, 0.0)  # before the first baseline, and in holes

    def _mark(self, row: int, begin: int, end: int, *, teaches: bool) -> None:
        self.rows.teaches[row, self._columns(begin, end)] = teaches

    def _columns(self, begin: int, end: int) -> NDArray[np.int64]:
        return (
            np.arange(max(begin, end - self.rows.n_windows), end, dtype=np.int64)
            % self.rows.n_windows
        )


def n_places(window_s: int) -> int:
    """Windows of a week that have a factor of their own."""
    return 7 * n_slots(window_s)
