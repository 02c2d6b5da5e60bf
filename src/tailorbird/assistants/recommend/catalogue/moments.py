"""Moments to learn and to measure at: what a user had done before, what they liked afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailorbird.assistants.recommend.catalogue.log import MAX_PAST, Floats, Ints, Log, Past


@dataclass(frozen=True, slots=True)
class Moment:
    """One user at one time."""

    user: int
    now_s: float
    """Seconds since 1970; the past is before it, the targets are not."""
    past: Past
    """At most `MAX_PAST` events."""
    seen: Ints
    """Every item of the past, however long ago."""
    targets: Ints
    """Items that were liked from now on and are not among the seen."""


def moments_of(
    log: Log, since_s: float, until_s: float, *, shares: Floats | Sequence[float], min_past: int = 0
) -> list[Moment]:
    """Moments of each user who did something in [since_s, until_s).

    A share of 0.3 is the moment before which a user did three tenths of what they did in the
    window. Events of one second are never parted: they came as one page.

    Args:
        log: events, those after *until_s* are not looked at.
        since_s: begin of the window, seconds since 1970.
        until_s: its end; what was liked later is no target.
        shares: in [0, 1), a moment each; the same moment counts once.
        min_past: events that have to lie before a moment.
    """
    bounds, found = log.bounds, []
    for user in range(len(log.users)):
        mine = log.of(user, bounds)
        first, last = np.searchsorted(mine.time, [since_s, until_s])
        if first == last:
            continue
        cuts = first + (np.asarray(shares) * (last - first)).astype(int)
        # Back to the first event of that second.
        starts = np.unique(np.searchsorted(mine.time, mine.time[cuts], side="left"))
        for cut in starts[starts >= max(first, min_past)]:
            seen = np.unique(mine.item[:cut])
            after = mine.item[cut:last][mine.is_liked[cut:last]]
            targets = np.setdiff1d(after, seen)
            if len(targets):
                past = mine.at(slice(cut)).latest(MAX_PAST)
                found.append(Moment(user, float(mine.time[cut]), past, seen, targets))
    return found
