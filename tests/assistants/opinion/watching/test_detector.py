"""Surges after surges: what begins while an older rise lasts, and what began long ago."""

from __future__ import annotations

from collections.abc import Iterable

from tailorbird.assistants.opinion.watching.detector import Detector, Rise
from tailorbird.assistants.opinion.watching.series import Key
from tailorbird.assistants.opinion.watching.settings import WatchSettings

SAFETY = Key("safety")
DAY = 24
BEGIN = 70 * DAY


def rises(posts: Iterable[int], *, n_days: int) -> list[Rise]:
    """Those of a topic with a negative post every second day until BEGIN, then *posts* by hour."""
    extra: dict[int, int] = {}
    for hour in posts:
        extra[BEGIN + hour] = extra.get(BEGIN + hour, 0) + 1
    detector = Detector(WatchSettings())
    found: list[Rise] = []
    for t in range(BEGIN + n_days * DAY):
        n = (t % (2 * DAY) == 0 and t < BEGIN) + extra.get(t, 0)
        for rise in detector.step(96 + t, {SAFETY: (n, n)} if n else {}, 20):
            if rise not in found:
                found.append(rise)
    return found


SLOW = [4, 12, 20, 28, 36, 44]
"""A post each eight hours: six times the usual."""


def test_a_surge_while_an_older_rise_hardly_goes_on_is_one_of_its_own() -> None:
    surge = [70] * 6
    first, second = rises([*SLOW, *surge], n_days=5)
    assert (first.found, second.found) == (96 + BEGIN + 36, 96 + BEGIN + 70)
    assert first.end == "down"
    assert first.last_up < second.start
    assert second.observed == 6


def test_what_goes_on_as_it_began_is_no_further_surge() -> None:
    assert len(rises([8 * k for k in range(1, 18)], n_days=9)) == 1


def test_a_rise_that_began_a_week_before_it_was_found_is_not_the_usual_at_once() -> None:
    (rise,) = rises([*range(0, 169, 28), 170, 180, 190], n_days=9)
    assert rise.found - rise.start > 7 * DAY
    assert rise.end == ""
