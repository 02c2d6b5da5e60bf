"""Opinion monitoring with its pages, for tests: ``python opinion_server.py FOLDER``.

FOLDER is its workspace. The posts are the sample ones, moved so that the last is of today, and
judged as they were meant; what rises in them is found by the watch itself. The address is printed
when it can be asked.
"""

from __future__ import annotations

import contextlib
import runpy
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from tailorbird.app import run_server
from tailorbird.assistants.opinion import OpenOpinion, open_opinion
from tailorbird.assistants.opinion.watching import Watcher
from tailorbird.config import ServingSettings
from tailorbird.console import CONSOLE_POLICY, mount_console
from tailorbird.console.frame import Console
from tailorbird.console.opinion import add_opinion_pages
from tailorbird.serving import Service, add_service
from tailorbird.serving.sessions import secret_in
from tailorbird.store import Workspace
from tailorbird.store.tables import (
    DeliveryRow,
    EntityRow,
    MentionRow,
    PostRow,
    PostTopicRow,
    SourceRow,
    TopicProposalRow,
    utc_now,
)
from tailorbird.testing import KeywordPredictor

EXAMPLES = Path(__file__).parents[2] / "examples" / "opinion"


def put_posts(workspace: Workspace) -> None:
    """The sample posts, judged as they were meant."""
    sample: Any = runpy.run_path(str(EXAMPLES / "generate.py"))
    rows = list(sample["posts"](sample["World"](11)))
    days = (utc_now() - rows[-1]["at"]) // timedelta(days=1)
    with workspace.writing() as session:
        firsts: dict[str, str] = {}
        unseen = []
        for number, row in enumerate(rows):
            story = row["text"].rstrip(" ()（）0123456789")  # as the intake knows it again
            post = PostRow(
                key=f"p{number}",
                source=f"paper-{number % 3}",
                time=row["at"] + timedelta(days=days),
                text=row["text"],
                url=f"https://paper.example/{number}",
                language=row["language"],
                copy_of=firsts.get(story),
                model="sample",
                sentiment=row["sentiment"],
                probabilities={row["sentiment"]: 0.9},
                topics=dict.fromkeys(row["topics"], 0.9),
            )
            session.add(post)
            session.flush()
            if post.copy_of is None:
                firsts[story] = post.id
                session.add_all(PostTopicRow(post_id=post.id, topic=t) for t in row["topics"])
                session.add_all(
                    MentionRow(post_id=post.id, entity=name, kind="company", sentiment=kind)
                    for name, kind in row["entities"].items()
                )
            if not row["topics"]:
                unseen.append(post.id)
        words = ["plastic", "回收", "packaging", "waste", "塑料"]
        session.add(TopicProposalRow(words=words, posts=unseen, n_posts=len(unseen)))


def put_sources(workspace: Workspace) -> None:
    """Three sources, one of them down, and the known names."""
    now = utc_now()
    with workspace.writing() as session:
        session.add(
            SourceRow(
                name="paper-0",
                kind="feed",
                address="https://me:secret@paper.example/rss?key=1",
                last_ok=now - timedelta(minutes=4),
                next_poll=now + timedelta(days=1),
            )
        )
        session.add(
            SourceRow(
                name="paper-1",
                kind="json",
                address="https://paper.example/api/posts",
                last_ok=now - timedelta(hours=9),
                last_error="answers 503 Service Unavailable",
                n_failures=4,
                next_poll=now + timedelta(days=1),
            )
        )
        session.add(SourceRow(name="paper-2", kind="webhook", address="", last_ok=now))
        lines = (EXAMPLES / "aliases.csv").read_text(encoding="utf-8").splitlines()[1:]
        for line in lines:
            name, kind, aliases = line.split(",")
            session.add(EntityRow(name=name, kind=kind, aliases=aliases.split("|")))


def opinion_app(workspace: Workspace) -> tuple[FastAPI, OpenOpinion]:
    """The service with opinion monitoring and its console."""
    service = Service(KeywordPredictor(), ServingSettings(port=0))
    opened = open_opinion(workspace)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.engine.start()
        async with opened.running():
            yield
        await service.close()

    app = FastAPI(lifespan=lifespan)
    add_service(app, service, policies={"/console": CONSOLE_POLICY})
    for router in opened.routers():
        app.include_router(router)
    mount_console(app, service, workspace)
    console = Console(service, secret_in(workspace.path / "console"), workspace)
    add_opinion_pages(console, opened)
    return app, opened


def main(folder: Path) -> None:
    with Workspace.open(folder) as workspace:
        put_posts(workspace)
        put_sources(workspace)
        alerts = Watcher(workspace).look()
        with workspace.writing() as session:
            session.add(DeliveryRow(alert_id=alerts[-1].id, channel="ops", arrived=utc_now()))
        app, _ = opinion_app(workspace)
        settings = ServingSettings(port=0)
        run_server(app, settings, on_start=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
