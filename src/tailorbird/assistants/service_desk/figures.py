"""How the service desk is doing: the numbers of the overview, counted by the database."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, not_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from tailorbird.store import ServedRow, Workspace
from tailorbird.store.tables import ConversationRow, DecisionRow, TurnRow

IDLE = timedelta(minutes=30)
"""A conversation in which nothing was said for so long has been left."""
CONSOLE_USER = "console"
"""Who asks on the page for trying things out; no visitor, so not counted."""
N_TOP = 8
OFF_DESK = ("waiting", "agent", "ticket")


@dataclass(frozen=True, slots=True)
class Share:
    """*n* of *of* things."""

    n: int
    of: int

    @property
    def value(self) -> float | None:
        """In [0, 1]; None where there is nothing to have a share of.

        >>> Share(3, 4).value, Share(0, 0).value
        (0.75, None)
        """
        return self.n / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Latency:
    """How long answers took, by nearest rank."""

    n: int
    median_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Shares:
    """How conversations went that began in one stretch of time."""

    n_conversations: int
    """Begun in this time, with at least one message of the visitor."""
    resolved: Share
    """Closed, or left for half an hour, and no person was needed; of those that are over or were
    handed over."""
    handed_over: Share
    """Of all conversations: a person was asked for, took over, or spoke."""
    satisfied: Share
    """Ratings and feedback above 0, of all that were given."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in one stretch of time."""

    since: datetime
    until: datetime
    shares: Shares
    n_waiting: int
    """Conversations that wait for a person at this moment, whenever they began."""
    latency: Latency | None
    """None where nothing was answered."""
    has_decisions: bool
    """Whether the answers are those of the desk; else plain predictions are counted."""
    n_answers: int
    n_refused: int
    intents: tuple[tuple[str, int], ...]
    """The most frequent, with how often."""
    refused: tuple[tuple[str, int], ...]
    """The questions that were refused most, PII masked, with how often."""
    timeline: tuple[int, ...]
    """Answers in each of equal parts of the time, oldest first."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """A table of answers and what its columns mean here."""

    row: type[DecisionRow] | type[ServedRow]
    counted: ColumnElement[bool]
    refused: ColumnElement[bool]


def read_figures(
    workspace: Workspace, *, since: datetime, until: datetime, n_parts: int = 24
) -> Figures:
    """The figures of the time from *since* up to *until*, both aware.

    Answers are those that the desk decided on; where there are none in this time, the texts that
    were predicted through the plain API.
    """
    with workspace.sessions() as session:
        desk = _Answers(
            DecisionRow, _within(DecisionRow.time, since, until), DecisionRow.kind == "refusal"
        )
        has_decisions = session.scalar(select(exists().where(desk.counted))) or False
        answers = desk if has_decisions else _served(since, until)
        n_answers, n_refused = _counts(session, answers)
        waiting = ConversationRow.status.in_(("waiting", "ticket"))
        return Figures(
            since=since,
            until=until,
            shares=_shares(session, since, until),
            n_waiting=session.scalar(select(func.count()).where(waiting)) or 0,
            latency=_latency(session, answers, n_answers),
            has_decisions=has_decisions,
            n_answers=n_answers,
            n_refused=n_refused,
            intents=_top(session, answers.row.intent, and_(answers.counted, not_(answers.refused))),
            refused=_top(session, answers.row.text, and_(answers.counted, answers.refused)),
            timeline=_timeline(session, answers, (since, until), n_parts),
        )


def read_shares(workspace: Workspace, *, since: datetime, until: datetime) -> Shares:
    """The shares alone, which are what one time is compared with another by."""
    with workspace.sessions() as session:
        return _shares(session, since, until)


def _served(since: datetime, until: datetime) -> _Answers:
    visitors = or_(ServedRow.user.is_(None), ServedRow.user != CONSOLE_USER)
    counted = and_(_within(ServedRow.time, since, until), visitors)
    return _Answers(ServedRow, counted, not_(ServedRow.in_scope))


def _within(
    time: InstrumentedAttribute[datetime], since: datetime, until: datetime
) -> ColumnElement[bool]:
    return and_(time >= since, time < until)


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """How many rows fulfil *condition*; no database but SQLite sums booleans."""
    return func.coalesce(func.sum(_flag(condition)), 0)


def _flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _counts(session: Session, answers: _Answers) -> tuple[int, int]:
    wanted = select(func.count(), _number(answers.refused)).where(answers.counted)
    n, n_refused = session.execute(wanted).one()
    return n, n_refused


def _shares(session: Session, since: datetime, until: datetime) -> Shares:
    def said_by(author: str) -> ColumnElement[bool]:
        return exists().where(
            TurnRow.conversation_id == ConversationRow.id, TurnRow.author == author
        )

    # One that was given back to the assistant shows it only by what was said and decided in it.
    helped = or_(
        ConversationRow.reason != "",
        ConversationRow.status.in_(OFF_DESK),
        said_by("agent"),
        exists().where(
            DecisionRow.conversation_id == ConversationRow.id, DecisionRow.kind == "hand_over"
        ),
    )
    is_over = or_(ConversationRow.status == "closed", ConversationRow.updated < until - IDLE)
    one = (
        select(
            case((helped, 1), else_=0).label("helped"), case((is_over, 1), else_=0).label("over")
        )
        .where(_within(ConversationRow.created, since, until), said_by("visitor"))
        .subquery()
    )
    n_over = _number(one.c.helped + one.c.over > 0)
    wanted = select(func.count(), func.coalesce(func.sum(one.c.helped), 0), n_over)
    n, n_helped, n_settled = session.execute(wanted.select_from(one)).one()
    return Shares(
        n_conversations=n,
        resolved=Share(n_settled - n_helped, n_settled),
        handed_over=Share(n_helped, n),
        satisfied=_satisfied(session, since, until),
    )


def _satisfied(session: Session, since: datetime, until: datetime) -> Share:
    n_good = n_all = 0
    rated: tuple[tuple[Any, Any], ...] = (
        (ConversationRow.rating, ConversationRow.created),
        (DecisionRow.feedback, DecisionRow.time),
        (ServedRow.feedback, ServedRow.time),
    )
    for value, time in rated:
        wanted = select(_number(value > 0), func.count(value)).where(_within(time, since, until))
        good, given = session.execute(wanted).one()
        n_good, n_all = n_good + good, n_all + given
    return Share(n_good, n_all)


def _latency(session: Session, answers: _Answers, n: int) -> Latency | None:
    if not n:
        return None

    def ranked(share: float) -> float:
        column = answers.row.latency_ms
        wanted = select(column).where(answers.counted).order_by(column)
        found = session.scalar(wanted.offset(math.ceil(share * n) - 1).limit(1))
        return float(found or 0.0)

    return Latency(n, ranked(0.5), ranked(0.95))


def _top(
    session: Session, column: InstrumentedAttribute[str], condition: ColumnElement[bool]
) -> tuple[tuple[str, int], ...]:
    """The most frequent values of *column*; equally frequent ones by their names."""
    times = func.count().label("times")
    wanted = select(column, times).where(condition, column != "").group_by(column)
    rows = session.execute(wanted.order_by(times.desc(), column).limit(N_TOP))
    return tuple((value, n) for value, n in rows)


def _timeline(
    session: Session, answers: _Answers, span: tuple[datetime, datetime], n_parts: int
) -> tuple[int, ...]:
    since, until = span
    step = (until - since) / n_parts
    edges = [since + step * k for k in range(n_parts)] + [until]
    parts = [
        select(func.count())
        .select_from(answers.row)
        .where(answers.counted, _within(answers.row.time, low, high))
        .scalar_subquery()  # each looks at its own part of the index
        for low, high in itertools.pairwise(edges)
    ]
    return tuple(session.execute(select(*parts)).one())
