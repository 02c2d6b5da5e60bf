"""Visitors with a chat window, and agents at the desk, as their browsers would behave.

A visitor says something, reads the answer, thinks, goes on; every window also hears its
conversation over server-sent events, as the widget does. Who is handed over waits for an agent.
What got no answer is sent again under its name until it has one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp

from benchmarks.desk_check import Message

RETRY_S = 0.5
"""Between two tries of what could not be delivered."""
EVENTS_AGAIN_S = 2.0
"""After which a browser opens a stream again that was cut off, as the stream itself says."""
PERSON = "Can I talk to a human, please?"
GONE = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(slots=True)
class Habits:
    """How people are."""

    think_s: tuple[float, float] = (5.0, 10.0)
    """Between an answer and the next message, drawn evenly."""
    n_messages: tuple[int, int] = (3, 7)
    """Of a conversation, before another person comes in its place."""
    wants_person: float = 0.05
    """Share of the conversations in which a person is asked for."""
    patience_s: float = 60.0
    """How long one waits for an agent."""


@dataclass(slots=True)
class Tally:
    """What happened."""

    acknowledged: list[Message] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    """Refusals by status."""


class Line:
    """HTTP to the service, with patience: `post` comes back with an answer or not at all."""

    def __init__(self, session: aiohttp.ClientSession, tally: Tally, *, key: str = "") -> None:
        self.session = session
        self.tally = tally
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def post(self, path: str, body: Any) -> tuple[int, Any, int]:
        """Status, body, and how many tries it took; what is refused for now is tried again."""
        for n_tries in range(1, 1000):
            with contextlib.suppress(*GONE, json.JSONDecodeError):
                async with self.session.post(path, json=body, headers=self.headers) as response:
                    found = await response.json()
                    if response.status < 400:
                        return response.status, found, n_tries
                    self.tally.statuses[response.status] += 1
                    if response.status < 500 and response.status != 429:
                        return response.status, found, n_tries
            await asyncio.sleep(RETRY_S)
        raise TimeoutError(f"{path} was never answered")

    async def say(self, message: Message, path: str) -> dict[str, Any]:
        """Send *message* until it is acknowledged; the response, empty where it was refused."""
        message.sent_s = time.monotonic()
        body = {"text": message.text, "client_id": message.client_id}
        status, found, message.n_tries = await self.post(path, body)
        message.ms = 1000 * (time.monotonic() - message.sent_s)
        if status >= 400:  # closed in the meantime
            return {}
        turn = found.get("turn", found)
        message.turn = turn["id"]
        message.answers = tuple(one["id"] for one in found.get("answers", ()))
        message.kind = (found.get("decision") or {}).get("kind", "")
        self.tally.acknowledged.append(message)
        return dict(found)


class Visitor:
    """One chat window, used by one person after another."""

    def __init__(self, line: Line, texts: Sequence[str], habits: Habits, *, seed: int) -> None:
        self.line = line
        self.texts = texts
        self.habits = habits
        self.draw = random.Random(seed)
        self.heard: dict[str, str] = {}
        """Author of each turn that came over the stream, by id."""
        self.status = ""
        self.news = asyncio.Event()

    async def come_and_go(self, stop: asyncio.Event) -> None:
        """One conversation after another until *stop*; the first begins at any moment."""
        await _until(stop, self.draw.uniform(0, self.habits.think_s[1]))
        while not stop.is_set():
            _, opened, _ = await self.line.post("/v1/conversations", {"channel": "widget"})
            self.heard, self.status = {}, "assistant"
            hearing = asyncio.create_task(self._hear(opened["id"]))
            await self._converse(opened["id"], stop)
            hearing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hearing
            self.line.tally.counts["conversations"] += 1

    async def _converse(self, conversation: str, stop: asyncio.Event) -> None:
        n_messages = self.draw.randint(*self.habits.n_messages)
        is_asking = self.draw.random() < self.habits.wants_person
        for number in range(n_messages):
            is_last = is_asking and number == n_messages - 1
            found = await self._say(conversation, PERSON if is_last else self._text())
            if not found:
                return
            if found["status"] != "assistant":
                await self._with_agent(conversation, stop)
                return
            await _until(stop, self.draw.uniform(*self.habits.think_s))
            if stop.is_set():
                return

    def _text(self) -> str:
        return self.draw.choice(self.texts)

    async def _say(self, conversation: str, text: str) -> dict[str, Any]:
        message = Message(conversation, uuid4().hex, "visitor", text)
        return await self.line.say(message, f"/v1/conversations/{conversation}/turns")

    async def _with_agent(self, conversation: str, stop: asyncio.Event) -> None:
        """Wait for the agent, thank them, and wait until they close it."""
        counts = self.line.tally.counts
        counts["handed_over"] += 1
        started_s, is_thanked = time.monotonic(), False
        while time.monotonic() - started_s < self.habits.patience_s and not stop.is_set():
            if self.status == "closed":
                counts["handed_over_and_closed"] += 1
                return
            if not is_thanked and "agent" in self.heard.values():
                is_thanked = True
                await self._say(conversation, "Thank you, that helps.")
            self.news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), 0.5)

    async def _hear(self, conversation: str) -> None:
        last = -1
        while self.status != "closed":
            path = f"/v1/conversations/{conversation}/events?after={last}"
            with contextlib.suppress(*GONE):
                async with self.line.session.get(path, headers=self.line.headers) as response:
                    async for line in response.content:
                        last = self._take_in(line, last)
            if self.status != "closed":
                await asyncio.sleep(EVENTS_AGAIN_S)

    def _take_in(self, line: bytes, last: int) -> int:
        """One line of a stream; the number of the last turn."""
        if line.startswith(b"data: "):
            found = json.loads(line[6:])
            self.status = found.get("status", self.status)
            if "number" in found:
                is_again = found["id"] in self.heard
                self.line.tally.counts["heard_twice" if is_again else "heard"] += 1
                self.heard[found["id"]] = found["author"]
                last = found["number"]
            self.news.set()
        return last


class Agent:
    """One agent with the desk open: takes whatever wants a person, answers, closes."""

    def __init__(self, line: Line, *, seed: int) -> None:
        self.line = line
        self.draw = random.Random(seed)
        self._seen: set[str] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def attend(self) -> None:
        """Watch the desk until cancelled."""
        try:
            while True:
                with contextlib.suppress(*GONE):
                    async with self.line.session.ws_connect(
                        "/v1/desk", headers=self.line.headers
                    ) as socket:
                        await self._watch(socket)
                await asyncio.sleep(RETRY_S)
        finally:
            for task in self._serving:
                task.cancel()

    async def _watch(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        beating = asyncio.create_task(self._beat(socket))
        try:
            async for message in socket:
                event = json.loads(message.data)
                if event["type"] == "hello":
                    for card in event["conversations"]:
                        self._see(card.get("conversation", card).get("id", ""))
                elif event["type"] in ("waiting", "ticket"):
                    self._see(event["conversation"])
        finally:
            beating.cancel()

    async def _beat(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await asyncio.sleep(10)
            await socket.send_json({"type": "heartbeat"})

    def _see(self, conversation: str) -> None:
        if conversation not in self._seen:
            self._seen.add(conversation)
            task = asyncio.create_task(self._serve(conversation))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, conversation: str) -> None:
        path = f"/v1/desk/conversations/{conversation}"
        await asyncio.sleep(self.draw.uniform(0.3, 1.5))
        status, _, _ = await self.line.post(f"{path}/take", {})
        if status >= 400:
            self.line.tally.counts["taken_by_other"] += status == 409
            return
        self.line.tally.counts["taken"] += 1
        await asyncio.sleep(self.draw.uniform(1, 3))
        text = "I have looked at it: it is being taken care of."
        said = Message(conversation, uuid4().hex, "agent", text)
        if await self.line.say(said, f"{path}/answer"):
            await asyncio.sleep(self.draw.uniform(1, 3))
            await self.line.post(f"{path}/close", {})


async def _until(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
