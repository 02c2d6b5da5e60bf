"""Many small products at once: each thread has its share of them, and takes one core for each.

Within one small product a second thread only has to be woken; between two of them Python takes its
time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch

from tailorbird.hardware import one_thread

S = TypeVar("S")
T = TypeVar("T")


def in_threads(function: Callable[[S], T], shares: Sequence[S]) -> list[T]:
    """*function* of each of the *shares*, at the same time, without gradients; in their order.

    >>> in_threads(lambda x: (x @ x).item(), [torch.ones(2), torch.ones(3)])
    [2.0, 3.0]
    """
    mine, *rest = shares
    with one_thread():
        waiting = [_pool(len(rest)).submit(_alone, function, share) for share in rest]
        try:
            found = _alone(function, mine)
        finally:
            wait(waiting)
        return [found, *(future.result() for future in waiting)]


@torch.inference_mode()  # a thread has a mode of its own
def _alone(function: Callable[[S], T], share: S) -> T:
    torch.set_num_threads(1)  # a thread has a number of its own
    return function(share)


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="tailorbird-products")
