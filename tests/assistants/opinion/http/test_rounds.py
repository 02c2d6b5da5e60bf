import asyncio
import logging
import threading

import pytest

from tailorbird.assistants.opinion.rounds import Rounds, Step


def test_a_step_that_fails_is_logged_and_tried_again_while_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries: list[str] = []

    def fail() -> int:
        tries.append("fail")
        raise OSError("the disk is full")

    def work() -> int:
        tries.append("work")
        return 0

    async def live() -> Rounds:
        rounds = Rounds([Step("fail", fail, 0.01), Step("work", work, 0.01)])
        async with rounds.running():
            while not (tries.count("fail") > 2 and tries.count("work") > 2):
                await asyncio.sleep(0.01)
        return rounds

    with caplog.at_level(logging.ERROR):
        rounds = asyncio.run(live())
    assert "fail failed" in caplog.text
    assert rounds.steps["fail"].error == "OSError: the disk is full"
    assert (rounds.steps["work"].error, rounds.steps["fail"].last_ok) == ("", None)
    assert rounds.steps["work"].last_ok is not None


def test_a_step_that_did_something_wakes_the_next_and_is_repeated_until_nothing_waits() -> None:
    left = [3]
    done = threading.Event()

    def judge() -> int:
        left[0] -= left[0] > 0
        return left[0]

    def watch() -> int:
        if not left[0]:
            done.set()
        return 0

    async def live() -> None:
        hour = 3600.0
        steps = [
            Step("judge", judge, hour, wakes=("watch",), is_repeated=True),
            Step("watch", watch, hour),
        ]
        async with Rounds(steps).running():
            await asyncio.to_thread(done.wait, 10)

    asyncio.run(live())
    assert done.is_set()
    assert left == [0]


def test_what_is_under_way_ends_before_the_service_does() -> None:
    ended = []
    begun = threading.Event()

    def slow() -> int:
        begun.set()
        threading.Event().wait(0.2)
        ended.append(1)
        return 0

    async def live() -> None:
        async with Rounds([Step("slow", slow, 3600.0)]).running():
            await asyncio.to_thread(begun.wait, 10)

    asyncio.run(live())
    assert ended == [1]
