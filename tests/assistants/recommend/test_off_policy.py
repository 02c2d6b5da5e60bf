"""Estimates from simulated logs against the truth, which only a simulation knows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tailorbird.assistants.recommend.off_policy import (
    Decisions,
    Estimate,
    check_support,
    doubly_robust,
    effective_n,
    gain,
    ips,
    logged_value,
    snips,
)
from tailorbird.errors import DataError

Numbers = NDArray[np.float64]

N_CONTEXTS, N_ACTIONS = 6, 5
WORLD = np.random.default_rng(11)
RATES = WORLD.beta(2, 5, size=(N_CONTEXTS, N_ACTIONS))
"""How likely each action is answered, by context."""
LOGGING = WORLD.dirichlet(np.full(N_ACTIONS, 2.0), size=N_CONTEXTS) * 0.8 + 0.2 / N_ACTIONS
TARGET = np.eye(N_ACTIONS)[RATES.argmax(axis=1)]
"""The judged policy takes the best action of each context."""
TRUTH = float((TARGET * RATES).sum(axis=1).mean())
LOGGED_TRUTH = float((LOGGING * RATES).sum(axis=1).mean())

NO_MODEL = np.zeros_like(RATES)
Estimator = Callable[[Decisions], Estimate]


def simulate(
    seed: int,
    n: int = 1_500,
    *,
    model: Numbers = NO_MODEL,
    logging: Numbers = LOGGING,
    believed: Numbers | None = None,
) -> Decisions:
    """A log of *n* decisions; *believed* propensities stand in it, where they are not the true."""
    random = np.random.default_rng(seed)
    contexts = random.integers(N_CONTEXTS, size=n)
    edges = logging.cumsum(axis=1)[contexts]
    actions = (random.random((n, 1)) > edges).sum(axis=1).clip(max=N_ACTIONS - 1)
    rewards = (random.random(n) < RATES[contexts, actions]).astype(float)
    told = logging if believed is None else believed
    return Decisions(
        rewards,
        told[contexts, actions],
        TARGET[contexts, actions],
        model[contexts, actions],
        (TARGET * model).sum(axis=1)[contexts],
    )


@pytest.mark.parametrize("estimator", [ips, snips, doubly_robust])
def test_estimates_are_right_on_average_and_their_intervals_hold(estimator: Estimator) -> None:
    found = [estimator(simulate(seed)) for seed in range(200)]
    mean = np.mean([one.value for one in found])
    error_of_mean = np.std([one.value for one in found]) / np.sqrt(len(found))
    assert abs(mean - TRUTH) < 4 * error_of_mean
    held = np.mean([one.low <= TRUTH <= one.high for one in found])
    assert 0.91 <= held <= 0.985
    assert min(TRUTH, *(one.high for one in found)) > LOGGED_TRUTH


def test_the_logged_policy_is_no_estimate_of_the_other() -> None:
    found = [logged_value(simulate(seed)) for seed in range(50)]
    assert np.mean([one.low <= LOGGED_TRUTH <= one.high for one in found]) > 0.85
    assert np.mean([one.high < TRUTH for one in found]) > 0.9


def test_self_normalised_is_steadier_than_plain_weights() -> None:
    plain = np.std([ips(simulate(seed)).value for seed in range(200)])
    normal = np.std([snips(simulate(seed)).value for seed in range(200)])
    assert normal < plain


def test_doubly_robust_needs_only_one_of_the_two_to_be_right() -> None:
    wrong_model = np.full_like(RATES, 0.9)
    wrong_propensities = np.full_like(LOGGING, 1 / N_ACTIONS)

    def mean(**world: Numbers) -> tuple[float, float]:
        logs = [simulate(seed, **world) for seed in range(200)]  # type: ignore[arg-type]
        return (
            float(np.mean([doubly_robust(one).value for one in logs])),
            float(np.mean([ips(one).value for one in logs])),
        )

    robust, _ = mean(model=wrong_model)
    assert robust == pytest.approx(TRUTH, abs=0.005)
    robust, plain = mean(model=RATES, believed=wrong_propensities)
    assert robust == pytest.approx(TRUTH, abs=0.005)
    assert abs(plain - TRUTH) > 0.02
    robust, _ = mean(model=wrong_model, believed=wrong_propensities)
    assert abs(robust - TRUTH) > 0.02  # and not neither


def test_a_good_model_makes_the_interval_shorter() -> None:
    with_model, without = simulate(3, model=RATES), simulate(3)
    widths = [one.high - one.low for one in (doubly_robust(with_model), doubly_robust(without))]
    assert widths[0] < 0.9 * widths[1]


def test_the_gain_is_the_difference_of_both_policies() -> None:
    found = [gain(simulate(seed, model=RATES)) for seed in range(200)]
    wanted = TRUTH - LOGGED_TRUTH
    assert np.mean([one.value for one in found]) == pytest.approx(wanted, abs=0.003)
    assert 0.91 <= np.mean([one.low <= wanted <= one.high for one in found]) <= 0.985


def test_decisions_of_one_user_are_not_so_many_decisions() -> None:
    log = simulate(5, 400)
    parts = (log.rewards, log.logged, log.target, log.predicted, log.expected)
    copied = [np.repeat(part, 10) for part in parts]
    users = [f"u{n}" for n in range(400) for _ in range(10)]
    single, repeated = snips(log), snips(Decisions(*copied, users))
    assert repeated.value == pytest.approx(single.value)
    assert repeated.high - repeated.low == pytest.approx(single.high - single.low)


def test_support_is_said_to_be_enough_where_it_is() -> None:
    found = check_support(simulate(0))
    assert found.is_enough
    assert found.mean_weight == pytest.approx(1, abs=0.15)
    assert 50 < found.effective_n < 1_500


def test_what_the_log_could_never_show_is_found_by_the_weights_alone() -> None:
    best = RATES.argmax(axis=1)
    blind = LOGGING.copy()
    blind[:3, :] = np.where(np.arange(N_ACTIONS) == best[:3, None], 0.0, blind[:3, :])
    blind /= blind.sum(axis=1, keepdims=True)
    log = simulate(0, logging=blind)
    found = check_support(log)
    assert not found.is_enough
    assert found.covered == pytest.approx(0.5, abs=0.1)
    assert "could have been in the log" in found.problems[0]
    assert snips(log).high < TRUTH or ips(log).high < TRUTH  # the estimate would have misled


def test_wrong_propensities_and_too_little_are_said() -> None:
    halved = check_support(simulate(0, believed=LOGGING / 2))
    assert "the propensities are wrong" in halved.problems[0]
    few = check_support(simulate(0, 30))
    assert any("decisions that count" in problem for problem in few.problems)
    known = check_support(simulate(0), covered=0.4)
    assert known.problems == (
        "only 40 % of what the ranking would show could have been in the log",
    )


def test_what_cannot_be_a_log_is_refused() -> None:
    one = np.ones(1)
    with pytest.raises(DataError, match="at least one"):
        Decisions(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))
    with pytest.raises(DataError, match=r"not in \(0, 1\]"):
        Decisions(one, 0 * one, one, one, one)
    with pytest.raises(DataError, match="not finite"):
        Decisions(one * np.nan, one, one, one, one)
    with pytest.raises(DataError, match="would have shown nothing"):
        snips(Decisions(one, one, 0 * one, 0 * one, 0 * one))
    assert effective_n(np.zeros(3)) == 0.0
    assert ips(Decisions(one, one, one, 0 * one, 0 * one)).high == float("inf")
