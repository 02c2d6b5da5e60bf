"""Users in requests: each is answered by the adapter that was theirs when they asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi.testclient import TestClient

from tailorbird.config import ServingSettings
from tailorbird.records import Prediction
from tailorbird.serving.engine import PersonalPredictor, PredictionEngine
from tailorbird.testing import KeywordPredictor

from .test_engine import held, open_gate, run, until_ready


@dataclass(frozen=True)
class Fake:
    hash: str


@dataclass(eq=False)
class PersonalKeywords(KeywordPredictor):
    """Answers each text with the hash of its adapter as the intent's name."""

    adapters: dict[str, Fake] = field(default_factory=dict)
    mixed: list[list[str]] = field(default_factory=list)
    is_closed: bool = False

    def adapter_of(self, user: str) -> Fake | None:
        return self.adapters.get(user)

    def predict_with(
        self, texts: Sequence[str], adapters: Sequence[Fake | None]
    ) -> list[Prediction]:
        self.mixed.append([adapter.hash if adapter else "" for adapter in adapters])
        shared = self.predict(texts)
        return [
            Prediction(one.hash, 1.0, True, None, "en") if one else own
            for own, one in zip(shared, adapters, strict=True)
        ]

    def close(self) -> None:
        self.is_closed = True


def two_users() -> PersonalKeywords:
    return PersonalKeywords(adapters={"ada": Fake("A1"), "bo": Fake("B1")})


def test_the_fake_is_what_the_engine_asks_for() -> None:
    assert isinstance(two_users(), PersonalPredictor)
    assert not isinstance(KeywordPredictor(), PersonalPredictor)


def test_one_forward_pass_mixes_users_and_others() -> None:
    async def story() -> None:
        predictor = two_users()
        async with PredictionEngine(predictor, ServingSettings()) as engine:
            first = await held(predictor, engine)
            asked = [
                asyncio.create_task(engine.answer(["hello"], users=[user] if user else []))
                for user in ("ada", "bo", None, "nobody")
            ]
            await asyncio.sleep(0)
            open_gate(predictor)
            await first
            answers = [await task for task in asked]
        assert predictor.mixed == [["A1", "B1", "", ""]]
        assert [answer.predictions[0].intent for answer in answers] == [
            "A1", "B1", "greeting", "greeting",
        ]  # fmt: skip
        assert [answer.adapters for answer in answers] == [("A1",), ("B1",), (), ()]

    run(story())


def test_texts_of_one_request_may_be_of_several_users() -> None:
    async def story() -> None:
        async with PredictionEngine(two_users(), ServingSettings()) as engine:
            answer = await engine.answer(["x", "hello", "z"], users=["bo", None, "ada"])
        assert answer.adapters == ("B1", "", "A1")
        assert [row.intent for row in answer.predictions] == ["B1", "greeting", "A1"]

    run(story())


def test_without_an_adapter_in_the_batch_the_plain_way_is_taken() -> None:
    async def story() -> None:
        predictor = two_users()
        async with PredictionEngine(predictor, ServingSettings()) as engine:
            assert (await engine.answer(["hello"], users=["nobody"])).adapters == ()
        assert predictor.mixed == []

    run(story())


def test_a_predictor_without_users_ignores_them() -> None:
    async def story() -> None:
        async with PredictionEngine(KeywordPredictor(), ServingSettings()) as engine:
            answer = await engine.answer(["hello"], users=["ada"])
        assert (answer.predictions[0].intent, answer.adapters) == ("greeting", ())

    run(story())


def test_a_request_sees_one_version_even_when_it_takes_several_passes() -> None:
    async def story() -> None:
        predictor = two_users()
        settings = ServingSettings(max_batch_texts=2)
        async with PredictionEngine(predictor, settings) as engine:
            first = await held(predictor, engine)
            long = asyncio.create_task(engine.answer(["x"] * 5, users=["ada"] * 5))
            await asyncio.sleep(0)
            predictor.adapters["ada"] = Fake("A2")
            short = asyncio.create_task(engine.answer(["x"], users=["ada"]))
            await asyncio.sleep(0)
            open_gate(predictor)
            await first
            assert {row.intent for row in (await long).predictions} == {"A1"}
            assert (await long).adapters == ("A1",) * 5
            assert (await short).adapters == ("A2",)
        assert len(predictor.mixed) == 3

    run(story())


def test_over_http_the_answer_names_bundle_and_adapter(
    make_client: Callable[..., TestClient],
) -> None:
    predictor = two_users()
    client = make_client(predictor)

    def ask(**body: Any) -> dict[str, Any]:
        response = client.post("/v1/predict", json={"texts": ["hello", "x"], **body})
        assert response.status_code == 200
        return response.json()

    known = ask(user="ada")
    assert (known["bundle"], known["adapter"]) == ("keywords", "A1")
    assert [row["intent"] for row in known["predictions"]] == ["A1", "A1"]
    assert ask(user="nobody")["adapter"] is None
    assert ask()["adapter"] is None


def test_a_predictor_that_is_replaced_is_closed_and_so_is_the_last_one() -> None:
    from tailorbird.serving import Service

    async def story() -> None:
        old, new = two_users(), two_users()
        service = Service(old, ServingSettings())
        await service.engine.start()
        await until_ready(service.engine)
        await service.replace(new)
        assert (old.is_closed, new.is_closed) == (True, False)
        await service.close()
        assert new.is_closed

    run(story())


def test_one_failing_adapter_fails_its_own_request_alone() -> None:
    class Failing(PersonalKeywords):
        def predict_with(
            self, texts: Sequence[str], adapters: Sequence[Fake | None]
        ) -> list[Prediction]:
            if any(adapter and adapter.hash == "B1" for adapter in adapters):
                raise ValueError("no such layer")
            return super().predict_with(texts, adapters)

    async def story() -> None:
        predictor = Failing(adapters=two_users().adapters)
        async with PredictionEngine(predictor, ServingSettings()) as engine:
            first = await held(predictor, engine)
            asked = [
                asyncio.create_task(engine.answer(["x"], users=[user])) for user in ("ada", "bo")
            ]
            await asyncio.sleep(0)
            assert predictor.gate is not None
            predictor.gate.set()
            await first
            good, bad = await asyncio.gather(*asked, return_exceptions=True)
        assert getattr(good, "adapters", None) == ("A1",)
        assert "no such layer" in str(bad)

    run(story())
