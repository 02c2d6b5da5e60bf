"""Adapter jobs: small sets of weights, each tuned on its own rows, over one shared trunk.

A person's adapter, a trial of a search, a fold, a seed and a member of an ensemble are the same
thing: some rows of a pool, settings, and what comes out of tuning on them.

    for result in run_jobs(backbone, pool, jobs, Path("jobs")):
        print(result.name, result.scores)

Each job leaves files in one folder. A second call with the same jobs gives what is there and goes
on with the rest, so that an interrupted call is repeated as it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import torch

from tailorbird.hardware import release_memory
from tailorbird.jobs.doing import Listening, OnReport, do_job, do_jobs_together
from tailorbird.jobs.files import JobFiles
from tailorbird.jobs.job import Base, Job, JobResult, check_jobs
from tailorbird.jobs.shared_base import SharedBase, one_thread
from tailorbird.jobs.workers import Workplace, in_processes
from tailorbird.records import Example

Say = Callable[[str], None]

START_S = 5.0
"""Until a process has imported torch and read the base."""


def run_jobs(
    base: Base,
    pool: Sequence[Example],
    jobs: Sequence[Job],
    folder: Path,
    *,
    n_workers: int = 0,
    on_report: OnReport | None = None,
    say: Say = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    trunk_folder: Path | None = None,
) -> Generator[JobResult, None, None]:
    """Tune every job; yields results as they are done, those of an earlier call first.

    The weights of a job depend on its rows, its settings, its base and the pool, and on nothing
    else: not on its neighbours, their number or order, nor on the number of processes. Each
    computes with one torch thread. A job that fails is a result with an error; the others go on.
    Failed jobs are tried again by the next call, as are those that were not reached.

    Args:
        base: a backbone, or the folder of a saved model, whose backbone then is everyone's.
        pool: the rows that jobs name by number; tokenised, and run through frozen layers, once.
        jobs: what to tune; their names are unique.
        folder: where results, weights and outputs are kept; made if missing.
        n_workers: processes; 0: as many as are worth starting.
        on_report: hears of each validation, with the name of its job; True ends that job there,
            with its best weights so far (status ``stopped``).
        say: hears in sentences what is decided.
        stop: asked after every step; what was begun is kept, to be gone on with by another call.
        trunk_folder: where states of frozen layers are kept; None: in *folder*.

    Raises ConfigError where two jobs have one name, or a job names rows that the pool has not.
    """
    check_jobs(jobs, len(pool))
    files = JobFiles(folder, base, pool)
    left: list[Job] = []
    for job in jobs:
        done = files.result(job)
        if done is None:
            left.append(job)
        else:
            yield done
    if not left:
        return
    model, device = left[0].settings.model, "cuda" if torch.cuda.is_available() else "cpu"
    place = Workplace(
        base,
        pool,
        folder,
        files.dtype(device),
        trunk_folder or folder / "trunk",
        file_bytes=model.trunk_file_mb * 10**6,
        memory_bytes=model.trunk_cache_mb * 10**6,
    )
    listening = Listening(on_report, stop)
    shared = place.open(say)
    shared.prepare(left)
    if device == "cuda":
        say(f"{len(left):,} jobs share their steps on the GPU")
        yield from do_jobs_together(shared, left, files, listening)
        return
    n_workers = 1 if _is_for_here(place, left) else n_workers
    n_workers = yield from _here(shared, left, files, listening, say=say, n_workers=n_workers)
    if left and n_workers > 1:
        del shared  # each process has its own
        release_memory()
        yield from in_processes(place, left, n_workers, listening)


def _here(
    shared: SharedBase,
    left: list[Job],
    files: JobFiles,
    listening: Listening,
    *,
    say: Say,
    n_workers: int,
) -> Generator[JobResult, None, int]:
    """Do in this process what is done here, taking it from *left*; how many shall do the rest.

    With *n_workers* 0 that is the first job, to see how long one takes; with 1 it is all of them.
    """
    while left and n_workers < 2 and not listening.stop():
        started_s = time.perf_counter()
        with one_thread():
            result = do_job(shared, left.pop(0), files, listening)
        if result is None:
            return 0
        yield result
        if n_workers == 0:
            n_workers, why = _worth(len(left), time.perf_counter() - started_s, _n_cores())
            say(f"{len(left):,} jobs left: {why}")
    return n_workers


def _is_for_here(place: Workplace, jobs: Sequence[Job]) -> bool:
    """Whether other processes cannot do these jobs, or not with the same outcome.

    Plug-ins are loaded in this process, and states that are in no file are in its memory.
    """
    return not place.file_bytes or any(job.settings.task.plugin for job in jobs)


def _worth(n_jobs: int, job_s: float, n_cores: int) -> tuple[int, str]:
    """How many processes *n_jobs* of about *job_s* seconds each are worth, and why.

    >>> _worth(100, 1.0, 4)
    (4, '4 processes, one job at a time on a core each')
    >>> _worth(10, 0.2, 4)[0]
    1
    """
    n_workers = min(n_cores, n_jobs)
    saved_s = n_jobs * job_s * (1 - 1 / max(1, n_workers))
    if saved_s < START_S:
        return 1, f"in this process: others would save {saved_s:.0f} s, and take as long to start"
    return n_workers, f"{n_workers} processes, one job at a time on a core each"


def _n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


__all__ = ["Base", "Job", "JobResult", "run_jobs"]
