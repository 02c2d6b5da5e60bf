"""The gate: noise is not given to anybody, a clear gain is, and few rows lean on the population."""

from __future__ import annotations

import numpy as np
import pytest

from tailorbird.personalise.gate import (
    Gains,
    choose,
    choose_confidence,
    gain_intervals,
    gains_of,
    shrink,
    total_interval,
)


def chosen(rows: list[np.ndarray], confidence: float = 0.9) -> list[str]:
    gains = gains_of(rows)
    shrunk = shrink(gains)
    return choose({"adapter": shrunk}, gains.n_rows, confidence=confidence, none="none")


def noisy_users(n_users: int, n_rows: int, *, gain: float = 0.0, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [gain + rng.normal(size=n_rows) for _ in range(n_users)]


def test_users_with_five_rows_of_pure_noise_keep_the_shared_assistant() -> None:
    taken = [
        name != "none" for seed in range(20) for name in chosen(noisy_users(50, 5, seed=seed), 0.95)
    ]
    assert np.mean(taken) <= 0.05
    assert chosen([*noisy_users(50, 5, seed=1)], 0.95) == ["none"] * 50


def test_a_user_with_a_clear_gain_gets_it_among_users_without_one() -> None:
    rows = [*noisy_users(60, 5), 1.5 + np.random.default_rng(1).normal(size=60)]
    names = chosen(rows)
    assert names[-1] == "adapter"
    assert names[:60].count("adapter") <= 3


def test_a_user_whom_it_harms_does_not_get_what_helps_everybody_else() -> None:
    rows = [*noisy_users(60, 40, gain=0.8), -0.8 + np.random.default_rng(1).normal(size=60)]
    names = chosen(rows)
    assert names[-1] == "none"
    assert names[:60].count("adapter") >= 55


def test_few_rows_lean_on_the_population_and_many_on_themselves() -> None:
    others = noisy_users(40, 50, gain=1.0, seed=3)
    rng = np.random.default_rng(4)
    varied = [row + shift for row, shift in zip(others, rng.normal(size=40), strict=True)]
    shrunk = shrink(gains_of([*varied, np.array([-1.0, 0.0]), np.tile([-1.0, 0.0], 100)]))
    few, many = shrunk.mean[-2:]
    assert few > many + 0.1
    assert many == pytest.approx(-0.5, abs=0.05)


def test_the_posterior_is_the_formula_of_the_docstring() -> None:
    gains = Gains(np.array([2.0, -2.0, 0.0]), np.array([1.0, 1.0, 1.0]), np.array([4, 4, 4]))
    shrunk = shrink(gains)  # Σ g² / (1 + τ²) = 2, so τ² = 3; μ = 0; the user's weight is 3/4
    assert shrunk.population.between == pytest.approx(3.0)
    assert shrunk.mean.tolist() == pytest.approx([1.5, -1.5, 0.0])
    assert shrunk.sd[0] ** 2 == pytest.approx(3 / 4 + (1 / 4) ** 2 * 4 / 3)


def test_users_without_a_validation_row_keep_the_shared_assistant() -> None:
    assert chosen([*noisy_users(30, 40, gain=2.0), np.array([])])[-1] == "none"


def test_what_makes_no_difference_at_all_is_not_chosen() -> None:
    assert chosen([np.zeros(5)] * 3) == ["none"] * 3


def test_equal_gains_without_noise_are_certain() -> None:
    assert chosen([np.full(5, 0.1)] * 3) == ["adapter"] * 3


def test_nobody_has_rows() -> None:
    assert chosen([np.array([]), np.array([])]) == ["none", "none"]


def test_one_user_alone_is_judged_by_their_own_rows() -> None:
    assert chosen([1.0 + 0.1 * np.arange(20)]) == ["adapter"]
    assert chosen([np.tile([1.0, -1.0], 10)]) == ["none"]


def test_of_two_that_are_sure_the_larger_gain_wins() -> None:
    small, large = (shrink(gains_of(noisy_users(30, 50, gain=g))) for g in (0.5, 1.0))
    names = choose({"small": small, "large": large}, np.full(30, 50), confidence=0.9, none="none")
    assert names == ["large"] * 30


def test_intervals_cover_what_is_true_as_often_as_they_say() -> None:
    found = gain_intervals(noisy_users(2000, 6, gain=0.3))
    inside = np.mean([one is not None and one.low <= 0.3 <= one.high for one in found])
    assert 0.93 <= inside <= 0.97


def test_a_user_without_test_rows_has_no_interval() -> None:
    first, second = gain_intervals([np.array([]), np.array([1.0, 2.0])])
    assert first is None
    assert second is not None


def test_the_total_counts_users_not_rows_when_it_says_how_sure_it_is() -> None:
    shifts = np.random.default_rng(0).normal(size=20)
    total = total_interval([np.full(500, shift) for shift in shifts])
    by_user = 1.96 * shifts.std() / np.sqrt(20)
    assert total.high - total.low == pytest.approx(2 * by_user, rel=0.2)


def test_where_nobody_gains_the_gate_is_at_its_strictest() -> None:
    rows = {"adapter": noisy_users(100, 5, seed=2)}
    shrunk = {name: shrink(gains_of(one)) for name, one in rows.items()}
    assert choose_confidence(rows, shrunk) == pytest.approx(1 - 0.05 / 100)


def test_where_nobody_gains_hardly_anyone_leaves_by_chance() -> None:
    left = {"asked of all": 0, "asked of each": 0}
    for seed in range(40):
        rows = {"adapter": noisy_users(200, 8, seed=seed)}
        shrunk = {name: shrink(gains_of(one)) for name, one in rows.items()}
        for how, level in (
            ("asked of all", choose_confidence(rows, shrunk)),
            ("asked of each", 0.95),
        ):
            chosen = choose(shrunk, np.full(200, 8), confidence=level, none="none")
            left[how] += chosen.count("adapter")
    assert left["asked of each"] > 50
    assert left["asked of all"] == 0


def test_where_most_gain_a_little_the_gate_does_not_ask_for_certainty() -> None:
    rng = np.random.default_rng(0)
    rows = {"adapter": [0.3 + 0.3 * rng.normal() + rng.normal(size=2) for _ in range(400)]}
    shrunk = {name: shrink(gains_of(one)) for name, one in rows.items()}
    level = choose_confidence(rows, shrunk)
    assert level < 0.95
    gains = gains_of(rows["adapter"])
    lax, strict = (
        choose(shrunk, gains.n_rows, confidence=one, none="none").count("adapter")
        for one in (level, 0.95)
    )
    assert lax > strict


def test_a_row_does_not_choose_its_own_answer() -> None:
    rows = {"adapter": [np.array([gain]) for gain in np.tile([3.0, -3.0], 100)]}
    shrunk = {name: shrink(gains_of(one)) for name, one in rows.items()}
    # In sight of itself each row would seem sure.
    assert choose_confidence(rows, shrunk) == pytest.approx(1 - 0.05 / 200)
