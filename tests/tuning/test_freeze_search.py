"""How many layers may stay frozen: none where it hurts, all but one where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings
from tailorbird.modeling import TextModel, build_model
from tailorbird.records import Example
from tailorbird.testing import write_tiny_backbone
from tailorbird.tuning import TuningPlan, plan_tuning
from tailorbird.tuning.freeze_search import (
    FreezeSearch,
    FreezeTrial,
    choose,
    next_depth,
    sample,
    why_not,
)
from tailorbird.tuning.tasks import encode_examples
from tailorbird.weights import resolve_backbone

N_LAYERS = 5
WORDS = {"parcel": "my parcel {}", "refund": "refund {}"}
TRAIN = [Example(t.format(i), label) for i in range(16) for label, t in WORDS.items()]
VALIDATION = [Example(t.format(f"x{i}"), label) for i in range(8) for label, t in WORDS.items()]
LETTERS = {"even": "aab", "odd": "abb"}  # of one length, and told apart by their letters alone
BLIND_TRAIN = [Example(text, label) for _ in range(16) for label, text in LETTERS.items()]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_backbone(tmp_path_factory.mktemp("tiny"), n_layers=N_LAYERS)


def make_search(
    tiny: Path,
    rows: tuple[list[Example], list[Example]],
    method: str = "full",
    change: Callable[[TextModel], None] = lambda model: None,
    stop: Callable[[], bool] = lambda: False,
    rate: float = 3e-3,
) -> FreezeSearch:
    torch.manual_seed(0)
    labels = sorted({row.label for row in rows[0]})
    settings = ModelSettings(dropout=0.0)
    model = build_model(resolve_backbone(str(tiny), cache=tiny), labels, settings=settings)
    change(model)

    def plan_for(n_frozen: int) -> TuningPlan:
        return plan_tuning(
            model,
            len(rows[0]),
            Settings(
                tuning=TuningSettings(
                    n_epochs=6, batch_size=8, learning_rate=rate, patience=1, dtype="float32"
                ),
                model=settings,
                method=MethodSettings(name=method, rank=2),
            ),
            frozen=(n_frozen, "tried"),
        )[0]

    train, validation = (encode_examples(model, part) for part in rows)
    return FreezeSearch(model, train, validation, plan_for, stop=stop)


@torch.no_grad()
def make_blind(model: TextModel) -> None:
    """All letters look the same until the word table, below every layer, is tuned."""
    words = model.backbone.get_parameter("words.weight")
    words.copy_(words[7].expand_as(words))


def test_where_the_labels_need_the_lowest_layers_none_is_frozen(tiny: Path) -> None:
    search = make_search(tiny, (BLIND_TRAIN, BLIND_TRAIN), change=make_blind, rate=1e-2)
    search = replace(search, starts_head=False)  # from features that are all alike
    trials = list(search.trials())
    assert [trial.n_frozen for trial in trials] == [0, 2, 1]
    assert [trial.score for trial in trials] == [1.0, 0.5, 0.5]
    n_frozen, reason = choose(trials, n_train=32, n_validation=32)
    assert n_frozen == 0
    assert reason == (
        "each layer frozen cost more than 0.005 on 32 training and 32 validation rows: "
        "0 → 1.000, 1 → 0.500, 2 → 0.500"
    )


@pytest.mark.parametrize("method", ["full", "lora", "bottleneck"])
def test_where_pretrained_features_tell_the_labels_all_but_one_are_frozen(
    method: str, tiny: Path
) -> None:
    trials = list(make_search(tiny, (TRAIN, VALIDATION), method).trials())
    assert [trial.n_frozen for trial in trials] == [0, 2, 3, 4]
    n_frozen, reason = choose(trials, n_train=32, n_validation=16)
    assert n_frozen == N_LAYERS - 1
    assert reason.startswith("the most within 0.005 of tuning all, for ")
    assert "tried on 32 training and 16 validation rows: 0 → 1.000, 2 → 1.000" in reason


def test_more_frozen_layers_need_less_memory(tiny: Path) -> None:
    trials = list(make_search(tiny, (TRAIN, VALIDATION)).trials())
    sizes = [trial.memory_bytes for trial in sorted(trials, key=lambda trial: trial.n_frozen)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.5 * sizes[0]
    n_of_a_layer = 4 * 32 * 33 + 2 * 32 * 64 + 32 + 64 + 4 * 32
    assert sizes[1] - sizes[2] > 3 * 4 * n_of_a_layer  # its gradients, AdamW's two, activations


def test_the_search_is_deterministic_and_leaves_everything_as_it_was(tiny: Path) -> None:
    search = make_search(tiny, (TRAIN, VALIDATION), "lora")
    before = {name: p.clone() for name, p in search.model.state_dict().items()}
    random = torch.get_rng_state()
    first, second = ([t.score for t in search.trials()] for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), random)
    after = search.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_known_trials_are_not_done_again_and_a_stop_ends_the_search(tiny: Path) -> None:
    known = [FreezeTrial(0, 1.0, 1.0, 1), FreezeTrial(2, 1.0, 1.0, 1)]
    search = make_search(tiny, (TRAIN, VALIDATION))
    assert [trial.n_frozen for trial in search.trials(known)] == [3, 4]
    n_asked = iter(range(1000))
    stopped = make_search(tiny, (TRAIN, VALIDATION), stop=lambda: next(n_asked) >= 30)
    assert [trial.n_frozen for trial in stopped.trials()] == [0]


def test_a_trial_is_short_but_has_enough_updates(tiny: Path) -> None:
    search = make_search(tiny, (TRAIN * 10, VALIDATION))
    assert search.plan(1).n_epochs == 3  # 40 updates an epoch, 100 wanted
    assert search.plan(1).settings.patience == 0
    assert make_search(tiny, (TRAIN * 100, VALIDATION)).plan(1).n_epochs == 2
    assert make_search(tiny, (TRAIN, VALIDATION)).plan(1).n_epochs == 6  # as set, though few


@pytest.mark.parametrize("most", range(12))
def test_bisection_finds_the_most_layers_in_few_trials(most: int) -> None:
    done: list[FreezeTrial] = []
    while (n_frozen := next_depth(done, 12)) is not None:
        done.append(FreezeTrial(n_frozen, 0.9 if n_frozen <= most else 0.8, 1.0, 1))
    assert choose(done, n_train=1, n_validation=1)[0] == most
    assert len(done) <= 5
    assert len({trial.n_frozen for trial in done}) == len(done)


def test_rows_are_drawn_at_random_and_the_same_each_time() -> None:
    drawn = sample(TRAIN, 10, seed=3)
    assert drawn == sample(TRAIN, 10, seed=3) != sample(TRAIN, 10, seed=4)
    assert len(drawn) == 10
    assert sample(TRAIN, 100, seed=3) == TRAIN


def test_there_is_nothing_to_search_where_no_layer_is_tuned(tiny: Path) -> None:
    model = make_search(tiny, (TRAIN, VALIDATION)).model
    assert why_not(model, MethodSettings(name="head")) == "method head tunes no layer"
    assert why_not(model, MethodSettings(name="lora")) == ""
