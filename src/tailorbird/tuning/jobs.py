"""Adapter jobs: small sets of weights, each tuned on its own rows, over one shared trunk.

A person's adapter, a trial of a search, a fold, a seed and a member of an ensemble are the same
thing: some rows of a pool, settings, and what comes out of tuning on them.

    for result in run_jobs(backbone, pool, jobs, Path("jobs")):
        print(result.name, result.scores)

Each job leaves files in one folder. A second call with the same jobs gives what is there and goes
on with the rest, so that an interrupted call is repeated as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.records import Example
from tailorbird.tuning.job import Base, Job, JobResult, check_jobs
from tailorbird.tuning.job_files import JobFiles
from tailorbird.tuning.job_run import Listening, OnReport, do_job
from tailorbird.tuning.shared_base import SharedBase, one_thread

Say = Callable[[str], None]


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
) -> Iterator[JobResult]:
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
    model = left[0].settings.model
    cache = TrunkCache(
        0 if model.trunk_file_mb else model.trunk_cache_mb * 10**6,  # read from the mapped file
        trunk_folder or folder / "trunk",
        file_bytes=model.trunk_file_mb * 10**6,
        say=say,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shared = SharedBase(base, pool, dtype=files.dtype(device), cache=cache)
    listening = Listening(on_report, stop)
    for job in left:
        if stop():
            return
        with one_thread():
            result = do_job(shared, job, files, listening)
        if result is None:
            return
        yield result


__all__ = ["Base", "Job", "JobResult", "run_jobs"]
