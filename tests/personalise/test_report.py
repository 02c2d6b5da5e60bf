"""The reason that a user reads for what they got is the one the gate had."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tailorbird.personalise.proving import Belief, Outcome, UserOutcome
from tailorbird.personalise.report import reason, why
from tailorbird.records import Interval

ALL = Outcome(
    users=[],
    loss_name="mae",
    losses={},
    accuracies={},
    gain=Interval(0.1, 0.0, 0.2),
    population={"adapter": {"mean": 0.25, "spread": 0.1}},
    chosen={},
    confidence=0.95,
    reference="adapter",
)
USER = UserOutcome(
    user="ada",
    n_train=6,
    n_validation=4,
    n_test=3,
    n_left_out=0,
    chosen="adapter",
    beliefs={"adapter": Belief(-0.1, 0.05, 0.6), "both": Belief(0.2, 0.1, 0.7)},
    test_losses={},
    gain=Interval(0.1, -0.1, 0.3),
)


@pytest.mark.parametrize(
    ("reference", "chosen", "key", "candidate"),
    [
        ("adapter", "adapter", "begun", "adapter"),
        ("adapter", "both", "won", "both"),
        ("adapter", "none", "spared", "adapter"),
        ("none", "none", "unsure", "both"),
        ("none", "both", "won", "both"),
    ],
)
def test_the_reason_names_what_the_gate_compared(
    reference: str, chosen: str, key: str, candidate: str
) -> None:
    found = why(replace(USER, chosen=chosen), replace(ALL, reference=reference))
    assert (found["key"], found["candidate"]) == (key, candidate)
    said = str(reason(found))
    assert 'lang="en"' in said
    assert 'lang="zh"' in said
    assert "{" not in said


def test_a_user_who_begins_with_what_helps_all_reads_what_all_gain() -> None:
    said = str(reason(why(USER, ALL)))
    assert "+0.250 a row" in said
    assert "−0.100 on this user&#39;s 4" in said or "−0.100 on this user's 4" in said


def test_a_user_without_validation_rows_is_told_so() -> None:
    found = why(replace(USER, beliefs={}, chosen="none", n_train=1), ALL)
    assert found == {"key": "no_validation", "n": 1}
