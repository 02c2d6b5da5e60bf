"""Adapter jobs: small sets of weights, each tuned on its own rows, over one shared trunk.

A person's adapter, a trial of a search, a fold, a seed and a member of an ensemble are the same
thing. `run_jobs` tunes them, however many there are; `folds`, `soups` and `wearing` are what is
made of several that were tuned for the same task.
"""

from tailorbird.jobs import folds, soups, wearing
from tailorbird.jobs.job import Base, Job, JobResult
from tailorbird.jobs.scheduling import run_jobs

__all__ = ["Base", "Job", "JobResult", "folds", "run_jobs", "soups", "wearing"]
