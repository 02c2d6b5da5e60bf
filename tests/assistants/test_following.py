"""Streams of one conversation: every turn once and in order, whoever wrote it."""

from __future__ import annotations

import asyncio
from typing import Any

from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.assistants.service_desk.conversing import ledger
from tailorbird.store import Workspace


async def collect(service_desk: ServiceDesk, conversation: str, n_turns: int) -> list[int]:
    """Numbers of turns as a stream tells them, until there are *n_turns*."""
    numbers: list[int] = []
    following = service_desk.conversations.follow(conversation, look_again_s=0.01)
    async for one in following:
        if hasattr(one, "number"):
            numbers.append(one.number)
        if len(numbers) == n_turns:
            break
    await following.aclose()  # type: ignore[attr-defined]
    return numbers


def test_a_stream_sees_what_another_process_wrote(
    service_desk: ServiceDesk, workspace: Workspace
) -> None:
    async def story() -> list[int]:
        conversation = (await service_desk.conversations.open()).id
        await service_desk.conversations.say(conversation, "visitor", "here")
        collecting = asyncio.create_task(collect(service_desk, conversation, 2))
        await asyncio.sleep(0)
        with Workspace.open(workspace.path) as other, other.writing() as session:
            turn = ledger.turn_of(conversation, "agent", "from elsewhere")
            ledger.say(session.connection(), turn)
        return await asyncio.wait_for(collecting, 20)

    assert asyncio.run(story()) == [0, 1]


def test_a_slow_stream_misses_nothing(service_desk: ServiceDesk) -> None:
    service_desk.books.events.max_unread = 2

    async def story() -> list[int]:
        conversation = (await service_desk.conversations.open()).id
        following = service_desk.conversations.follow(conversation)
        assert (await anext(following)).status == "assistant"  # type: ignore[union-attr]
        for k in range(9):  # while it does not read
            await service_desk.conversations.say(conversation, "visitor", str(k))
        numbers = [(await anext(following)).number for _ in range(9)]  # type: ignore[union-attr]
        await following.aclose()  # type: ignore[attr-defined]
        return numbers

    assert asyncio.run(story()) == list(range(9))


def test_closing_the_service_ends_streams_and_long_polls(service_desk: ServiceDesk) -> None:
    async def story() -> tuple[list[Any], list[Any]]:
        conversations = service_desk.conversations
        conversation = (await conversations.open()).id

        async def follow() -> list[Any]:
            return [one async for one in conversations.follow(conversation)]

        streaming = asyncio.create_task(follow())
        polling = asyncio.create_task(conversations.wait(conversation, -1, 60))
        while service_desk.books.events.n_subscribers < 2:
            await asyncio.sleep(0.001)
        service_desk.books.events.close()
        return await asyncio.wait_for(streaming, 20), await asyncio.wait_for(polling, 20)

    streamed, polled = asyncio.run(story())
    assert [one.status for one in streamed] == ["assistant"]
    assert polled == []


def test_where_nobody_shall_be_asked_for_the_assistant_goes_on(
    workspace: Workspace, assistant: Any
) -> None:
    service_desk = ServiceDesk(workspace, assistant, max_unsure=0)

    async def story() -> str:
        conversation = (await service_desk.conversations.open()).id
        for words in ("the moon", "the sun", "the stars"):
            done = await service_desk.exchange(conversation, words)
        return done.conversation.status

    assert asyncio.run(story()) == "assistant"
    service_desk.books.writer.close()
