"""A language model that writes answers: piece by piece, and given up when nobody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.assistants.desk_fakes import WARRANTY, FakeModel

from tailorbird.assistants.service_desk.answering.composing import verify
from tailorbird.assistants.service_desk.answering.generating import ModelWriter, Scribe, prompt
from tailorbird.config import ModelSettings
from tailorbird.errors import WeightsError
from tailorbird.modeling import TextModel, build_model, save_model
from tailorbird.modeling.generation import Sampling, generate, stream
from tailorbird.testing import write_tiny_decoder
from tailorbird.tuning.tasks import TASKS
from tailorbird.tuning.tasks.dialogue import reply
from tailorbird.weights import resolve_backbone


def written(scribe: Scribe) -> list[str]:
    async def collect() -> list[str]:
        sentences = scribe.sentences("?", [WARRANTY], language="en")
        return [sentence async for sentence in sentences]

    return asyncio.run(collect())


def test_sentences_are_given_whole_however_they_are_cut() -> None:
    text = "It takes 3.5 days. Really! And then"
    assert written(Scribe(FakeModel(text))) == ["It takes 3.5 days.", "Really!", "And then"]
    assert written(Scribe(FakeModel(""))) == []


def test_a_sentence_is_given_before_the_next_is_written() -> None:
    go = threading.Event()

    class Waiting(FakeModel):
        def write(self, question: str, passages: object, /, *, language: str) -> Iterator[str]:
            yield "First. S"
            assert go.wait(10)
            yield "econd."

    async def look() -> tuple[str, str]:
        sentences = Scribe(Waiting("")).sentences("?", [], language="en")
        first = await anext(sentences)
        go.set()
        return first, await anext(sentences)

    assert asyncio.run(look()) == ("First.", "Second.")


def test_who_writes_too_long_is_stopped() -> None:
    times = iter([0.0, 1.0, 30.0, 31.0])
    scribe = Scribe(FakeModel("One. Two. Three."), max_s=20, clock=lambda: next(times))
    assert written(scribe) == ["One"]


def test_what_a_model_raises_arrives() -> None:
    class Failing(FakeModel):
        def write(self, question: str, passages: object, /, *, language: str) -> Iterator[str]:
            yield "One."
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        written(Scribe(Failing("")))


def test_documents_are_quoted_line_by_line_in_the_prompt() -> None:
    task, asked = prompt("How long?", [WARRANTY], "en")
    assert (task.role, asked.role, asked.content) == ("system", "user", "How long?")
    quoted = task.content.partition("[1] terms.md › Warranty › How long\n")[2].splitlines()
    assert quoted == [f"> {WARRANTY.text}"]
    assert prompt("?", [WARRANTY], "zh")[0].content.startswith("你是客服")


@pytest.fixture(scope="module")
def tiny_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def tiny_model(tiny_decoder: Path) -> TextModel:
    backbone = resolve_backbone(str(tiny_decoder), cache=tiny_decoder)
    return build_model(backbone, (), settings=ModelSettings(), spec=TASKS["dialogue"].spec)


def test_a_model_writes_what_it_would_answer_at_once(tiny_model: TextModel) -> None:
    pieces = list(
        ModelWriter(tiny_model, max_new_tokens=12).write("How long?", [WARRANTY], language="en")
    )
    messages = prompt("How long?", [WARRANTY], "en")
    assert len(pieces) > 1
    assert "".join(pieces).strip() == reply(tiny_model, [messages], max_new_tokens=12)[0]


def test_what_an_untaught_model_writes_is_not_believed(tiny_model: TextModel) -> None:
    sentences = written(Scribe(ModelWriter(tiny_model, max_new_tokens=30)))
    assert sentences
    assert [verify(sentence, [WARRANTY]) for sentence in sentences] == [None] * len(sentences)


def test_a_stream_gives_the_tokens_of_generate(tiny_model: TextModel) -> None:
    model, sampling = tiny_model, Sampling(temperature=1.0, seed=3)
    options = {"max_new_tokens": 9, "sampling": sampling}
    (whole,) = generate(model.backbone, model.head, [[2, 9, 11]], **options)  # type: ignore[arg-type]
    assert list(stream(model.backbone, model.head, [2, 9, 11], **options)) == whole  # type: ignore[arg-type]
    stopped = stream(model.backbone, model.head, [2, 9, 11], stop={whole[4]}, **options)  # type: ignore[arg-type]
    assert list(stopped) == whole[: whole.index(whole[4])]


def test_a_stream_that_is_closed_leaves_the_model_as_it_was(tiny_model: TextModel) -> None:
    tiny_model.train()
    tokens = stream(tiny_model.backbone, tiny_model.head, [2, 9], max_new_tokens=50)  # type: ignore[arg-type]
    next(tokens)
    assert not tiny_model.backbone.training
    tokens.close()
    assert tiny_model.backbone.training


def test_models_are_loaded_as_they_came_and_as_they_were_tuned(
    tiny_decoder: Path, tiny_model: TextModel, tiny_backbone: Path, tmp_path: Path
) -> None:
    untuned = ModelWriter.load(str(tiny_decoder), cache=tmp_path)
    assert untuned.languages == {"en"}
    (tmp_path / "tuned").mkdir()
    save_model(tiny_model, tmp_path / "tuned", backbone=tiny_decoder)
    tuned = ModelWriter.load(str(tmp_path / "tuned"), cache=tmp_path, languages=("zh",))
    assert tuned.languages == {"zh"}
    asked = ("How long?", [WARRANTY])
    texts = [
        list(ModelWriter(one.model, max_new_tokens=6).write(*asked, language="en"))
        for one in (untuned, tuned)
    ]
    assert texts[0] == texts[1] != []
    model = build_model(
        resolve_backbone(str(tiny_backbone), cache=tmp_path), ("a",), settings=ModelSettings()
    )
    other = tmp_path / "other"
    other.mkdir()
    save_model(model, other, backbone=tiny_backbone)
    with pytest.raises(WeightsError, match="is a model of the task"):
        ModelWriter.load(str(other), cache=tmp_path)


def test_families_that_know_chinese_write_it(tmp_path: Path) -> None:
    folder = write_tiny_decoder(tmp_path, "qwen3")
    assert ModelWriter.load(str(folder), cache=tmp_path).languages == {"en", "zh"}
