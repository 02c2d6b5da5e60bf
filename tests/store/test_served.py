from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import StatementError

from tailorbird.errors import StoreError
from tailorbird.store import (
    ServedRow,
    Workspace,
    record_feedback,
    record_served,
)
from tailorbird.store.tables import DeploymentRow


def served(text: str = "我要退款", time: datetime | None = None) -> ServedRow:
    row = ServedRow(
        text=text,
        intent="refund",
        confidence=0.97,
        in_scope=True,
        answer="好的。",
        bundle_id="0123456789abcdef",
        latency_ms=12.5,
    )
    if time is not None:
        row.time = time
    return row


def test_what_was_served_comes_back(workspace: Workspace) -> None:
    assert record_served(workspace, [served("我要退款"), served("refund please")]) == 2
    with workspace.sessions() as session:
        rows = session.scalars(select(ServedRow).order_by(ServedRow.text)).all()
    assert [row.text for row in rows] == ["refund please", "我要退款"]
    assert (rows[1].intent, rows[1].confidence, rows[1].latency_ms) == ("refund", 0.97, 12.5)
    assert (rows[1].in_scope, rows[1].user, rows[1].feedback) == (True, None, None)


def test_times_come_back_in_utc(workspace: Workspace) -> None:
    noon_in_shanghai = datetime(2026, 11, 24, 12, tzinfo=timezone(timedelta(hours=8)))
    record_served(workspace, [served(time=noon_in_shanghai)])
    with workspace.sessions() as session:
        found = session.scalars(select(ServedRow.time)).one()
        later = select(func.count()).where(ServedRow.time > noon_in_shanghai)
        assert session.scalar(later) == 0
    assert found == noon_in_shanghai
    assert found.isoformat() == "2026-11-24T04:00:00+00:00"
    assert found.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(workspace: Workspace) -> None:
    with pytest.raises(StatementError, match="has no timezone; pass an aware datetime"):
        record_served(workspace, [served(time=datetime(2026, 11, 24))])


def test_feedback_is_remembered_and_checked(workspace: Workspace) -> None:
    row = served()
    record_served(workspace, [row])
    record_feedback(workspace, row.id, -0.5)
    with workspace.sessions() as session:
        assert session.get_one(ServedRow, row.id).feedback == -0.5
    with pytest.raises(StoreError, match="feedback 5 is not between -1 and 1"):
        record_feedback(workspace, row.id, 5)
    with pytest.raises(StoreError, match="no answer with id 'nobody' was served"):
        record_feedback(workspace, "nobody", 1)


def test_threads_that_write_at_once_lose_nothing(workspace: Workspace) -> None:
    def write(worker: int) -> int:
        return sum(record_served(workspace, [served(f"{worker} {i}")]) for i in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(4))) == [20, 20, 20, 20]
    with workspace.sessions() as session:
        assert session.scalar(select(func.count()).select_from(ServedRow)) == 80


def test_a_deployment_of_an_unknown_bundle_is_refused(workspace: Workspace) -> None:
    with (
        pytest.raises(StoreError, match="FOREIGN KEY constraint failed"),
        workspace.writing() as session,
    ):
        session.add(DeploymentRow(bundle_id="nowhere", action="publish"))
