"""Which words made it that intent, and what it was taught that is like it: for what is served.

It takes some fifteen times as long as an answer, so it is computed beside the answering: in one
thread that gives way to all others, one text at a time, and remembered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tailorbird.data import mask_pii
from tailorbird.errors import ConfigError, MissingExtraError, TailorbirdError, UnavailableError
from tailorbird.records import Example

if TYPE_CHECKING:
    from tailorbird.evaluation.explaining import Explanation
    from tailorbird.evaluation.neighbours import Neighbour, Neighbourhood
    from tailorbird.serving.engine import Predictor

N_NEAREST = 5
N_REMEMBERED = 256
MAX_WAITING = 8
"""Texts that wait; whoever comes then is told to come again."""
LOWER_BY = 10
"""How much the thread gives way, in steps of `nice`."""

Problem = Literal["", "extra", "model"]


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why a text was taken for an intent."""

    bundle: str
    """The id of what was asked."""
    words: Explanation | None
    """None where there is a `problem`."""
    nearest: tuple[Neighbour, ...] = ()
    """Training rows of the likeliest intents; none where no run of the bundle is here."""
    problem: Problem = ""
    """``extra``: a package is missing; ``model``: this kind of assistant cannot be explained."""
    sentence: str = ""
    """The problem, and what to do."""


class Explainer:
    """Explains texts with whatever *served* gives at the time, for many who ask at once."""

    def __init__(self, served: Callable[[], Predictor | None]) -> None:
        self._served = served
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="tailorbird-explainer", initializer=_give_way
        )
        self._known: OrderedDict[tuple[str, str, str], Reasons] = OrderedDict()
        self._doing: dict[tuple[str, str, str], Future[Reasons]] = {}
        self._lock = threading.Lock()
        self._taught = Taught()
        self._taught_apart: Any = None

    async def explain(self, text: str, /, *, intent: str = "") -> Reasons:
        """Why *text* is of *intent*; empty: of the likeliest.

        Raises UnavailableError where nothing is served or too many wait, ConfigError for an intent
        that what is served does not know.
        """
        predictor = self._served()
        if predictor is None:
            raise UnavailableError(
                "no bundle is live yet", cure="build one with: tailorbird build LOGS"
            )
        key = (predictor.id, text, intent)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            doing = self._doing.get(key)
            if doing is None:
                if len(self._doing) >= MAX_WAITING:
                    raise UnavailableError(
                        f"{MAX_WAITING} texts are being explained", cure="try again in some seconds"
                    )
                doing = self._submit(predictor, key)
                self._doing[key] = doing
        # Whoever goes away leaves it to be remembered, and to others who wait for the same.
        return await asyncio.shield(asyncio.wrap_future(doing))

    def close(self) -> None:
        """Explain nothing any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _submit(self, predictor: Predictor, key: tuple[str, str, str]) -> Future[Reasons]:
        try:
            return self._thread.submit(self._explain, predictor, key)
        except RuntimeError as error:
            raise UnavailableError("the service is closing") from error

    def _explain(self, predictor: Predictor, key: tuple[str, str, str]) -> Reasons:
        _, text, intent = key
        try:
            found = self._reasons(predictor, text, intent)
            with self._lock:
                self._known[key] = found
                while len(self._known) > N_REMEMBERED:
                    self._known.popitem(last=False)
            return found
        finally:
            with self._lock:
                self._doing.pop(key, None)

    def _reasons(self, predictor: Predictor, text: str, intent: str) -> Reasons:
        """`reasons_of`, found where the model is."""
        passes: Any = getattr(predictor, "passes", predictor)  # those of a personal bundle
        if not hasattr(passes, "aside"):
            return reasons_of(predictor, text, intent=intent, taught=self._taught)
        if self._taught_apart is None:
            self._taught_apart = passes.place(Taught)
        found: Reasons = passes.aside(reasons_of, text, intent=intent, taught=self._taught_apart)
        return found


class Taught:
    """The training rows of the bundle asked last, embedded; they are read again if they change."""

    def __init__(self) -> None:
        self._of: tuple[str, float] | None = None
        self._found: Neighbourhood | None = None

    def of(self, bundle: Any) -> Neighbourhood | None:
        """What *bundle* was taught; None where its run is not beside it."""
        file = rows_of(bundle)
        if file is None:
            return None
        version = (bundle.id, file.stat().st_mtime)
        if version != self._of:
            from tailorbird.evaluation.neighbours import Neighbourhood

            rows = training_rows(file)
            self._found, self._of = Neighbourhood(bundle.classifier, rows), version
        return self._found


def reasons_of(
    predictor: Any, text: str, *, intent: str = "", taught: Taught | None = None
) -> Reasons:
    """Why *predictor*, a bundle with or without users, takes *text* for *intent*, else its own.

    A user's own adapter is left aside: it is the assistant shared by all that is explained. Raises
    ConfigError for an intent that it does not know.
    """
    bundle = getattr(predictor, "bundle", predictor)  # that of a personal bundle
    if not hasattr(bundle, "classifier") or not hasattr(bundle, "temperature"):
        said = "only an assistant that was tuned here can be explained"
        return Reasons(predictor.id, None, problem="model", sentence=said)
    if intent and intent not in bundle.labels:
        raise ConfigError(f"{intent!r} is no intent of bundle {bundle.id}", where="intent")
    from tailorbird.evaluation.explaining import explain

    words: Explanation | None = None
    problem: Problem = ""
    sentence = ""
    try:
        words = explain(bundle.classifier, text, label=intent, temperature=bundle.temperature)
    except MissingExtraError as error:
        problem, sentence = "extra", str(error)
    except ConfigError as error:
        problem, sentence = "model", str(error)
    nearest = _nearest(bundle, text, intent, taught or Taught())
    return Reasons(bundle.id, words, nearest, problem, sentence)


def _nearest(bundle: Any, text: str, intent: str, taught: Taught) -> tuple[Neighbour, ...]:
    try:
        rows = taught.of(bundle)
    except (OSError, ValueError, KeyError, TypeError, TailorbirdError):
        return ()  # a run that is being forgotten or made anew
    if rows is None:
        return ()
    (found,) = bundle.predict([text])
    likely = [found.intent, *(name for name, _ in found.alternatives)]
    return tuple(rows.nearest(text, [intent, *likely] if intent else likely, N_NEAREST))


def rows_of(bundle: Any) -> Path | None:
    """The training rows of the run that made *bundle*, where it stands in the same workspace."""
    name = str((getattr(bundle, "report", None) or {}).get("run", {}).get("name", ""))
    if not name or Path(name).name != name:
        return None
    file = Path(bundle.path).parent.parent / "runs" / name / "examples.jsonl"
    return file if file.is_file() else None


def training_rows(file: Path) -> list[Example]:
    """The rows of the training split, personal data masked."""
    rows = []
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row.get("split") == "train" and row.get("label"):
                rows.append(Example(mask_pii(str(row["text"])), str(row["label"])))
    return rows


def _give_way() -> None:
    """Let answers go first; threads of the same work that are begun here inherit it (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWER_BY)
