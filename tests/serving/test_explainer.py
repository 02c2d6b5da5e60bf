"""Reasons beside the answers: one at a time, remembered, and honest about what they lack."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tailorbird.bundle import Bundle
from tailorbird.errors import ConfigError, UnavailableError
from tailorbird.serving import explainer
from tailorbird.serving.explainer import (
    MAX_WAITING,
    Explainer,
    Reasons,
    Taught,
    reasons_of,
    rows_of,
)
from tailorbird.testing import KeywordPredictor

TEXT = "where is my parcel please"


def explain(served: Any, *texts: str, **wanted: str) -> list[Reasons]:
    async def ask() -> list[Reasons]:
        one = Explainer(lambda: served)
        try:
            return await asyncio.gather(*(one.explain(text, **wanted) for text in texts))
        finally:
            one.close()

    return asyncio.run(ask())


def test_words_of_the_question_are_weighed_and_near_rows_are_of_the_run(
    shop_bundle: Bundle,
) -> None:
    (found,) = explain(shop_bundle, TEXT)
    assert found.words is not None
    assert found.words.label == "parcel"
    assert [word.text for word in found.words.words] == TEXT.split()
    assert found.words.top(1)[0].text == "parcel"
    assert found.bundle == shop_bundle.id
    assert len(found.nearest) == 5
    assert found.nearest[0].label == "parcel"
    assert found.nearest[0].similarity >= found.nearest[-1].similarity
    assert "parcel" in found.nearest[0].text or "包裹" in found.nearest[0].text


def test_another_intent_is_asked_for_by_name_and_an_unknown_one_is_refused(
    shop_bundle: Bundle,
) -> None:
    (found,) = explain(shop_bundle, TEXT, intent="refund")
    assert found.words is not None
    assert found.words.label == "refund"
    assert {word.text: word.weight for word in found.words.words}["parcel"] < 0
    with pytest.raises(ConfigError, match="'parcels' is no intent"):
        explain(shop_bundle, TEXT, intent="parcels")


def test_a_text_is_explained_once_however_many_ask(
    shop_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(predictor: Any, text: str, **options: Any) -> Reasons:
        calls.append(text)
        return Reasons(predictor.id, None)

    monkeypatch.setattr(explainer, "reasons_of", counted)
    found = explain(shop_bundle, "hi", "hi", "hello", "hi")
    assert sorted(calls) == ["hello", "hi"]
    assert found[0] is found[1] is found[3]


def test_who_comes_when_too_many_wait_is_told_to_come_again(
    shop_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def slow(predictor: Any, text: str, **options: Any) -> Reasons:
        go.wait(10)
        return Reasons(predictor.id, None)

    async def ask() -> None:
        one = Explainer(lambda: shop_bundle)
        waiting = [asyncio.create_task(one.explain(str(n))) for n in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="8 texts are being explained"):
            await one.explain("one more")
        waiting[0].cancel()  # who goes away leaves the others alone
        go.set()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert all(isinstance(reasons, Reasons) for reasons in done[1:])
        assert await one.explain("one more") is await one.explain("one more")
        one.close()
        with pytest.raises(UnavailableError, match="closing"):
            await one.explain("after all")

    monkeypatch.setattr(explainer, "reasons_of", slow)
    asyncio.run(ask())


def test_answers_go_first() -> None:
    async def priority() -> int:
        one = Explainer(lambda: None)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            one._thread, lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        )

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert asyncio.run(priority()) >= max(before, explainer.LOWER_BY)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_without_the_extra_near_rows_are_told_and_what_to_install(
    shop_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("captum"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    found = reasons_of(shop_bundle, TEXT)
    assert found.words is None
    assert found.problem == "extra"
    assert "pip install 'tailorbird[explain]'" in found.sentence
    assert found.nearest


def test_what_was_not_tuned_here_says_that_it_cannot_be_explained() -> None:
    (found,) = explain(KeywordPredictor(), TEXT)
    assert (found.words, found.nearest, found.problem) == (None, (), "model")
    with pytest.raises(UnavailableError, match="no bundle is live"):
        explain(None, TEXT)


def test_rows_that_change_are_read_again_and_gone_ones_are_none(
    shop_bundle: Bundle, tmp_path: Path
) -> None:
    taught = Taught()
    file = rows_of(shop_bundle)
    assert file is not None
    whole = file.read_text(encoding="utf-8")
    try:
        assert taught.of(shop_bundle) is taught.of(shop_bundle)
        row = {"split": "train", "text": "my parcel, ada@example.com", "label": "parcel"}
        file.write_text(json.dumps(row) + "\n", encoding="utf-8")
        os.utime(file, (1, 1))
        (near,) = reasons_of(shop_bundle, TEXT, taught=taught).nearest
        assert near.text == "my parcel, [EMAIL]"
        file.rename(tmp_path / "away")
        assert reasons_of(shop_bundle, TEXT, taught=taught).nearest == ()
    finally:
        file.write_text(whole, encoding="utf-8")


def test_a_report_cannot_name_a_file_elsewhere(shop_bundle: Bundle) -> None:
    from dataclasses import replace

    assert rows_of(replace(shop_bundle, report={"run": {"name": "../../etc"}})) is None
    assert rows_of(replace(shop_bundle, report={})) is None
