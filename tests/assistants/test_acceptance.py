"""What chooses among variants: votes, and where there are enough a model that beat them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.assistants.desk_fakes import FakeService, visitor
from typer.testing import CliRunner

from tailorbird.assistants.service_desk.answering.accept_tuning import (
    MIN_VOTES,
    part,
    tune_acceptance,
)
from tailorbird.assistants.service_desk.answering.acceptance import (
    Acceptance,
    KeptAcceptance,
    folder_of,
)
from tailorbird.assistants.service_desk.answering.deciding import Attendant, Parts
from tailorbird.assistants.service_desk.answering.judged import Judged, judged_replies
from tailorbird.assistants.service_desk.answering.variants import (
    Judgement,
    choose_variant,
    variant_key,
)
from tailorbird.cli import app
from tailorbird.config import ModelSettings, Settings, TuningSettings
from tailorbird.errors import DataError
from tailorbird.store import Workspace
from tailorbird.store.tables import DecisionRow, DraftRow
from tailorbird.weights import BackboneFolder, resolve_backbone

START = datetime(2026, 9, 1, tzinfo=UTC)
SHORT, LONG = "5 days", "we are so sorry to hear it"
KEYS = {SHORT: variant_key(SHORT), LONG: variant_key(LONG)}
SETTINGS = Settings(
    model=ModelSettings(dropout=0.0, encoder_dropout=0.0),
    tuning=TuningSettings(
        dtype="float32", n_epochs=8, batch_size=16, learning_rate=3e-3, patience=0
    ),
)


def votes(n: int = 300, *, noise: float = 0.05, depends: bool = True) -> list[Judged]:
    """Who asks "zzz" likes the short reply, who asks "qqq" the long one; so votes alone differ
    in nothing."""
    draw = random.Random(0)
    made = []
    for k in range(n):
        asked, reply = draw.choice(("zzz", "qqq")), draw.choice((SHORT, LONG))
        fits = (asked == "zzz") == (reply == SHORT) if depends else draw.random() < 0.5
        is_accepted = fits if draw.random() >= noise else not fits
        made.append(
            Judged(f"{asked} {k}", reply, is_accepted, START + timedelta(k), "refund", KEYS[reply])
        )
    return made


@pytest.fixture(scope="module")
def backbone(tiny_backbone: Path) -> BackboneFolder:
    return resolve_backbone(str(tiny_backbone), cache=tiny_backbone)


@pytest.fixture(scope="module")
def tuned(backbone: BackboneFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("space") / "encoders" / "acceptance"
    said: list[str] = []
    gain = tune_acceptance(votes(), backbone, folder, settings=SETTINGS, say=said.append)
    assert gain.wins, str(gain)
    assert gain.likelihood.candidate > gain.likelihood.current + 0.2
    assert gain.right.candidate > 0.65
    assert gain.n_held == 60
    assert said[-1].endswith("; kept")
    return folder


def test_what_reads_the_question_foretells_what_votes_cannot(tuned: Path) -> None:
    model = Acceptance.load(tuned)
    assert model.intents == {"refund"}
    rates = dict.fromkeys(KEYS.values(), 0.5)
    replies = {key: text for text, key in KEYS.items()}
    short = model.probabilities("zzz 7000", replies, rates)
    long = model.probabilities("qqq 7000", replies, rates)
    assert short[KEYS[SHORT]] > 0.6 > 0.4 > short[KEYS[LONG]]
    assert long[KEYS[LONG]] > 0.6 > 0.4 > long[KEYS[SHORT]]


def test_where_the_question_says_nothing_the_votes_stay(
    backbone: BackboneFolder, tmp_path: Path
) -> None:
    rows = votes(depends=False)
    quick = replace(SETTINGS, tuning=replace(SETTINGS.tuning, n_epochs=1))
    gain = tune_acceptance(rows, backbone, tmp_path / "model", settings=quick)
    assert not gain.wins
    assert str(gain).endswith("not kept: no better than the votes alone")
    assert not (tmp_path / "model").exists()


def test_too_few_votes_tune_nothing(backbone: BackboneFolder, tmp_path: Path) -> None:
    few = votes(MIN_VOTES - 1)
    with pytest.raises(DataError, match=r"199 votes on templates, .* are too few"):
        tune_acceptance(few, backbone, tmp_path / "model")
    with pytest.raises(DataError, match="300 of them up"):
        part([replace(row, is_accepted=True) for row in votes()])


def test_held_out_questions_are_seen_by_nobody() -> None:
    rows = votes()
    extra = replace(rows[0], reply="something else", variant="")
    parts = part([*rows, extra])
    asked = [{row.question for row in some} for some in (parts.train, parts.validation, parts.held)]
    assert not asked[0] & asked[1]
    assert not asked[0] & asked[2]
    assert not asked[1] & asked[2]
    assert all(row.variant for row in (*parts.validation, *parts.held))
    assert len(parts.held) == len(rows) // 5


def test_a_judgement_chooses_by_the_question_and_near_ones_are_equal() -> None:
    def chosen(short: float, long: float) -> set[str]:
        judgement = Judgement({KEYS[SHORT]: short, KEYS[LONG]: long})
        found = [
            choose_variant([SHORT, LONG], {}, conversation=str(n), votes=judgement)
            for n in range(30)
        ]
        assert all(one is not None and one.by == "model" for one in found)
        return {one.text for one in found if one is not None}

    assert chosen(0.8, 0.7) == {SHORT}
    assert chosen(0.2, 0.7) == {LONG}
    assert chosen(0.70, 0.69) == {SHORT, LONG}


def test_the_kept_model_is_followed_and_a_damaged_one_leaves_the_votes(
    tuned: Path, tmp_path: Path
) -> None:
    with Workspace.open(tmp_path) as workspace:
        kept = KeptAcceptance(workspace)
        assert not kept.knows("refund")
        folder_of(workspace).parent.mkdir()
        folder_of(workspace).symlink_to(tuned)
        assert kept.knows("refund")
        assert not kept.knows("shipping")
        replies = {key: text for text, key in KEYS.items()}
        assert kept.probabilities("zzz 1", replies, {})[KEYS[SHORT]] > 0.5
        folder_of(workspace).unlink()
        folder_of(workspace).mkdir()
        (folder_of(workspace) / "acceptance.json").write_text('{"intents": ["refund"]}', "utf-8")
        assert kept.knows("refund")
        assert kept.probabilities("zzz 1", replies, {}) == {}


class Reader:
    """Likes the long one where somebody asks why."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def knows(self, intent: str, /) -> bool:
        return intent == "refund"

    def probabilities(
        self, question: str, replies: Mapping[str, str], rates: Mapping[str, float], /
    ) -> dict[str, float]:
        self.asked.append(question)
        assert rates == dict.fromkeys(replies, 0.5)
        likes = LONG if "why" in question else SHORT
        return {key: 0.9 if text == likes else 0.2 for key, text in replies.items()}


