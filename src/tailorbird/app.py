"""The one place that assembles engine, routes and pages into an application, and runs it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from tailorbird import __version__
from tailorbird.apart import Process
from tailorbird.assistant_settings import DeskSettings, ListSettings, OpinionSettings
from tailorbird.assistants.opinion import OpenOpinion, WatchSettings, open_opinion
from tailorbird.assistants.opinion.gathering.tagging import TunedTags
from tailorbird.assistants.recommend import OpenRecommend, open_recommend
from tailorbird.assistants.service_desk import OpenDesk, open_service_desk
from tailorbird.bundle import Bundle, load_bundle, personal, registry
from tailorbird.config import AccessSettings, ServingSettings
from tailorbird.connectors import Web
from tailorbird.console import CONSOLE_POLICY, mount_console
from tailorbird.errors import ConfigError
from tailorbird.serving import Predictor, Service, add_service, check_exposure, recorder_for
from tailorbird.serving.access import open_access
from tailorbird.store import Workspace

log = logging.getLogger(__name__)

GRACE_S = 30
"""How long a stopping server waits for answers in flight before it cuts them off."""


@dataclass(frozen=True)
class Wanted:
    """Which assistants are to be at work, each by its settings; None: not that one."""

    desk: DeskSettings | None = None
    opinion: OpinionSettings | None = None
    recommend: ListSettings | None = None

    def opened(self, workspace: Workspace, service: Service, serving: ServingSettings) -> Opened:
        """Those assistants, with what *workspace* has for them."""
        desk, opinion, recommend = self.desk, self.opinion, self.recommend
        return Opened(
            open_service_desk(workspace, service, desk, serving) if desk else None,
            open_public(workspace, opinion) if opinion else None,
            open_recommend(workspace, recommend) if recommend else None,
        )


NOBODY = Wanted()


@dataclass(frozen=True)
class Opened:
    """The assistants of a workspace that are at work."""

    desk: OpenDesk | None = None
    opinion: OpenOpinion | None = None
    recommend: OpenRecommend | None = None

    @property
    def all(self) -> list[OpenDesk | OpenOpinion | OpenRecommend]:
        """Those that are there."""
        return [one for one in (self.desk, self.opinion, self.recommend) if one is not None]


Look = Callable[[str], Predictor | None]
"""Given the id of what is served, what should be served instead; None: nothing else."""


def create_app(
    workspace: Workspace | None,
    predictor: Predictor | None,
    settings: ServingSettings,
    *,
    access: AccessSettings | None = None,
    process: Process | None = None,
    wanted: Wanted = NOBODY,
    console: bool = True,
    follow: Look | None = None,
    follow_s: float = 2.0,
) -> FastAPI:
    """The application that serves *predictor* (a Bundle, or anything of its shape).

    Without a predictor it starts, says that no bundle is live, and waits for one. Without a
    workspace it remembers nothing, and none of the assistants that are *wanted* is at work.
    *follow* is asked every *follow_s* seconds for another predictor than the one served (`live_in`
    asks a workspace), and the service goes over to it without losing a request. Models compute in
    *process*, which ends with the application; without one they compute in this process.
    Raises ConfigError where it would be open to others than this machine without a key.
    """
    doors = open_access(settings, access, workspace=workspace)
    check_exposure(settings, doors.keys)
    keeps = workspace if settings.keep_interactions else None
    recorder = recorder_for(keeps) if keeps is not None else None
    service = Service(predictor, settings, recorder=recorder, process=process)
    opened = wanted.opened(workspace, service, settings) if workspace is not None else Opened()
    app = FastAPI(
        title="Tailorbird 缝叶莺",
        version=__version__,
        description="An assistant that was fine-tuned from interaction logs.",
        docs_url=None,
        redoc_url=None,
        lifespan=lambda _: _running(service, opened, follow, follow_s),
    )
    app.state.service = service
    app.state.access = doors
    app.state.desk = opened.desk
    add_service(app, service, policies={"/console": CONSOLE_POLICY}, access=doors)
    for one in opened.all:
        for router in one.routers():
            app.include_router(router)
    home = "/console/" if console else "/docs"

    @app.get("/", include_in_schema=False)
    async def index() -> RedirectResponse:
        return RedirectResponse(home)

    if console:
        mount_console(
            app,
            service,
            workspace,
            desk=opened.desk.service_desk if opened.desk else None,
            knowledge=opened.desk.knowledge if opened.desk else None,
            opinion=opened.opinion,
            recommender=opened.recommend.recommender if opened.recommend else None,
        )
    return app


@contextlib.asynccontextmanager
async def _running(
    service: Service,
    opened: Opened,
    follow: Look | None,
    follow_s: float,
) -> AsyncIterator[None]:
    """The life of an application: from the engine's start until nothing is left to be written."""
    await service.start()
    following = None
    if follow is not None:
        following = asyncio.create_task(_follow(service, follow, follow_s))
    try:
        async with contextlib.AsyncExitStack() as stack:
            for one in opened.all:
                await stack.enter_async_context(one.running())
            _spare_collecting()
            yield
    finally:
        if following is not None:
            following.cancel()
        await service.close()


