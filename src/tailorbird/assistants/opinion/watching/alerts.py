"""An alert: what rose, since when, against what is usual, and the texts that explain it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tailorbird.assistants.opinion.watching.detector import Detector, Rise
from tailorbird.assistants.opinion.watching.posts import Posts
from tailorbird.assistants.opinion.watching.series import Key, Window, start_of
from tailorbird.assistants.opinion.watching.settings import DAY_S, WatchSettings
from tailorbird.assistants.opinion.watching.telling import Told, choose

LEVELS = ("notice", "warning", "critical")
_LEVEL_RATIO = (0.0, 2.0, 4.0)
_LEVEL_RARITY = (1.0, 12.0, 1200.0)
"""By so much must the statistic pass the threshold: at one false alarm a month, once in a year
would be a warning, once in a century critical."""
_N_POSTS = 300
_MOST = 1e12
"""A larger statistic says no more."""
_BEFORE = timedelta(days=28)
_COMMON = 0.3
"""Share of common posts from which on two alerts are of one cause."""
_NAMED = 0.5
"""The same of posts that name the same entity."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What `AlertRow` keeps, without what people did with it."""

    id: str
    created: datetime
    """End of the window in which it was found."""
    topic: str
    entity: str
    since: datetime
    until: datetime
    level: str
    is_over: bool
    story: dict[str, Any]
    group: str

    @property
    def key(self) -> Key:
        """Its series."""
        return Key(self.topic, self.entity)


def alert_id(key: Key, found: int, window_s: int) -> str:
    """The same for the same rise, however often it is looked for."""
    name = f"{key.topic}\0{key.entity}\0{found * window_s}"
    return hashlib.sha256(name.encode("utf-8", errors="replace")).hexdigest()[:32]


def level_of(rise: Rise, log_threshold: float) -> str:
    """The highest level that both its size and its rarity allow."""
    rarity = rise.log_statistic - log_threshold
    allowed = [
        name
        for name, ratio, factor in zip(LEVELS, _LEVEL_RATIO, _LEVEL_RARITY, strict=True)
        if rise.ratio >= ratio and rarity >= math.log(factor)
    ]
    return allowed[-1] if allowed else LEVELS[0]


@dataclass(slots=True)
class _Known:
    """An alert with what grouping needs of it."""

    alert: Alert
    ids: frozenset[str]
    """Of its newest negative posts."""
    named: str
    """The entity that most of them name; empty: none that half of them do."""


@dataclass(slots=True)
class Ledger:
    """Turns windows into alerts: the one path of the live watch and of a replay."""

    settings: WatchSettings
    posts: Posts
    detector: Detector = field(init=False)
    _known: dict[tuple[Key, int], _Known] = field(default_factory=dict, init=False)
    """By series and the window of the alarm."""
    _recent: list[_Known] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Begin without any history."""
        self.detector = Detector(self.settings)

    def step(self, number: int, window: Window) -> list[Alert]:
        """The alerts that are new, went on or ended in the next window."""
        changed = []
        for rise in self.detector.step(number, window.counts, window.total):
            before = self._known.get((rise.key, rise.found))
            if before is None or self._is_news(before.alert, rise):
                changed.append(self._tell(rise, before))
        return changed

    def _is_news(self, alert: Alert, rise: Rise) -> bool:
        """Whether there is more to say than that it is still up."""
        same = (
            alert.story["observed"] == rise.observed
            and alert.is_over == bool(rise.end)
            and alert.until == start_of(rise.last_up + 1, self.settings.window_s)
        )
        return not same

    def _tell(self, rise: Rise, before: _Known | None) -> Alert:
        window_s = self.settings.window_s
        since, until = (start_of(n, window_s) for n in (rise.start, rise.last_up + 1))
        level = level_of(rise, self.detector.log_threshold)
        if before is not None:
            level = max(level, before.alert.level, key=LEVELS.index)  # it never sinks
        told = before.alert.story if before is not None else {}
        is_new = before is None or level != before.alert.level or bool(rise.end)
        texts = self.posts.negatives(rise.key, since, until, _N_POSTS) if is_new else []
        story = self._numbers(rise) | {
            key: told[key] for key in ("texts", "posts", "words", "entities") if key in told
        }
        if is_new:
            story |= self._texts(rise.key, since, texts)
        alert = Alert(
            id=alert_id(rise.key, rise.found, window_s),
            created=start_of(rise.found + 1, window_s),
            topic=rise.key.topic,
            entity=rise.key.entity,
            since=since,
            until=until,
            level=level,
            is_over=bool(rise.end),
            story=story,
            group="" if before is None else before.alert.group,
        )
        if before is not None:
            before.alert = alert
            return alert
        known = _Known(alert, frozenset(one.id for one in texts), _named(texts))
        known.alert = replace(alert, group=self._group(known))
        self._known[rise.key, rise.found] = known
        self._recent.append(known)
        return known.alert

    def _numbers(self, rise: Rise) -> dict[str, Any]:
        return {
            "observed": rise.observed,
            "expected": round(rise.expected, 2),
            "ratio": round(rise.ratio, 1),
            "n_posts": rise.posts,
            "statistic": round(min(math.exp(min(rise.log_statistic, 50.0)), _MOST), 1),
            "threshold": self.settings.threshold,
            "window_s": self.settings.window_s,
            "end": rise.end,
        }

    def _texts(self, key: Key, since: datetime, texts: list[Told]) -> dict[str, Any]:
        before = self.posts.negatives(key, since - _BEFORE, since, _N_POSTS)
        chosen, words = choose(texts, before, self.settings.n_texts)
        counts: dict[str, int] = {}
        for one in texts:
            for name in one.entities:
                counts[name] = counts.get(name, 0) + 1
        named = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
        return {
            "texts": [
                {
                    "id": one.id,
                    "title": one.title or one.text[:80],
                    "url": one.url,
                    "time": one.time.isoformat(),
                }
                for one in chosen
            ],
            "posts": [one.id for one in chosen],
            "words": words,
            "entities": {name: n for name, n in named if name != key.entity},
        }

    def _group(self, known: _Known) -> str:
        """The group of the nearest alert of the same time that tells of the same."""
        near = timedelta(seconds=DAY_S)
        alert = known.alert
        self._recent = [
            one
            for one in self._recent
            if not one.alert.is_over or one.alert.until + near >= alert.since
        ]
        for other in reversed(self._recent):
            texts = self.posts.negatives(other.alert.key, other.alert.since, alert.until, _N_POSTS)
            ids = frozenset(one.id for one in texts)
            least = min(len(ids), len(known.ids))
            is_shared = bool(least) and len(ids & known.ids) >= _COMMON * least
            if is_shared or (known.named and known.named == _named(texts)):
                return other.alert.group
        return alert.id


def _named(texts: list[Told]) -> str:
    """The entity that at least half of the texts name; the commonest of those."""
    counts: dict[str, int] = {}
    for one in texts:
        for name in one.entities:
            counts[name] = counts.get(name, 0) + 1
    most = max(sorted(counts), key=lambda name: counts[name], default="")
    return most if most and counts[most] >= _NAMED * len(texts) else ""