def test_the_desk_lets_the_model_choose_where_it_knows_the_intent() -> None:
    reader = Reader()
    templates = {"refund": {"en": [SHORT, LONG]}, "greeting": {"en": ["Hello!", "Hi!"]}}
    attendant = Attendant(
        FakeService(), parts=Parts(templates=lambda: templates, acceptance=reader)
    )
    for text, wanted in (
        ("why do I get no refund this week", LONG),
        ("on which day do I get my refund", SHORT),
    ):
        decision = asyncio.run(attendant.decide(visitor(text)))
        assert decision.text == wanted
        template = decision.why["template"]
        assert (template["by"], template["rate"], template["n_equal"]) == ("model", 0.9, 1)
    greeting = asyncio.run(attendant.decide(visitor("hello you there")))
    assert greeting.why["template"]["by"] == "votes"
    assert len(reader.asked) == 2


def decision(text: str, answer: str, number: int, **more: object) -> DecisionRow:
    values: dict[str, object] = {"kind": "template", "intent": "refund", **more}
    return DecisionRow(
        time=START + timedelta(seconds=number),
        text=text,
        answer=answer,
        **values,  # type: ignore[arg-type]
    )


def test_thumbs_corrections_and_drafts_are_judgements(tmp_path: Path) -> None:
    voted = {"template": {"variant": "k1"}}
    with Workspace.open(tmp_path) as workspace:
        with workspace.writing() as session:
            session.add(decision("a", "yes", 1, feedback=1.0, why=voted))
            session.add(decision("b", "no", 2, feedback=-1.0, why=voted))
            session.add(decision("c", "wrong", 3, correction="right"))
            session.add(decision("d", "which order?", 4, feedback=1.0, why={"slot": "order"}))
            session.add(decision("e", "unknown", 5, kind="refusal", feedback=-1.0))
            session.add(decision("f", "neither", 6, feedback=0.0, why=voted))
            for status, number in (("accepted", 7), ("rejected", 8), ("new", 9)):
                session.add(
                    DraftRow(
                        question=status,
                        answer="so",
                        status=status,
                        created=START + timedelta(seconds=number),
                    )
                )
        found = judged_replies(workspace)
    assert [(row.question, row.reply, row.is_accepted, row.variant) for row in found] == [
        ("a", "yes", True, "k1"),
        ("b", "no", False, "k1"),
        ("c", "right", True, ""),
        ("c", "wrong", False, ""),
        ("accepted", "so", True, ""),
        ("rejected", "so", False, ""),
    ]


def test_the_verb_tunes_from_the_workspace_and_says_what_it_found(
    tmp_path: Path, tiny_backbone: Path
) -> None:
    place = ["--workspace", str(tmp_path), "--backbone", str(tiny_backbone)]
    few = CliRunner().invoke(app, ["knowledge", "tune-replies", *place])
    assert isinstance(few.exception, DataError)
    with Workspace.open(tmp_path) as workspace, workspace.writing() as session:
        for k, row in enumerate(votes()):
            feedback = 1.0 if row.is_accepted else -1.0
            why = {"template": {"variant": row.variant}}
            session.add(decision(row.question, row.reply, k, feedback=feedback, why=why))
    given = [
        f"--set=tuning.{one}"
        for one in ("n_epochs=8", "batch_size=16", "learning_rate=3e-3", "patience=0")
    ]
    done = CliRunner().invoke(app, ["knowledge", "tune-replies", *place, *given, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["is_kept"]
    assert said["intents"] == ["refund"]
    with Workspace.open(tmp_path) as workspace:
        assert KeptAcceptance(workspace).knows("refund")
