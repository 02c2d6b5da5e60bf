"""Posts that others send: who may, in which shapes."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import func, select

from tailorbird.assistants.opinion.gathering.intake import Intake
from tailorbird.assistants.opinion.gathering.source_table import SourceTable
from tailorbird.assistants.opinion.gathering.webhook import Webhooks
from tailorbird.errors import ConflictError, ForbiddenError, RequestError
from tailorbird.store import Workspace
from tailorbird.store.tables import PostRow

from .conftest import Now


@pytest.fixture
def table(workspace: Workspace, now: Now) -> SourceTable:
    return SourceTable(workspace, clock=now)


@pytest.fixture
def secret(table: SourceTable) -> str:
    return table.add("forum", "webhook", settings={"fields": {"text": "msg"}}).secret


@pytest.fixture
def webhooks(workspace: Workspace, now: Now) -> Webhooks:
    return Webhooks(workspace, Intake(workspace, clock=now), clock=now)


def test_posts_come_in_any_usual_shape_and_are_on_disk_when_it_returns(
    webhooks: Webhooks, secret: str, workspace: Workspace, table: SourceTable, now: Now
) -> None:
    for number, body in enumerate(
        [
            '{"id": 1, "msg": "one"}',
            '[{"id": 2, "msg": "two"}]',
            '{"posts": [{"id": 3, "msg": "three"}, {"id": 1, "msg": "one"}]}',
            '{"id": 4, "msg": "four"}\n{"id": 5, "msg": "five"}\n',
        ],
        1,
    ):
        taken = webhooks.receive("forum", secret, body.encode())
        assert taken.n_new == (2 if number == 4 else 1)
    with workspace.sessions() as session:
        assert session.scalar(select(func.count()).select_from(PostRow)) == 5
    assert table.get("forum").last_ok == now()


def test_a_bad_post_costs_only_itself_and_is_answered(webhooks: Webhooks, secret: str) -> None:
    taken = webhooks.receive(
        "forum", secret, b'[{"msg": "good"}, {"text": "x"}, 7, {"msg": "a", "time": "?"}]'
    )
    assert taken.n_new == 1
    assert [one.where for one in taken.rejects] == ["posts[1]", "posts[2]", "posts[3]"]
    json.dumps(taken.to_json())


def test_a_wrong_secret_and_a_wrong_name_are_refused_alike(
    webhooks: Webhooks, secret: str, table: SourceTable
) -> None:
    table.add("file", "file", "/tmp/a.jsonl")
    said = set()
    for name, key in (
        ("forum", "wrong"),
        ("forum", ""),
        ("other", secret),
        ("file", ""),
        ("file", "-"),
    ):
        with pytest.raises(ForbiddenError) as caught:
            webhooks.receive(name, key, b'{"msg": "a"}')
        said.add(str(caught.value))
    assert len(said) == 1
    row = table.get("forum")
    assert secret not in json.dumps(row.settings)  # only its hash is kept


def test_a_removed_or_paused_webhook_takes_nothing_soon_after(
    webhooks: Webhooks, secret: str, table: SourceTable, now: Now
) -> None:
    webhooks.receive("forum", secret, b'{"msg": "a"}')
    table.pause("forum")
    now.move(seconds=11)
    with pytest.raises(
        ConflictError, match="is paused; resume it: tailorbird opinion resume forum"
    ):
        webhooks.receive("forum", secret, b'{"msg": "b"}')
    table.pause("forum", is_paused=False)
    now.move(seconds=11)
    assert webhooks.receive("forum", secret, b'{"msg": "b"}').n_new == 1
    table.remove("forum")
    now.move(seconds=11)
    with pytest.raises(ForbiddenError):
        webhooks.receive("forum", secret, b'{"msg": "c"}')


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "is no JSON"),
        (b"words", "is no JSON"),
        (b"7", "is no object and no list"),
        (b"\xff", "is not UTF-8"),
        (b"[" * 100_000, "is no JSON"),
        (b" " * 16_000_001, "is 16,000,001 bytes long"),
        (b"[" + b"1," * 10_000 + b"1]", "holds 10,001 posts"),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(
    webhooks: Webhooks, secret: str, body: bytes, sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence):
        webhooks.receive("forum", secret, body)
