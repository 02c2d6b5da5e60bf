"""Work that goes round and round beside the service: each part for itself, failing alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tailorbird.store.tables import utc_now

log = logging.getLogger(__name__)
GRACE_S = 20.0
"""How long a stopping service waits for what is under way."""


@dataclass(slots=True)
class Step:
    """One part of the work, and how it went last."""

    name: str
    do: Callable[[], int]
    """Does what waits, in a worker thread; how much it was."""
    every_s: float
    """At the latest after so long it is done again."""
    wakes: tuple[str, ...] = ()
    """Which steps are done at once where this one did something."""
    is_repeated: bool = False
    """Done again at once for as long as there was something to do."""
    last_ok: datetime | None = None
    error: str = ""
    """Of the last time; empty: it went well."""
    woken: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


class Rounds:
    """Runs steps side by side until it is told to stop; what fails is logged and tried again."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = {step.name: step for step in steps}
        self._is_over = False

    def wake(self, name: str) -> None:
        """Let a step be done now; call it from the event loop."""
        self.steps[name].woken.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The steps go round inside; what is under way at the end may end, for a while."""
        self._is_over = False
        tasks = [asyncio.create_task(self._repeat(step)) for step in self.steps.values()]
        try:
            yield
        finally:
            self._is_over = True
            for step in self.steps.values():
                step.woken.set()
            _, late = await asyncio.wait(tasks, timeout=GRACE_S)
            for task in late:
                task.cancel()

    async def _repeat(self, step: Step) -> None:
        while not self._is_over:
            step.woken.clear()
            n_done = await self._once(step)
            if n_done and not self._is_over:
                for name in step.wakes:
                    self.wake(name)
                if step.is_repeated:
                    continue
            if not self._is_over:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(step.woken.wait(), step.every_s)

    async def _once(self, step: Step) -> int:
        try:
            n_done = await asyncio.to_thread(step.do)
        except Exception as error:
            step.error = f"{type(error).__name__}: {error}"[:500]
            log.exception("%s failed; tried again within %.0f s", step.name, step.every_s)
            return 0
        step.last_ok, step.error = utc_now(), ""
        return n_done
