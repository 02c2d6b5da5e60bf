"""A service desk for tests, in a process of its own: ``python desk_to_kill.py FOLDER PORT``."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.config import ServingSettings
from tailorbird.serving.guard import Guard
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.store import Workspace

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Decision


async def echo(conversation_id: str, turns: Sequence[Any], user: str | None) -> Decision:
    """Answers each message with itself, after a moment in which one may be killed."""
    await asyncio.sleep(0.005)
    return Decision("template", f"you said {turns[-1].text}", intent="echo", confidence=1.0)


def app_of(service_desk: ServiceDesk) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service_desk.running():
            yield

    app = FastAPI(lifespan=lifespan)
    refuse_in_sentences(app)
    for router in service_desk.routers():
        app.include_router(router)

    @app.get("/listeners")
    async def listeners() -> int:
        return service_desk.books.events.n_subscribers

    app.add_middleware(Guard, settings=ServingSettings(), policies={})
    return app


def main(folder: Path, port: int) -> None:
    with Workspace.open(folder) as workspace, socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(2048)  # who comes from now on waits for the server
        print(f"http://127.0.0.1:{port}", flush=True)
        app = app_of(ServiceDesk(workspace, echo))
        uvicorn.Server(uvicorn.Config(app, log_config=None)).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
