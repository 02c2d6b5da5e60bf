"""Events: told to whom they concern, and whoever is too slow is told that, too."""

from __future__ import annotations

import asyncio

from tailorbird.assistants.service_desk.conversing.events import DeskEvent, Events


def test_an_event_reaches_all_and_those_who_watch_its_conversation() -> None:
    async def story() -> None:
        events = Events()
        with events.subscribe() as everything, events.subscribe("a") as one:
            events.publish([DeskEvent("waiting", "a"), DeskEvent("waiting", "b")])
            heard = [await everything.get(1), await everything.get(1)]
            assert [event.conversation for event in heard if event] == ["a", "b"]
            first = await one.get(1)
            assert first is not None
            assert first.conversation == "a"
            assert await one.get(0.001) is None
        assert events.n_subscribers == 0

    asyncio.run(story())


def test_who_reads_too_slowly_is_told_to_look_at_the_database() -> None:
    async def story() -> None:
        events = Events(max_unread=3)
        with events.subscribe("a") as slow:
            events.publish(DeskEvent("turn", "a", reason=str(k)) for k in range(5))
            heard = [await slow.get(1), await slow.get(1)]
            assert [(event.kind, event.reason) for event in heard if event] == [
                ("missed", ""),
                ("turn", "4"),
            ]

    asyncio.run(story())


def test_closing_ends_every_stream() -> None:
    async def story() -> int:
        events = Events()
        with events.subscribe() as news:
            asyncio.get_running_loop().call_soon(events.close)
            return len([event async for event in news])

    assert asyncio.run(story()) == 0
