"""Hyper-parameter search: trials over the settings of a run, each an adapter job.

    with open_search(run, workspace, SearchPlan(over=("method.rank=4,8,16",))) as search:
        found = run_search(search, workspace)

`space` says what may change, `study` what is tried next, `trials` does it, `outcome` keeps what was
found. Only validation rows decide.
"""

from tailorbird.search.outcome import PAGE, run_search, take_best
from tailorbird.search.searching import Search, SearchPlan, open_search

__all__ = ["PAGE", "Search", "SearchPlan", "open_search", "run_search", "take_best"]
