"""Conversations and their turns: what was acknowledged is on disk, and there once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from sqlalchemy import Connection

from tailorbird.assistants.service_desk.conversing import ledger
from tailorbird.assistants.service_desk.conversing.books import Books
from tailorbird.assistants.service_desk.conversing.events import DeskEvent
from tailorbird.errors import ConflictError
from tailorbird.store.tables import Author, ConversationRow, TurnRow

LOOK_AGAIN_S = 15.0
"""How often a stream without news looks into the database, which another process may write."""

Told = tuple[TurnRow, Sequence[DeskEvent]]


class Conversations:
    """Opens conversations, and adds to them."""

    def __init__(self, books: Books) -> None:
        self.books = books

    async def open(
        self,
        user: str | None = None,
        channel: str = "api",
        language: str = "",
        *,
        opened_by: str = "",
    ) -> ConversationRow:
        """A new conversation with *user*, whom nobody needs to know yet; None: anonymous."""
        row = ConversationRow(user=user, channel=channel, language=language, opened_by=opened_by)

        def change(connection: Connection) -> tuple[ConversationRow, Sequence[DeskEvent]]:
            ledger.add(connection, row)
            return row, ()

        return await self.books.change(change)

    async def get(self, conversation_id: str, *, opened_by: str | None = None) -> ConversationRow:
        """The conversation; NotFoundError where there is none that *opened_by* may see."""
        return await self.books.read(
            lambda c: ledger.conversation(c, conversation_id, opened_by=opened_by)
        )

    async def turns(self, conversation_id: str, after: int = -1) -> list[TurnRow]:
        """What was said after turn number *after*, oldest first."""
        return await self.books.read(lambda c: ledger.turns(c, conversation_id, after=after))

    async def say(
        self,
        conversation_id: str,
        author: Author,
        text: str,
        *,
        client_id: str | None = None,
        decision_id: str | None = None,
    ) -> TurnRow:
        """The turn, once it is on disk; said again under the same *client_id*, it is the same one.

        Raises NotFoundError, and ConflictError for a closed conversation or a *client_id* that
        was used for other words.
        """

        def change(connection: Connection) -> Told:
            row = ledger.conversation(connection, conversation_id)
            known = ledger.said_before(connection, conversation_id, author, client_id)
            if known is not None:
                return check_same(known, text), ()
            ledger.check_open(row)
            names = ledger.Names(client_id, decision_id)
            turn = ledger.say(connection, ledger.turn_of(row.id, author, text, names))
            ledger.change(connection, row)
            return turn, [ledger.told(row, turn)]

        return await self.books.change(change)

    async def rate(self, conversation_id: str, value: float) -> ConversationRow:
        """What the visitor thinks of it all, from -1 to 1; also once it is closed."""

        def change(connection: Connection) -> tuple[ConversationRow, Sequence[DeskEvent]]:
            row = ledger.conversation(connection, conversation_id)
            return ledger.change(connection, row, rating=value), ()

        return await self.books.change(change)

    async def wait(self, conversation_id: str, after: int, timeout_s: float) -> list[TurnRow]:
        """Turns after number *after*, as soon as there are any; none after *timeout_s*."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        with self.books.events.subscribe(conversation_id) as news:
            while True:
                found = await self.turns(conversation_id, after)
                left_s = end_s - loop.time()
                if found or left_s <= 0 or news.is_closed:
                    return found
                await news.get(left_s)

    async def follow(
        self, conversation_id: str, after: int = -1, *, look_again_s: float = LOOK_AGAIN_S
    ) -> AsyncIterator[TurnRow | ConversationRow | None]:
        """Turns after *after*, each once and in order, and the conversation whenever it changes.

        None says that nothing happened for a while. Ends when the conversation is closed.
        """
        with self.books.events.subscribe(conversation_id) as news:  # first, so that none is missed
            status, is_first = "", True
            event: DeskEvent | None = None
            while is_first or not news.is_closed:
                turn = event.turn if event is not None else None
                fresh: list[TurnRow] = []
                if turn is not None and turn.number == after + 1:
                    fresh = [turn]
                elif turn is None or turn.number > after:
                    fresh = await self.turns(conversation_id, after)
                for one in fresh:
                    yield one
                    after = one.number
                if event is None or event.kind == "missed" or event.status != status:
                    row = await self.get(conversation_id)
                    if row.status != status:
                        status = row.status
                        yield row
                    elif not fresh and not is_first:
                        yield None
                if status == "closed":
                    return
                is_first = False
                event = await news.get(look_again_s)


def check_same(turn: TurnRow, text: str) -> TurnRow:
    """The *turn* that was said before; ConflictError where it said something else."""
    if turn.text != text:
        raise ConflictError(
            f"client_id {turn.client_id!r} was used for other words",
            where="client_id",
            cure="give each message a name of its own",
        )
    return turn
