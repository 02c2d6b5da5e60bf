"""Who won something is served with just that: the probabilities that were measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tailorbird import api, personalising
from tailorbird.bundle import AdapterStore, registry
from tailorbird.bundle.personal import PersonalBundle, for_users
from tailorbird.errors import WeightsError
from tailorbird.modeling.adapters.mixed import ReadyAdapter, make_ready, mixed_outputs
from tailorbird.modeling.adapters.own_rows import without_rows
from tailorbird.personalise import giving
from tailorbird.personalise.candidates import CANDIDATES
from tailorbird.runs import load_examples
from tailorbird.store import Workspace

QUICK = ("tuning.dtype=float32", "evaluation.baselines=false", "evaluation.n_bootstrap=10")
Done = tuple[Workspace, personalising.Personalised, personalising.Kept]


def personalised(people: Any, folder: Path, workspace: Workspace, *more: str) -> Done:
    source = people.write_rows(folder / "rows.jsonl", people.opinions(6))
    settings = people.small_settings(folder, "single_label", *QUICK, *more)
    run = personalising.start_from(source, workspace, settings)
    found = personalising.go_on(run, workspace, settings)
    assert found is not None
    return workspace, found, personalising.keep(found, workspace)


@pytest.fixture(scope="module")
def classed(people: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("classed")
    with Workspace.open(folder / "space") as workspace:
        yield personalised(people, folder, workspace)


def ready_for(
    found: personalising.Personalised, served: PersonalBundle
) -> dict[str, tuple[str, ReadyAdapter]]:
    """Each user with one of the candidates by turns, as the service gets it from the store."""
    ready = {}
    for k, (rows, one) in enumerate(zip(found.users, found.outcome.users, strict=True)):
        name = CANDIDATES[k % 3]
        weights = giving.weights_of(found.shared, found.candidates, rows, replace(one, chosen=name))
        assert weights is not None
        assert (without_rows(weights)[1] is not None) == (name != "adapter")
        served.adapters.store.add(rows.user, weights)
        served.adapter_of(rows.user)
        served.adapters.wait()
        adapter = served.adapter_of(rows.user)
        assert adapter is not None
        assert adapter.hash == weights.hash
        ready[rows.user] = (name, adapter)
    return ready


def served_as_measured(done: Done) -> None:
    """Every user's probabilities, mixed with the others' and alone, are those of the proof."""
    workspace, found, kept = done
    served = for_users(workspace, api.current_bundle(workspace), limit_bytes=10**7)
    assert isinstance(served, PersonalBundle)
    assert served.id == kept.bundle
    ready = ready_for(found, served)
    examples = [row for rows in load_examples(found.run).values() for row in rows]
    asked = {user.user: user.known + user.test for user in found.users}
    order = [(user, row) for user in asked for row in asked[user]]
    order = order[::2] + order[1::2]  # users are mixed
    texts = [examples[row].text for _, row in order]
    adapters = [ready[user][1] for user, _ in order]
    (mixed,) = mixed_outputs(served.bundle.classifier, texts, adapters)
    rows_of = mixed.rows[torch.tensor(mixed.at).argsort()].double()
    predictions = served.predict_with(texts, adapters)
    for user in found.users:
        name, adapter = ready[user.user]
        at = [k for k, (owner, _) in enumerate(order) if owner == user.user]
        rows = [order[k][1] for k in at]
        answers = found.candidates.answers(user, user.known + user.test, rows)
        measured = answers[name].exp()
        given = (rows_of[at] / adapter.temperature).softmax(-1)
        assert (given - measured).abs().max() < 1e-5, name
        sure = [predictions[k].confidence for k in at]
        assert np.abs(np.array(sure) - measured.amax(1).numpy()).max() < 1e-5
        (alone,) = mixed_outputs(
            served.bundle.classifier, [texts[k] for k in at], [adapter] * len(at)
        )
        alone_rows = alone.rows[torch.tensor(alone.at).argsort()].double()
        assert (alone_rows - rows_of[at]).abs().max() < 1e-4
        shared = served.predict([texts[k] for k in at])
        base = answers["none"].exp().amax(1).numpy()
        assert np.abs(np.array([one.confidence for one in shared]) - base).max() < 1e-5
    served.close()


def test_what_is_served_is_what_was_measured(classed: Done) -> None:
    served_as_measured(classed)


def test_adapters_of_jobs_with_own_rows_are_served_as_measured(people: Any, tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "space") as workspace:
        more = ("personalise.adapter=lora", "method.rank=2", "tuning.learning_rate=0.01")
        served_as_measured(personalised(people, tmp_path, workspace, *more))


def test_the_run_is_a_bundle_that_is_live_with_the_adapters_of_its_users(classed: Done) -> None:
    workspace, found, kept = classed
    live = registry.live_bundle(workspace)
    assert live is not None
    assert (live.id, live.run) == (kept.bundle, found.run.name)
    assert kept.folder == workspace.adapters_path / live.id
    assert kept.n_users == sum(one.chosen != "none" for one in found.outcome.users) > 0
    report = api.current_bundle(workspace).report
    assert len(report["test_openings"]) == 1
    assert report["test"]["n_rows"] == 18
    assert found.run.status == "done"


def test_a_run_about_numbers_makes_no_bundle_and_keeps_its_adapters(
    people: Any, tmp_path: Path
) -> None:
    source = people.write_rows(tmp_path / "rows.jsonl", people.ratings(4))
    settings = people.small_settings(tmp_path)
    said: list[str] = []
    with Workspace.open(tmp_path / "space") as workspace:
        run = personalising.start_from(source, workspace, settings)
        found = personalising.go_on(run, workspace, settings)
        assert found is not None
        kept = personalising.keep(found, workspace, say=said.append)
        assert (kept.bundle, kept.folder) == ("", workspace.adapters_path / run.name)
        assert registry.live_bundle(workspace) is None
        with AdapterStore(kept.folder) as store:
            assert len(store) == kept.n_users > 0


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda w: replace(w, facts={}), "beside no temperature"),
        (
            lambda w: replace(w, tensors=w.tensors | {"rows.truth": w.tensors["rows.truth"] + 9}),
            "classes that the head lacks",
        ),
        (
            lambda w: replace(w, tensors=w.tensors | {"rows.features": torch.ones(15, 3)}),
            "other features",
        ),
    ],
)
def test_own_rows_that_do_not_fit_are_refused(damage: Any, said: str, classed: Done) -> None:
    _, found, _ = classed
    one = replace(found.outcome.users[0], chosen="retrieval")
    weights = giving.weights_of(found.shared, found.candidates, found.users[0], one)
    with pytest.raises(WeightsError, match=said):
        make_ready(found.shared.model, damage(weights))
