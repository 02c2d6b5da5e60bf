"""Recommendation of a workspace, opened: the model in use, followed as it changes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec

from fastapi import APIRouter

from tailorbird.assistant_settings import ListSettings
from tailorbird.assistants.recommend.http.routes import recommend_routes
from tailorbird.assistants.recommend.live import Recommender
from tailorbird.assistants.recommend.published import live_id, model_path
from tailorbird.errors import BundleError, TailorbirdError
from tailorbird.serving.access import note_action
from tailorbird.store import Workspace

log = logging.getLogger(__name__)

PACKAGES = ("implicit", "lightgbm")
"""What the extra `recommend` brings."""
ITEMS_S = 60.0
"""After so long items are read anew: the command line may have written some."""
OLD_LISTS_S = 6 * 3600.0
"""After so long the log is looked through for lists that are too old to be kept."""


@dataclass(frozen=True)
class OpenRecommend:
    """Recommendation with all that it works with."""

    recommender: Recommender
    said: set[str] = field(default_factory=set)
    """What is wrong with what is there: the log says it once, however often it is tried."""

    def routers(self) -> list[APIRouter]:
        """All routes under ``/v1``."""
        note = partial(note_action, self.recommender.workspace)
        return recommend_routes(self.recommender, note=note)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For the lifespan of the application: follows what others fit and write, then closes."""
        await asyncio.to_thread(self._take_over, (self.recommender.load, self._model))
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.to_thread(self.recommender.close)

    async def _follow(self) -> None:
        recommender = self.recommender
        every_s = recommender.settings.follow_s
        for turn in itertools.count():
            # Who was forgotten by another process is let go of here, whether asked for or not.
            wanted: list[Callable[[], object]] = [self._model, recommender.histories.drop_stale]
            if turn and _is_time(turn, ITEMS_S / every_s):
                wanted.insert(0, recommender.read_items)
            if _is_time(turn, OLD_LISTS_S / every_s):
                wanted.append(recommender.drop_old_lists)
            await asyncio.to_thread(self._take_over, wanted)
            await asyncio.sleep(every_s)

    def _model(self) -> None:
        follow_model(self.recommender)

    def _take_over(self, wanted: Sequence[Callable[[], object]]) -> None:
        """Do each of *wanted*; the log says what failed, and what was known before goes on."""
        for one in wanted:
            try:
                one()
            except TailorbirdError as error:
                if str(error) not in self.said:
                    self.said.add(str(error))
                    log.error("what to recommend cannot be used: %s", error)
            except Exception:
                log.exception("what to recommend could not be read; tried again soon")


def _is_time(turn: int, every: float) -> bool:
    return turn % max(round(every), 1) == 0


def open_recommend(workspace: Workspace, settings: ListSettings) -> OpenRecommend | None:
    """Recommendation of *workspace*; None where the extra `recommend` is not installed.

    Without a model yet items and events are taken, and lists are refused with what to do.
    """
    if not all(find_spec(package) for package in PACKAGES):
        log.warning("no recommendation: pip install 'tailorbird[recommend]'")
        return None
    return OpenRecommend(open_recommender(workspace, settings))


def open_recommender(workspace: Workspace, settings: ListSettings) -> Recommender:
    """A recommender that ranks with nothing until `follow_model` is called; to be closed."""
    from tailorbird.assistants.recommend.ranking.diversity import diversify

    return Recommender(workspace, None, settings, diversify=diversify)


def follow_model(recommender: Recommender) -> bool:
    """Go over to the model in use where it is another; whether it was."""
    from tailorbird.assistants.recommend.ranking.model import RecommendModel

    workspace, model = recommender.workspace, recommender.model
    wanted = live_id(workspace)
    if not wanted or (model is not None and model.id == wanted):
        return False
    folder = model_path(workspace)
    loaded = RecommendModel.load(folder, cache=workspace.cache_path)
    if loaded.ranker.names != loaded.feature_names:
        raise BundleError(
            "was fitted by another version, which looked at other features",
            where=str(folder),
            cure="fit it again: tailorbird recommend fit",
        )
    recommender.replace(loaded)
    log.info("model %s recommends from now on", wanted)
    return True
