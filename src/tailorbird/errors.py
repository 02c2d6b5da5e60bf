"""Every error Tailorbird raises on purpose: where it happened, what was found, what to do.

The tree (each leaf is also the standard exception named beside it)::

    TailorbirdError
    ├── ConfigError            ValueError    a settings key, value or file is wrong
    ├── MissingExtraError      ImportError   an optional dependency is not installed
    ├── DataError              ValueError    logs, labels or splits cannot be used
    │   ├── RowError                         one row; kept in rejects.jsonl
    │   ├── TooManyRejectsError              more bad rows than the settings allow
    │   └── NoLabelsError                    nothing to learn from: how to label
    ├── WeightsError           RuntimeError  pretrained weights are missing or altered
    ├── TuningError            RuntimeError  a run cannot start or go on
    │   ├── DivergedError                    the loss is not a number any more
    │   └── CheckpointError                  a checkpoint does not fit this run
    ├── BundleError            RuntimeError  a bundle cannot be written or loaded
    │   └── CorruptBundleError               a file differs from its manifest
    ├── StoreError             RuntimeError  the workspace or its database
    ├── KnowledgeError         ValueError    a document, a rule or a fact cannot be used
    ├── SourceError            RuntimeError  a place that posts come from gives none
    ├── RequestError           ValueError    a client's request; becomes a 422
    │   ├── ForbiddenError                   not for who asks; becomes a 403
    │   ├── NotFoundError                    what it names is not there; becomes a 404
    │   └── ConflictError                    somebody else was first; becomes a 409
    └── UnavailableError       RuntimeError  nothing can be answered now; becomes a 503
"""

from __future__ import annotations

from typing import Any


class TailorbirdError(Exception):
    """Base of the tree; reads as ``where: what; cure``.

    >>> str(TailorbirdError("role 'bot' is unknown", where="a.jsonl:4", cure="map it"))
    "a.jsonl:4: role 'bot' is unknown; map it"
    """

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        self.what = what
        self.where = where
        self.cure = cure
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"; {self.cure}" if self.cure else ""
        return f"{place}{self.what}{advice}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.what, self.where, self.cure)


def _rebuild(kind: type[TailorbirdError], what: str, where: str, cure: str) -> TailorbirdError:
    return kind(what, where=where, cure=cure)


class ConfigError(TailorbirdError, ValueError):
    """A settings key, value or file is wrong."""


class MissingExtraError(TailorbirdError, ImportError):
    """An optional dependency is not installed; the message names the extra.

    >>> str(missing_extra("tensorboard", extra="tracking"))
    "package 'tensorboard' is not installed; pip install 'tailorbird[tracking]'"
    """


def missing_extra(package: str, *, extra: str) -> MissingExtraError:
    """Build the error for a *package* that the optional dependency set *extra* brings."""
    return MissingExtraError(
        f"package {package!r} is not installed", cure=f"pip install 'tailorbird[{extra}]'"
    )


class DataError(TailorbirdError, ValueError):
    """Logs, labels or splits cannot be used as they are."""


class RowError(DataError):
    """One row cannot be used; *where* is ``file:line``."""


class TooManyRejectsError(DataError):
    """More rows were rejected than ``reading.max_rejects`` allows."""


class NoLabelsError(DataError):
    """No row carries a label, so there is nothing to learn from."""


class WeightsError(TailorbirdError, RuntimeError):
    """Pretrained weights are missing, altered, or of an unsupported kind."""


class TuningError(TailorbirdError, RuntimeError):
    """A tuning run cannot start or go on."""


class DivergedError(TuningError):
    """The loss became NaN or infinite."""


class CheckpointError(TuningError):
    """A checkpoint is missing, damaged, or belongs to another run."""


class BundleError(TailorbirdError, RuntimeError):
    """A bundle cannot be written or loaded."""


class CorruptBundleError(BundleError):
    """A file of the bundle is missing or differs from its manifest."""


class StoreError(TailorbirdError, RuntimeError):
    """The workspace folder or its database cannot be used."""


class KnowledgeError(TailorbirdError, ValueError):
    """A document, a rule or a fact cannot be used."""


class SourceError(TailorbirdError, RuntimeError):
    """A place that posts come from does not answer, or not with posts.

    *wait_s*: how long it asks to be left alone; 0 where it does not say.
    """

    def __init__(self, what: str, *, where: str = "", cure: str = "", wait_s: float = 0.0) -> None:
        super().__init__(what, where=where, cure=cure)
        self.wait_s = wait_s

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_source, (self.what, self.where, self.cure, self.wait_s)


def _rebuild_source(what: str, where: str, cure: str, wait_s: float) -> SourceError:
    return SourceError(what, where=where, cure=cure, wait_s=wait_s)


class RequestError(TailorbirdError, ValueError):
    """A client's request cannot be answered; the service turns it into a 422."""


class ForbiddenError(RequestError):
    """Whoever asks may not do this; becomes a 403."""


class NotFoundError(RequestError):
    """What the request names is not there; becomes a 404."""


class ConflictError(RequestError):
    """Somebody else was first, or it is too late; becomes a 409."""


class UnavailableError(TailorbirdError, RuntimeError):
    """The service cannot answer right now: loading, overloaded or closing; becomes a 503."""
