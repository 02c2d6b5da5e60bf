"""The files of adapter jobs: what is done, and what is needed to go on.

    jobs.json           what all jobs of the folder share: the type that products run in
    NAME.json           the result, and a hash of what it depends on
    NAME.safetensors    the weights
    NAME.npy            outputs of the rows that were to be predicted
    NAME.state          of a job that was begun: its run, as a checkpoint

Each file is replaced whole or not at all, the result last: where it is, the others are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from tailorbird import __version__
from tailorbird.errors import CheckpointError
from tailorbird.hardware import compute_dtype
from tailorbird.jobs.job import Base, Job, JobResult
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.records import Example
from tailorbird.tuning.checkpoint import load_checkpoint, save_checkpoint

SHARED = "jobs.json"
_MATTER = ("task", "method", "tuning", "optimizer", "loss")


@dataclass(frozen=True)
class JobFiles:
    """The folder of jobs over one *base* and one *pool*."""

    folder: Path
    base: Base
    pool: Sequence[Example]

    def dtype(self, device: str) -> str:
        """What products run in where settings say ``auto``: timed once a folder, then kept."""
        path = self.folder / SHARED
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["dtype"])
        except (OSError, ValueError, KeyError):
            name = str(compute_dtype("auto", device)[0]).removeprefix("torch.")
            self._write(path, (json.dumps({"dtype": name}) + "\n").encode())
            return name

    def result(self, job: Job) -> JobResult | None:
        """What an earlier call made of the same job; None where it is to be done, or failed."""
        try:
            kept = json.loads(self._path(job, ".json").read_text(encoding="utf-8"))
            if kept.pop("depends_on") != self.depends_on(job) or kept["status"] == "failed":
                return None
            found = JobResult(**kept | {"labels": tuple(kept["labels"])})
        except (OSError, ValueError, KeyError, TypeError):
            return None
        weights, outputs = self._path(job, ".safetensors"), self._path(job, ".npy")
        if not weights.is_file() or (job.predict and not outputs.is_file()):
            return None
        return replace(found, weights=weights, outputs=outputs if job.predict else None)

    def keep(self, job: Job, result: JobResult) -> JobResult:
        """Write the result; the job's state, which it stands for, goes."""
        kept = asdict(replace(result, weights=None, outputs=None))
        kept["depends_on"] = self.depends_on(job)
        content = json.dumps(kept, ensure_ascii=False) + "\n"
        self._write(self._path(job, ".json"), content.encode())
        self._path(job, ".state").unlink(missing_ok=True)
        return result

    def keep_failure(self, job: Job, result: JobResult) -> JobResult:
        """Write why a job failed, for people; the next call tries again, anew."""
        with suppress(OSError):
            self.keep(job, result)
        return result

    def keep_weights(self, job: Job, weights: AdapterWeights) -> Path:
        """Write the weights; returns where."""
        path = self._path(job, ".safetensors")
        weights.save(path)
        return path

    def keep_outputs(self, job: Job, outputs: Tensor) -> Path:
        """Write (len(predict), C) logits; returns where."""
        path, content = self._path(job, ".npy"), BytesIO()
        np.save(content, outputs.numpy())
        self._write(path, content.getvalue())
        return path

    def keep_state(self, job: Job, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write what a job that was begun needs to go on."""
        facts = facts | {"depends_on": self.depends_on(job)}
        save_checkpoint(self._path(job, ".state"), tensors, facts)

    def state(self, job: Job) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What `keep_state` wrote of the same job; None where it is to begin anew."""
        path = self._path(job, ".state")
        if not path.is_file():
            return None
        try:
            tensors, facts = load_checkpoint(path)
        except CheckpointError:
            return None
        return (tensors, facts) if facts.get("depends_on") == self.depends_on(job) else None

    def depends_on(self, job: Job) -> str:
        """A hash of all that a job's weights and outputs depend on."""
        sections = job.settings.to_json()
        model = {k: v for k, v in sections["model"].items() if not k.startswith("trunk_")}
        facts = {
            "version": __version__,
            "base": self._base,
            "settings": {name: sections[name] for name in _MATTER} | {"model": model},
            "rows": [
                [self._row_hash(row) for row in rows]
                for rows in (job.train, job.validation, job.predict)
            ],
            "labels": job.labels,
            "from_base": job.from_base,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _base(self) -> str:
        """A hash of the base's weights, its head's too, and of how its texts begin."""
        path = self.base if isinstance(self.base, Path) else self.base.path
        digest = hashlib.sha256()
        if not isinstance(self.base, Path):
            digest.update(f"{self.base.query_prefix}\n{self.base.pooling}\n".encode())
        for file in sorted([*path.glob("*.safetensors"), *path.glob("model.json")]):
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()

    @cached_property
    def _hashes(self) -> dict[int, str]:
        return {}

    def _row_hash(self, row: int) -> str:
        if row not in self._hashes:
            content = json.dumps(self.pool[row].to_json(), sort_keys=True, ensure_ascii=False)
            digest = hashlib.blake2b(content.encode(), digest_size=12)
            self._hashes[row] = digest.hexdigest()
        return self._hashes[row]

    def _path(self, job: Job, ending: str) -> Path:
        return self.folder / f"{job.name}{ending}"

    def _write(self, path: Path, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
