"""A service whose models are in a process of their own: killed, exchanged, asked why, and ended."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tailorbird.apart import Process
from tailorbird.app import create_app
from tailorbird.bundle import Bundle, BundleContents, load_bundle, write_bundle
from tailorbird.config import ServingSettings
from tailorbird.errors import UnavailableError
from tailorbird.records import Prediction
from tailorbird.serving import Answer, Service
from tailorbird.serving.explainer import reasons_of
from tailorbird.testing import KeywordPredictor

from .test_engine import run, until_ready

TEXTS = ["where is my parcel", "refund please", "hi", "我的包裹", "退款", "a b c d e f"]


@pytest.fixture(scope="module")
def cooler(shop_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same model, less sure of itself."""
    contents = BundleContents(shop_bundle.path / "model", shop_bundle.labels, {}, {}, {}, 3.0, 0.5)
    return write_bundle(tmp_path_factory.mktemp("cooler"), contents)


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    opened = Process(1)
    yield opened
    opened.close()


async def served(bundle: Bundle, process: Process) -> Service:
    service = Service(load_bundle(bundle.path), ServingSettings(), process=process)
    await service.start()
    await until_ready(service.engine)
    return service


async def asked(service: Service, n: int) -> list[Answer]:
    return await asyncio.gather(*(service.predict([TEXTS[k % len(TEXTS)]]) for k in range(n)))


def check(answers: list[Answer], *bundles: Bundle) -> set[str]:
    """Each is what its bundle gives; the bundles that there were."""
    given = {one.id: one.predict(TEXTS) for one in bundles}
    for k, answer in enumerate(answers):
        (found,) = answer.predictions
        check_alike(found, given[answer.bundle][k % len(TEXTS)])
    return {answer.bundle for answer in answers}


def check_alike(found: Prediction, expected: Prediction) -> None:
    """But for rounding: on some processors sums depend on how many texts are computed together."""
    numbers, wanted = (
        [one.confidence, one.scope_score, *(share for _, share in one.alternatives)]
        for one in (found, expected)
    )
    assert numbers == pytest.approx(wanted, abs=1e-6)
    assert without_numbers(found) == without_numbers(expected)


def without_numbers(one: Prediction) -> Prediction:
    names = tuple((name, 0.0) for name, _ in one.alternatives)
    return replace(one, confidence=0.0, scope_score=0.0, alternatives=names)


def test_killed_amid_requests_it_loses_none_and_is_ready_again(
    shop_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        process = Process(1)
        service = await served(shop_bundle, process)
        task = asyncio.create_task(asked(service, 200))
        await asyncio.sleep(0.01)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        assert check(await task, shop_bundle) == {shop_bundle.id}
        assert process.n_starts == 2
        assert service.engine.problem is None
        pid = process.pid
        await service.close()
        assert process.pid is None
        with pytest.raises(OSError, match="No such process"):
            os.kill(pid, 0)

    run(story())
    assert "ended (signal 9, Killed); another is started" in caplog.text


def test_a_promotion_amid_requests_mixes_nothing(
    shop_bundle: Bundle, cooler: Bundle, process: Process
) -> None:
    async def story() -> None:
        service = await served(shop_bundle, process)
        tasks = []
        replacing = asyncio.create_task(service.replace(load_bundle(cooler.path)))
        while not replacing.done():
            tasks.append(asyncio.create_task(asked(service, 6)))
            await asyncio.sleep(0.005)
        await replacing
        tasks.append(asyncio.create_task(asked(service, 6)))
        found = [check(await task, shop_bundle, cooler) for task in tasks]
        assert found[0] == {shop_bundle.id}
        assert found[-1] == {cooler.id}
        await service.engine.close()

    run(story())


def test_a_bundle_that_cannot_answer_leaves_the_old_one_live(
    shop_bundle: Bundle, cooler: Bundle, process: Process, tmp_path: Path
) -> None:
    async def story() -> None:
        service = await served(shop_bundle, process)
        broken = load_bundle(write_bundle(tmp_path, _contents(cooler)).path)
        (broken.path / "model" / "head.safetensors").unlink()
        with pytest.raises(Exception, match=r"head\.safetensors"):
            await service.replace(broken)
        assert check(await asked(service, 6), shop_bundle) == {shop_bundle.id}
        await service.engine.close()

    run(story())


def _contents(like: Bundle) -> BundleContents:
    return BundleContents(like.path / "model", like.labels, {}, {}, {}, 2.0, 0.5)


def test_reasons_are_those_that_are_found_here(shop_bundle: Bundle, process: Process) -> None:
    async def story() -> None:
        service = await served(shop_bundle, process)
        found = await service.explainer.explain(TEXTS[0])
        expected = reasons_of(shop_bundle, TEXTS[0])
        assert found.bundle == shop_bundle.id
        assert found.words is not None
        assert expected.words is not None
        assert found.words.top(3) == expected.words.top(3)
        assert found.nearest == expected.nearest
        await service.engine.close()

    asyncio.run(story())  # what can wait gives way, here to all that runs beside the tests


def test_over_http_it_is_the_same_service_and_nothing_is_left_of_it(shop_bundle: Bundle) -> None:
    app = create_app(
        None, load_bundle(shop_bundle.path), ServingSettings(), process=Process(1), console=False
    )
    with TestClient(app) as client:
        response = client.post("/v1/predict", json={"texts": TEXTS})
        assert response.status_code == 200
        found = [(row["intent"], row["confidence"]) for row in response.json()["predictions"]]
        expected = shop_bundle.predict(TEXTS)
        assert [intent for intent, _ in found] == [one.intent for one in expected]
        shares = [one.confidence for one in expected]
        assert [share for _, share in found] == pytest.approx(shares, abs=1e-6)
        page = client.get("/metrics").text
        (memory,) = re.findall(
            r"^tailorbird_models_process_resident_memory_bytes (\S+)$", page, re.M
        )
        assert float(memory) > 50e6  # torch alone takes more
        assert "tailorbird_models_process_starts 1.0" in page
        pid = app.state.service.process.pid
        os.kill(pid, 0)
    with pytest.raises(OSError, match="No such process"):
        os.kill(pid, 0)


def test_what_ended_for_good_is_refused_for_now(shop_bundle: Bundle) -> None:
    async def story() -> None:
        process = Process(1)
        service = await served(shop_bundle, process)
        process.close()
        with pytest.raises(UnavailableError, match="the service is closing"):
            await service.predict(["hi"])
        await service.close()

    run(story())


def test_predictors_that_cannot_move_stay_where_they_are() -> None:
    predictor, process = KeywordPredictor(), Process(1)
    assert Service(predictor, ServingSettings(), process=process).engine.predictor is predictor
    assert process.n_starts == 0
