"""A service with recommendation, for tests: ``python recommend_server.py FOLDER``.

FOLDER is its workspace. The shop is that of the examples; a small model ranks by shared tags. The
address is printed when it can be asked.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI

from tailorbird.app import run_server
from tailorbird.assistant_settings import ListSettings
from tailorbird.assistants.recommend import OpenRecommend, Recommender
from tailorbird.assistants.recommend.catalogue.reading import read_events, read_items
from tailorbird.assistants.recommend.intake import Posted
from tailorbird.assistants.recommend.seam import best_first
from tailorbird.config import ServingSettings
from tailorbird.console import CONSOLE_POLICY
from tailorbird.console.frame import Console
from tailorbird.console.mount import mount_console
from tailorbird.console.recommend import add_recommend_page
from tailorbird.serving import Service, add_service
from tailorbird.serving.sessions import secret_in
from tailorbird.store import Workspace
from tailorbird.testing import KeywordPredictor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the fakes of other tests are found from there
SHOP = ROOT / "examples" / "recommend"


def shop_in(workspace: Workspace, *, has_model: bool = True) -> Recommender:
    """The recommender of the sample shop with a small model."""
    from tests.assistants.recommend.live_fakes import TagModel

    model = TagModel() if has_model else None
    made = Recommender(workspace, model, ListSettings(), diversify=best_first, seed=0)
    made.put_items(list(read_items(SHOP / "items.jsonl")))
    made.take([Posted(event) for event in read_events(SHOP / "events.csv")])
    return made


def recommend_app(recommender: Recommender | None, workspace: Workspace) -> FastAPI:
    """The service with routes and console of *recommender*."""
    service = Service(KeywordPredictor(), ServingSettings(port=0))
    opened = OpenRecommend(recommender) if recommender else None

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.engine.start()
        async with opened.running() if opened else contextlib.nullcontext():
            yield
        await service.close()

    app = FastAPI(lifespan=lifespan)
    add_service(app, service, policies={"/console": CONSOLE_POLICY})
    for router in opened.routers() if opened else ():
        app.include_router(router)
    mount_console(app, service, workspace)
    console = Console(service, secret_in(workspace.path / "console"), workspace)
    add_recommend_page(console, recommender)
    return app


def main(folder: Path) -> None:
    with Workspace.open(folder) as workspace:
        app = recommend_app(shop_in(workspace), workspace)
        run_server(
            app, ServingSettings(port=0), on_start=lambda address: print(address, flush=True)
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