def _spare_collecting() -> None:
    """Let garbage collection pass over what is loaded by now, and stays.

    A full collection looks at a million objects of the libraries, a tenth of a second in which
    nobody is answered.
    """
    gc.collect()
    gc.freeze()


def open_public(workspace: Workspace, settings: OpinionSettings) -> OpenOpinion:
    """Opinion monitoring of *workspace*; ConfigError where its settings cannot be."""
    tagger = TunedTags.open(settings.tagger, workspace) if settings.tagger else None
    return open_opinion(workspace, WatchSettings.of(settings), fetch=Web(), tagger=tagger)


def live_in(workspace: Workspace, settings: ServingSettings | None = None) -> Look:
    """Looks for the live bundle of *workspace*: what `create_app` can follow.

    With *settings*, it is served with the adapters of its users (`for_users`).
    """

    def look(served: str) -> Predictor | None:
        live = registry.live_bundle(workspace)
        if live is None or live.id == served:
            return None
        bundle = load_bundle(live.path)
        return bundle if settings is None else for_users(workspace, bundle, settings)

    return look


def for_users(workspace: Workspace, bundle: Bundle, settings: ServingSettings) -> Predictor:
    """*bundle*, and the adapters of its users where *workspace* has any."""
    return personal.for_users(workspace, bundle, limit_bytes=settings.adapters_mb * 10**6)


async def _follow(service: Service, look: Look, every_s: float) -> None:
    """Go over to whatever is published, or rolled back to, by this or any other process."""
    predictor = service.engine.predictor
    served = predictor.id if predictor else ""
    while True:
        await asyncio.sleep(every_s)
        try:
            newer = await asyncio.to_thread(look, served)
            if newer is None:
                continue
            served = newer.id  # one try each: a bundle that cannot answer leaves the old one live
            await service.replace(newer)
            log.info("bundle %s is served from now on", newer.id)
        except Exception:
            log.exception("the live bundle could not be taken over; the one before goes on")


def run_server(
    app: FastAPI,
    settings: ServingSettings,
    *,
    on_start: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve *app* until SIGINT or SIGTERM, finish what is in flight, and return.

    Tells *on_start* the address once requests are answered. Raises ConfigError where the port
    cannot be had.
    """
    listener = listen(settings.host, settings.port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    loop = config.get_loop_factory()
    with listener, _signals_end_quietly(), asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_serve(server, listener, on_start))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigError says what to do where the port cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"serving.host = {host!r} is not an address here ({error})") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        cures = {
            errno.EADDRINUSE: f"stop what listens there, or choose another: --port {port + 1}",
            errno.EACCES: "ports below 1024 are the administrator's: --port 8420",
            errno.EADDRNOTAVAIL: "this machine does not have that address: --host 127.0.0.1",
        }
        raise ConfigError(
            f"port {port} cannot be had ({error.strerror})",
            where=host,
            cure=cures.get(error.errno or 0, ""),
        ) from error
    return listener


async def _serve(
    server: uvicorn.Server, listener: socket.socket, on_start: Callable[[str], None]
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.02)
    if server.started:
        host, port = listener.getsockname()[:2]
        on_start(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    await serving


@contextlib.contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """A server stopped by a signal has done its duty: no traceback, exit status 0.

    uvicorn raises the signal again once it has shut down; these handlers receive it then.
    """
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
