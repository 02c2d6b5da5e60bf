"""A tuned tagger fills slots that rules do not find; rules keep what is theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.assistants.desk_fakes import FakeService, visitor

from tailorbird.assistants.service_desk.answering.deciding import Attendant, Parts, Said
from tailorbird.assistants.service_desk.answering.phrases import ASK
from tailorbird.assistants.service_desk.answering.slots import Marked, read_slots
from tailorbird.assistants.service_desk.answering.tagging import TunedTagger
from tailorbird.assistants.service_desk.conversing.audit import row_of
from tailorbird.assistants.service_desk.conversing.explaining import explain
from tailorbird.config import ModelSettings
from tailorbird.errors import ConfigError
from tailorbird.modeling import build_model, save_model
from tailorbird.store import Workspace
from tailorbird.testing.tagger import write_colour_tagger
from tailorbird.weights import resolve_backbone

COLOURED = {"shipping": {"en": ["The {colour} one is on its way.", "It is on its way."]}}


@pytest.fixture(scope="module")
def folder(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("space") / "runs" / "20260314-colours"
    return write_colour_tagger(run, tiny_backbone, label="Colour")


class Fake:
    """Marks what it is told to."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.n_calls = 0

    def marks(self, texts: Sequence[str], /) -> list[list[Marked]]:
        self.n_calls += 1
        return [
            [
                Marked(slot, value, text.index(value), text.index(value) + len(value), 0.875)
                for slot, value in self.values.items()
                if value in text
            ]
            for text in texts
        ]


def test_a_tuned_tagger_marks_what_it_was_taught(folder: Path, tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        tagger = TunedTagger.open(str(folder), workspace)
    assert tagger.names == ("Colour",)
    red, none = tagger.marks(["where is the red parcel", "where is the parcel"])
    assert [(one.slot, one.value, one.start, one.end) for one in red] == [("Colour", "red", 13, 16)]
    assert 0.5 <= red[0].probability <= 1
    assert none == ()
    assert tagger.marks(["where is the red parcel"]) == [red]


def test_a_text_is_read_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace.open(tmp_path) as workspace:
        tagger = TunedTagger.open(str(folder / "model"), workspace)
    seen: list[str] = []
    real = tagger._marked
    monkeypatch.setattr(tagger, "_marked", lambda texts: seen.extend(texts) or real(texts))
    tagger.marks(["my red parcel"])
    tagger.marks(["my red parcel", "and the blue one", "my red parcel"])
    assert seen == ["my red parcel", "and the blue one"]


def test_a_run_of_the_workspace_is_named_by_its_name_or_the_end_of_it(folder: Path) -> None:
    with Workspace.open(folder.parent.parent) as workspace:
        for name in ("20260314-colours", "colours"):
            assert TunedTagger.open(name, workspace).names == ("Colour",)
        with pytest.raises(ConfigError, match=r"desk.slot_tagger = 'sizes': is no model"):
            TunedTagger.open("sizes", workspace)


def test_a_model_of_another_task_is_refused(tiny_backbone: Path, tmp_path: Path) -> None:
    backbone = resolve_backbone(str(tiny_backbone), cache=tiny_backbone)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings())
    save_model(model, tmp_path / "other", backbone=tiny_backbone)
    with (
        Workspace.open(tmp_path / "space") as workspace,
        pytest.raises(ConfigError, match="was tuned for the task single_label"),
    ):
        TunedTagger.open(str(tmp_path / "other"), workspace)


def test_rules_win_on_what_they_find() -> None:
    texts = ["order A12345 please", "the blue kettle one"]
    found = read_slots(texts, finder=Fake(order="blue kettle", colour="blue"))
    assert found.values == {"order": "A12345", "colour": "blue"}
    used = {mark["slot"]: mark["used"] for mark in found.marks}
    assert used == {"order": False, "colour": True}


def test_exact_formats_are_for_rules_alone() -> None:
    texts = ["write to ada at home dot example"]
    assert read_slots(texts, finder=Fake(email="ada at home dot example")).values == {}


def test_characters_of_a_rules_value_are_nobody_elses() -> None:
    found = read_slots(["order A12345"], finder=Fake(product="A12345", colour="order"))
    assert found.values == {"order": "A12345", "colour": "order"}


def test_marks_never_hold_the_value() -> None:
    (mark,) = read_slots(["a red one"], finder=Fake(colour="red")).marks
    assert mark == {"slot": "colour", "start": 2, "end": 5, "probability": 0.875, "used": True}


def test_a_template_is_filled_by_the_tagger_and_why_says_so() -> None:
    parts = Parts(templates=lambda: COLOURED, finder=Fake(colour="red"))
    attendant = Attendant(FakeService(), parts=parts)
    said = {
        asyncio.run(attendant.decide(visitor("where is my red parcel"), conversation=str(n))).text
        for n in range(20)
    }
    assert said == {"The red one is on its way.", "It is on its way."}
    decision = asyncio.run(attendant.decide(visitor("where is my red parcel")))
    (mark,) = decision.why["slot_marks"]
    assert (mark["slot"], mark["used"]) == ("colour", True)
    assert "red" not in str(decision.why["slot_marks"])
    told = explain(row_of(decision, text="where is my red parcel"))
    assert "A tagger filled the slot colour, 88% sure." in told


def test_what_was_asked_for_may_be_given_in_words_that_no_rule_knows() -> None:
    parts = Parts(
        templates=lambda: {"shipping": {"en": ["Sent on {date}."]}},
        finder=Fake(date="the day before Christmas"),
    )
    turns = [
        Said("visitor", "where is my parcel"),
        Said("assistant", ASK["date"]["en"]),
        Said("visitor", "the day before Christmas"),
    ]
    decision = asyncio.run(Attendant(FakeService(), parts=parts).decide(turns))
    assert decision.text == "Sent on the day before Christmas."


def test_a_tagger_that_fails_leaves_rules_alone() -> None:
    class Broken:
        def marks(self, texts: Sequence[str], /) -> list[list[Marked]]:
            raise RuntimeError("no memory")

    parts = Parts(templates=lambda: {"shipping": {"en": ["{order} is sent."]}}, finder=Broken())
    turns = visitor("where is my parcel, order A12345")
    decision = asyncio.run(Attendant(FakeService(), parts=parts).decide(turns))
    assert decision.text == "A12345 is sent."
