"""What goes on for long, a socket or a stream, ends soon after it may not go on any more."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from tailorbird.serving.admission import SAFE_METHODS, Access
from tailorbird.serving.keys import FRESH_S
from tailorbird.serving.persons import Person
from tailorbird.serving.refusals import refusal

STREAM = b"text/event-stream"


class Watch:
    """An open socket, closed soon after the key or session behind it is worth nothing.

    It is looked every *look_s* seconds, whether anything is said on it or not.
    """

    def __init__(
        self,
        access: Access,
        asked: HTTPConnection,
        receive: Receive,
        send: Send,
        *,
        look_s: float = FRESH_S,
    ) -> None:
        self._access, self._asked = access, asked
        self._receive, self._send = receive, send
        self._look_s = look_s
        self._checked_s = access.clock()
        self._over = asyncio.Event()
        self._hearing: asyncio.Future[Message] | None = None

    async def run(self, app: ASGIApp) -> None:
        """Let *app* talk on the socket for as long as may be."""
        watching = asyncio.create_task(self._watch())
        try:
            await app(self._asked.scope, self.receive, self.send)
        except WebSocketDisconnect:
            if not self._over.is_set():
                raise
        finally:
            watching.cancel()
            if self._hearing is not None:
                self._hearing.cancel()

    async def receive(self) -> Message:
        """The next message; a disconnect where the time is over."""
        if self._hearing is None:  # it stays where whoever waits here is called away
            self._hearing = asyncio.ensure_future(self._receive())
        ending = asyncio.ensure_future(self._over.wait())
        try:
            both: set[asyncio.Future[Any]] = {self._hearing, ending}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
        if not self._over.is_set():
            message = self._hearing.result()
            self._hearing = None
            if message["type"] != "websocket.receive" or not await self._ends():
                return message
        return {"type": "websocket.disconnect", "code": 1008}

    async def send(self, message: Message) -> None:
        """Send *message*; WebSocketDisconnect where the time is over."""
        if message["type"] == "websocket.send" and await self._ends():
            raise WebSocketDisconnect(1008)
        if not self._over.is_set():
            await self._send(message)

    async def _watch(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(self._look_s)
            await self._ends()

    async def _ends(self) -> bool:
        now_s = self._access.clock()
        if now_s - self._checked_s >= FRESH_S and not self._over.is_set():
            self._checked_s = now_s
            if not await self._access.is_still(self._asked, _person(self._asked.scope)):
                self._over.set()
                with contextlib.suppress(RuntimeError, OSError):  # the other side was faster
                    await self._send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        return self._over.is_set()


class Lasting:
    """A request whose answer may take long: a stream of events, or one that waits for some.

    Others are let alone: what changes something is finished, whatever becomes of its key.
    """

    def __init__(
        self, access: Access, asked: HTTPConnection, send: Send, *, look_s: float = FRESH_S
    ) -> None:
        self._access, self._asked, self._send = access, asked, send
        self._look_s = look_s
        self._is_over = self._has_begun = False
        self._task: asyncio.Task[Any] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        """Let *app* answer for as long as may be."""
        self._task = asyncio.current_task()
        timer = None
        if self._asked.scope["method"] in SAFE_METHODS:  # most are over before it is looked
            timer = asyncio.get_running_loop().call_later(self._look_s, self._begin, 0.0)
        try:
            await app(self._asked.scope, receive, self.send)
        except asyncio.CancelledError:
            if not self._is_over or self._task is None:
                raise
            self._task.uncancel()
            await self._end(receive)
        finally:
            if timer is not None:
                timer.cancel()
            if self._watching is not None:
                self._watching.cancel()

    async def send(self, message: Message) -> None:
        """Send *message*, and watch what begins a stream."""
        if message["type"] == "http.response.start":
            self._has_begun = True
            if any(
                name.lower() == b"content-type" and value.startswith(STREAM)
                for name, value in message.get("headers", ())
            ):
                self._begin(self._look_s)
        await self._send(message)

    def _begin(self, after_s: float) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(after_s))

    async def _watch(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while await self._access.is_still(self._asked, _person(self._asked.scope)):
            await asyncio.sleep(self._look_s)
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    async def _end(self, receive: Receive) -> None:
        with contextlib.suppress(RuntimeError, OSError):  # the client was faster
            if self._has_begun:
                await self._send({"type": "http.response.body", "body": b""})
            else:
                message = "the key or session of this request is no longer valid"
                gone = refusal(401, message, where="authorization")
                await gone(self._asked.scope, receive, self._send)


def _person(scope: Scope) -> Person:
    person: Person = scope["state"]["person"]
    return person
