"""Heads in closed form, retrieval, splits and newcomers, on features that are made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tailorbird.config import PersonaliseSettings
from tailorbird.errors import ConfigError
from tailorbird.modeling.adapters.own_rows import OwnRows, Retrieval
from tailorbird.personalise.candidates import Candidates, HeadAdapters
from tailorbird.personalise.heads import HeadPrior, Heads
from tailorbird.personalise.proving import make_candidates, prove
from tailorbird.personalise.splitting import UserRows, divide_by_user
from tailorbird.personalise.view import UNSEEN_MASS, View
from tailorbird.records import Example


def numbers(n_rows: int, *, shift: float = 0.0, seed: int = 0) -> View:
    generator = torch.Generator().manual_seed(seed)
    features = F.normalize(torch.randn(n_rows, 8, generator=generator).double(), dim=1)
    base = features[:, :1]
    truth = base[:, 0] + shift + 0.1 * torch.randn(n_rows, generator=generator).double()
    return View(features, base, np.arange(n_rows), truth)


def classes(n_rows: int, n_classes: int = 3, seed: int = 0) -> View:
    generator = torch.Generator().manual_seed(seed)
    features = F.normalize(torch.randn(n_rows, 8, generator=generator).double(), dim=1)
    base = (3 * features[:, :n_classes]).log_softmax(-1)
    truth = (features[:, :n_classes].argmax(1) + 1) % n_classes  # this user means the next class
    labels = tuple("abcdefgh"[:n_classes])
    return View(features, base, np.arange(n_rows), truth, labels, n_classes)


def test_a_head_of_numbers_is_ridge_regression_toward_the_shared_one() -> None:
    view, prior = numbers(30, shift=1.0), HeadPrior(taste=0.7, level=2.0)
    heads = Heads.over(view, range(30))
    design = torch.cat([0.7 * heads.centred(range(20)), torch.full((20, 1), 2.0)], 1).double()
    residual = view.truth[:20] - view.base[:20, 0]
    ridge = torch.linalg.solve(design.T @ design + torch.eye(9), design.T @ residual)
    asked = torch.cat([0.7 * heads.centred(range(20, 30)), torch.full((10, 1), 2.0)], 1).double()
    expected = view.base[20:, 0] + asked @ ridge
    found = heads.answer(heads.fit(range(20), prior), range(20, 30))[:, 0]
    assert torch.allclose(found, expected)


def test_answers_without_a_row_are_those_of_a_fit_without_it() -> None:
    view, prior = numbers(12), HeadPrior()
    heads = Heads.over(view, range(12))
    loo = heads.fit(range(12), prior, with_loo=True).loo[:, 0]
    for left in (0, 5, 11):
        fit = heads.fit([row for row in range(12) if row != left], prior)
        assert loo[left] == pytest.approx(heads.answer(fit, [left]).item())


def test_a_head_of_classes_is_at_its_optimum() -> None:
    view, prior = classes(40), HeadPrior(taste=1.0, level=0.5)
    heads = Heads.over(view, range(40))
    alpha = heads.fit(range(40), prior).alpha
    probs = heads.answer(heads.fit(range(40), prior), range(40)).exp()
    wanted = F.one_hot(view.truth, 3).double()
    assert torch.allclose(alpha, wanted - probs, atol=1e-5)  # the gradient of the whole loss is 0


def test_deltas_of_a_head_give_the_same_change() -> None:
    view, prior = classes(30), HeadPrior()
    heads = Heads.over(view, range(30))
    fit = heads.fit(range(20), prior)
    weight, bias = heads.deltas(fit)
    direct = view.features_of(range(20, 30)) @ weight.T + bias
    assert torch.allclose(direct, fit.change(heads.centred(range(20, 30))))


def test_newer_rows_count_more_with_a_half_life() -> None:
    view = numbers(40)
    view.truth[:20] -= 2.0  # what this user wants has changed
    heads = Heads.over(view, range(40))
    errors = [
        view.losses(heads.answer(heads.fit(range(30), prior), range(30, 40)), range(30, 40)).mean()
        for prior in (HeadPrior(level=1.0), HeadPrior(level=1.0, half_life=3.0))
    ]
    assert errors[1] < 0.5 * errors[0]


def test_robust_heads_do_not_mind_one_wild_row() -> None:
    view = numbers(30, shift=1.0)
    view.truth[3] = 50.0
    heads = Heads.over(view, range(30))
    errors = [
        view.losses(heads.answer(heads.fit(range(20), prior), range(20, 30)), range(20, 30)).mean()
        for prior in (HeadPrior(level=3.0), HeadPrior(level=3.0, is_robust=True))
    ]
    assert errors[1] < 0.4 < errors[0]


def test_own_rows_of_classes_mix_with_the_shared_answer() -> None:
    own = OwnRows(torch.eye(2), torch.tensor([1, 1]), torch.zeros(2), Retrieval(0.0, 2.0))
    probs = own.probs(torch.eye(2)[:1], torch.tensor([[0.8, 0.2]]).double())
    assert probs[0].tolist() == pytest.approx([0.4, 0.6])  # 2 rows of one mind, 2 of the other


def test_medians_snap_to_what_a_user_always_says() -> None:
    own = OwnRows(
        torch.eye(3), torch.full((3,), 5.0), torch.full((3,), 4.5), Retrieval(0.0, 0.3, "median")
    )
    assert own.numbers(torch.eye(3), torch.full((3,), 4.6).double()).tolist() == [5.0] * 3


def test_rows_are_divided_along_time_and_never_ahead() -> None:
    rows = [Example(str(k), user="a", time=f"2024-{12 - k:02d}") for k in range(10)]
    (one,) = divide_by_user(rows, PersonaliseSettings())
    assert [rows[row].time for row in one.train + one.validation + one.test] == sorted(
        row.time for row in rows
    )
    assert (len(one.train), len(one.validation), len(one.test)) == (5, 3, 2)


@pytest.mark.parametrize(("n_rows", "sizes"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1))])
def test_few_rows_train_first(n_rows: int, sizes: tuple[int, int, int]) -> None:
    (one,) = divide_by_user([Example("t", user="a")] * n_rows, PersonaliseSettings())
    assert (len(one.train), len(one.validation), len(one.test)) == sizes


def test_of_a_hundred_thousand_rows_the_newest_are_used_and_that_is_said() -> None:
    rows = [Example("t", user="a", time=f"{k:06d}") for k in range(100_000)]
    said: list[str] = []
    (one,) = divide_by_user(rows, PersonaliseSettings(), say=said.append)
    assert one.n_rows == 1000
    assert one.n_left_out == 99_000
    assert min(one.train) == 99_000
    assert "1 users have more than 1,000 rows; their newest are used" in said[0]


def test_a_part_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves a part empty"):
        divide_by_user([Example("t", user="a")], PersonaliseSettings(ratio=(1, 0, 1)))


def users_of(view: View, n_users: int, n_rows: int) -> list[UserRows]:
    found = []
    for user in range(n_users):
        rows = tuple(range(user * n_rows, (user + 1) * n_rows))
        half = n_rows // 2
        found.append(UserRows(str(user), rows[:half], rows[half:-2], rows[-2:]))
    return found


def test_a_user_with_one_row_and_one_with_one_class_are_no_trouble() -> None:
    view = classes(60)
    view.truth[:10] = 0  # the first user knows one class alone
    users = [*users_of(view, 5, 10), UserRows("new", (55,), (), ())]
    outcome = prove(make_candidates(view, users), users, PersonaliseSettings())
    assert outcome.users[-1].chosen == "none"
    assert outcome.users[-1].gain is None
    assert outcome.users[0].test_losses["adapter"] < outcome.users[0].test_losses["none"]


def test_a_class_that_only_one_user_has_can_be_learned_by_that_user_alone() -> None:
    view = classes(60)
    left = np.log1p(-UNSEEN_MASS)
    rare = torch.full((60, 1), np.log(UNSEEN_MASS)).double()
    base = torch.cat([view.base + left, rare], 1)
    truth = view.truth.clone()
    truth[:10] = 3
    wide = View(view.features, base, view.text_of, truth, ("a", "b", "c", "own"), 3)
    users = users_of(wide, 6, 10)
    heads = Heads.over(wide, range(60))
    adapters = HeadAdapters(heads, HeadPrior(level=3.0))
    candidates = Candidates(wide, adapters, Retrieval(0.0, 1.0), Retrieval(0.0, 1.0))
    own = candidates.answers(users[0], users[0].train, users[0].test)
    assert own["none"].exp()[:, 3].max() < 0.01
    assert own["retrieval"].exp()[:, 3].min() > 0.3
    assert own["adapter"].exp()[:, 3].min() > 0.3
    other = candidates.answers(users[1], users[1].train, users[1].test)
    assert other["adapter"].exp()[:, 3].max() < 0.01
