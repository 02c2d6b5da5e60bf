"""Token buckets: so much at once, so much a minute, and no memory without end."""

from __future__ import annotations

import pytest

from tailorbird.serving.limits import Buckets, caller_of


def test_a_minutes_worth_may_come_at_once_and_then_evenly() -> None:
    now = [0.0]
    buckets = Buckets(60, clock=lambda: now[0])
    assert [buckets.take("ada") for _ in range(60)] == [0.0] * 60
    assert buckets.take("ada") == pytest.approx(1.0)
    assert buckets.take("bo") == 0.0  # others have their own
    now[0] = 1.0
    assert buckets.take("ada") == 0.0
    assert buckets.take("ada") == pytest.approx(1.0)
    now[0] = 1000.0
    assert [buckets.take("ada") for _ in range(60)] == [0.0] * 60


def test_what_is_given_back_may_be_taken_again() -> None:
    buckets = Buckets(1, clock=lambda: 0.0)
    assert buckets.take("ada") == 0.0
    buckets.give_back("ada")
    buckets.give_back("ada")  # never more than there were
    assert buckets.take("ada") == 0.0
    assert buckets.take("ada") == 60.0


def test_nought_is_no_limit() -> None:
    buckets = Buckets(0, clock=lambda: 0.0)
    assert {buckets.take("ada") for _ in range(1000)} == {0.0}


def test_memory_is_bounded_and_keeps_who_asked_last() -> None:
    buckets = Buckets(1, clock=lambda: 0.0, max_names=2)
    for name in ("a", "b", "c"):
        buckets.take(name)
    assert [buckets.take(name) > 0 for name in ("c", "b")] == [True, True]
    assert buckets.take("a") == 0.0


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_an_address_is_a_house_not_a_room(address: str, caller: str) -> None:
    assert caller_of(address) == caller
