"""A service with its desk, for tests: ``python desk_server.py FOLDER``.

FOLDER is its workspace. The assistant answers by keywords; documents are found by words. The
address is printed when it can be asked.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from tailorbird.app import run_server
from tailorbird.assistants.service_desk import ServiceDesk
from tailorbird.config import ServingSettings
from tailorbird.console import CONSOLE_POLICY, mount_console
from tailorbird.knowledge import KnowledgeBase
from tailorbird.records import Passage
from tailorbird.serving import Service, add_service
from tailorbird.store import Workspace
from tailorbird.testing import KeywordPredictor
from tailorbird.testing.encoder import WordEncoder
from tailorbird.text import language_of

ANSWER = "The money is back within 5 days."


class LabelledPredictor(KeywordPredictor):
    labels = ("greeting", "refund", "shipping")


@dataclass(frozen=True)
class Sentence:
    text: str
    source: str = ""
    passage: str = ""


@dataclass(frozen=True)
class Decision:
    kind: str
    text: str
    sentences: tuple[Sentence, ...] = ()
    language: str = "en"
    intent: str = ""
    confidence: float = 0.0
    rule: str = ""
    bundle: str = "b1"
    adapter: str = ""
    why: dict[str, Any] = field(default_factory=dict)
    suggestions: tuple[str, ...] = ()


class HalfSupport:
    """Is half sure of everything."""

    def probabilities(self, question: str, passages: Sequence[Passage]) -> list[float]:
        return [0.5] * len(passages)


async def respond(conversation_id: str, turns: Sequence[Any], user: str | None) -> Any:
    """Answers "refund", hands over on "person", refuses the rest."""
    text = turns[-1].text
    language = language_of(text)
    if "person" in text or "人工" in text:
        suggestions = ("We have sent it again.", ANSWER)
        sentence = Sentence(ANSWER, "returns.md › How long", "p1")
        return Decision(
            "hand_over",
            "A moment please.",
            (sentence,),
            language=language,
            intent="refund",
            confidence=0.61,
            why={"wish": text},
            suggestions=suggestions,
        )
    if "refund" in text or "退款" in text:
        return Decision("knowledge", ANSWER, language=language, intent="refund", confidence=0.93)
    return Decision(
        "refusal", "I do not know.", language=language, intent="shipping", confidence=0.2
    )


def desk_app(workspace: Workspace, *, has_parts: bool = True, key: str = "") -> FastAPI:
    """The service, its desk and its console, which knows of desk and knowledge if *has_parts*."""
    service = Service(LabelledPredictor(), ServingSettings(port=0, api_key=key))
    base = KnowledgeBase(workspace, WordEncoder(), support=HalfSupport())
    desk = ServiceDesk(workspace, respond, learn=base.add)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.engine.start()
        async with desk.running():
            yield
        await service.close()

    app = FastAPI(lifespan=lifespan)
    app.state.desk = desk
    add_service(app, service, policies={"/console": CONSOLE_POLICY})
    for router in desk.routers():
        app.include_router(router)
    mount_console(
        app,
        service,
        workspace,
        desk=desk if has_parts else None,
        knowledge=base if has_parts else None,
    )
    return app


def main(folder: Path) -> None:
    with Workspace.open(folder) as workspace:
        settings = ServingSettings(port=0)
        app = desk_app(workspace)
        run_server(app, settings, on_start=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
