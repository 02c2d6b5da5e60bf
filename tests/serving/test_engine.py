"""The engine: batches, limits, failures, cancellation, hot swap and an orderly end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from tailorbird.config import ServingSettings
from tailorbird.errors import BundleError, UnavailableError
from tailorbird.records import Prediction
from tailorbird.serving.engine import WARM_UP, PredictionEngine
from tailorbird.testing import KeywordPredictor

TEXTS = [
    "I want my money back",
    "我的包裹怎么还没到？",
    "hello",
    "where is my parcel",
    "tell me a joke",
    "我要退款",
]


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, timeout=30))


def engine_with(predictor: KeywordPredictor | None, **settings: Any) -> PredictionEngine:
    return PredictionEngine(predictor, ServingSettings(**settings))


async def until_ready(engine: PredictionEngine) -> None:
    while engine.problem is not None:
        await asyncio.sleep(0)


async def held(predictor: KeywordPredictor, engine: PredictionEngine) -> asyncio.Task[Any]:
    """A first request that sits in the worker thread until the gate opens."""
    await until_ready(engine)
    predictor.gate = threading.Event()
    n_before = len(predictor.batches)
    first = asyncio.create_task(engine.predict(["first"]))
    while len(predictor.batches) == n_before:
        await asyncio.sleep(0)
    return first


def open_gate(predictor: KeywordPredictor) -> None:
    assert predictor.gate is not None
    predictor.gate.set()


def test_answers_equal_those_of_the_predictor_alone() -> None:
    async def story() -> None:
        async with engine_with(KeywordPredictor()) as engine:
            answers = await asyncio.gather(*(engine.predict([text]) for text in TEXTS))
        assert [prediction for (prediction,) in answers] == KeywordPredictor().predict(TEXTS)

    run(story())


def test_requests_that_wait_together_share_one_forward_pass() -> None:
    async def story() -> None:
        predictor = KeywordPredictor()
        async with engine_with(predictor) as engine:
            first = await held(predictor, engine)
            others = [asyncio.create_task(engine.predict([text])) for text in TEXTS]
            await asyncio.sleep(0)
            assert engine.n_waiting == len(TEXTS)
            open_gate(predictor)
            await asyncio.gather(first, *others)
        assert predictor.batches == [WARM_UP, ("first",), tuple(TEXTS)]

    run(story())


def test_no_forward_pass_is_larger_than_allowed() -> None:
    async def story() -> None:
        predictor = KeywordPredictor()
        async with engine_with(predictor, max_batch_texts=4) as engine:
            await until_ready(engine)
            texts = [f"text {n}: refund" for n in range(11)]
            predictions = await engine.predict(texts)
        assert predictions == KeywordPredictor().predict(texts)
        assert [len(batch) for batch in predictor.batches] == [2, 4, 4, 3]

    run(story())


def test_clients_in_step_are_answered_together() -> None:
    async def story() -> None:
        predictor = KeywordPredictor()

        async def client(engine: PredictionEngine) -> None:
            for _ in range(20):
                await engine.predict(["hello"])

        async with engine_with(predictor, max_wait_ms=1000) as engine:
            await until_ready(engine)
            await asyncio.gather(*(client(engine) for _ in range(4)))
        # Whatever the first rounds do, four clients in step soon fill batches of four.
        assert sum(len(batch) == 4 for batch in predictor.batches) >= 15

    run(story())


def test_a_lone_client_never_waits_for_company() -> None:
    async def story() -> None:
        async with engine_with(KeywordPredictor(), max_wait_ms=10_000) as engine:
            for _ in range(50):
                await engine.predict(["hello"])

    run(story())  # 50 waits of 10 s would run into the time limit


def test_who_thinks_before_going_on_is_not_waited_for_again_and_again() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with engine_with(KeywordPredictor(), max_wait_ms=100) as engine:
            await until_ready(engine)
            started_s = loop.time()
            for _ in range(30):  # one more is always there when a batch ends, and nobody returns
                await asyncio.gather(engine.predict(["first"]), engine.predict(["second"]))
                await asyncio.sleep(0)
        assert loop.time() - started_s < 1.5  # 30 waits would be 3 s

    run(story())


def test_a_full_queue_refuses_new_texts_and_says_so() -> None:
    async def story() -> None:
        predictor = KeywordPredictor()
        async with engine_with(predictor, max_queue_texts=3) as engine:
            first = await held(predictor, engine)
            second = asyncio.create_task(engine.predict(["a", "b"]))
            await asyncio.sleep(0)
            with pytest.raises(UnavailableError, match="2 texts are waiting and the queue holds 3"):
                await engine.predict(["c", "d"])
            open_gate(predictor)
            assert len(await second) == 2
            await first
            assert len(await engine.predict(["c", "d"])) == 2

    run(story())


def test_a_poisonous_text_fails_its_own_request_only() -> None:
    async def story() -> None:
        predictor = KeywordPredictor(poison="☠")
        async with engine_with(predictor) as engine:
            first = await held(predictor, engine)
            waiting = [
                asyncio.create_task(engine.predict(texts))
                for texts in (["refund"], ["fine", "☠"], ["你好"])
            ]
            await asyncio.sleep(0)
            open_gate(predictor)
            good, bad, also_good = await asyncio.gather(*waiting, return_exceptions=True)
            await first
        assert isinstance(good, list)
        assert isinstance(also_good, list)
        assert [good[0].intent, also_good[0].intent] == ["refund", "greeting"]
        assert isinstance(bad, BundleError)
        assert str(bad) == "keywords: the bundle failed: ValueError: cannot digest '☠'"

    run(story())


def test_a_predictor_that_loses_a_text_is_found_out() -> None:
    class Forgetful(KeywordPredictor):
        def predict(self, texts: Sequence[str]) -> list[Prediction]:
            return super().predict(texts)[1:]

    async def story() -> None:
        async with engine_with(Forgetful()) as engine:
            with pytest.raises(BundleError, match="gave 1 predictions for 2 texts"):
                await engine.predict(["a", "b"])

    run(story())


def test_even_a_stop_iteration_reaches_the_client() -> None:
    class Exhausted(KeywordPredictor):
        def predict(self, texts: Sequence[str]) -> list[Prediction]:
            raise StopIteration

    async def story() -> None:
        async with engine_with(Exhausted()) as engine:
            with pytest.raises(BundleError, match="StopIteration"):
                await engine.predict(["a"])
            assert "StopIteration" in str(engine.problem)

    run(story())


def test_a_client_that_goes_away_does_not_break_its_batch() -> None:
    async def story() -> None:
        predictor = KeywordPredictor()
        async with engine_with(predictor) as engine:
            first = await held(predictor, engine)
            leaving = asyncio.create_task(engine.predict(["leaving"]))
            staying = asyncio.create_task(engine.predict(["refund"]))
            await asyncio.sleep(0)
            leaving.cancel()
            first.cancel()  # while the worker thread computes it
            await asyncio.sleep(0)
            open_gate(predictor)
            assert (await staying)[0].intent == "refund"
            assert engine.n_waiting == 0
        assert ("leaving",) not in predictor.batches
        assert predictor.batches[-1] == ("refund",)

    run(story())


def test_replacing_lets_requests_in_flight_finish_on_the_old_bundle() -> None:
    async def story() -> None:
        old, new = KeywordPredictor("old"), KeywordPredictor("new")
        async with engine_with(old, max_batch_texts=2) as engine:
            first = await held(old, engine)
            long = asyncio.create_task(engine.answer(["a", "b", "c"]))
            await asyncio.sleep(0)
            await engine.replace(new)
            later = asyncio.create_task(engine.answer(["d"]))
            await asyncio.sleep(0)
            open_gate(old)
            assert (await long).bundle == "old"
            assert (await later).bundle == "new"
            await first
        assert old.batches[-2:] == [("a", "b"), ("c",)]
        assert new.batches == [WARM_UP, ("d",)]

    run(story())


def test_a_bundle_that_cannot_answer_never_replaces_one_that_can() -> None:
    async def story() -> None:
        async with engine_with(KeywordPredictor("old")) as engine:
            with pytest.raises(BundleError, match="cannot digest"):
                await engine.replace(KeywordPredictor("broken", poison="warm"))
            assert (await engine.answer(["hello"])).bundle == "old"

    run(story())


def test_closing_finishes_what_is_in_flight_and_refuses_the_rest() -> None:
    async def story() -> None:
        predictor = KeywordPredictor()
        engine = engine_with(predictor)
        await engine.start()
        first = await held(predictor, engine)
        second = asyncio.create_task(engine.predict(["refund"]))
        await asyncio.sleep(0)
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="shutting down"):
            await engine.predict(["too late"])
        assert not closing.done()
        open_gate(predictor)
        await closing
        assert (await first)[0].in_scope is False
        assert (await second)[0].intent == "refund"

    run(story())


def test_without_a_bundle_the_engine_says_how_to_get_one() -> None:
    async def story() -> None:
        async with engine_with(None) as engine:
            with pytest.raises(UnavailableError, match="tailorbird build LOGS"):
                await engine.predict(["hello"])
            await engine.replace(KeywordPredictor("first"))
            assert engine.problem is None
            assert (await engine.answer(["hello"])).bundle == "first"

    run(story())


def test_the_engine_is_ready_only_once_the_predictor_has_answered() -> None:
    async def story() -> None:
        predictor = KeywordPredictor(gate=threading.Event())
        async with engine_with(predictor) as engine:
            assert "is being loaded" in str(engine.problem)
            early = asyncio.create_task(engine.predict(["refund"]))
            open_gate(predictor)
            assert (await early)[0].intent == "refund"
            assert engine.problem is None

    run(story())
