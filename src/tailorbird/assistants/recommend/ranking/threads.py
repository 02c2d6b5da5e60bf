"""Products of a list are small: threads that share one wait for each other longer than it takes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """Within the block NumPy's products are computed by the thread that asks for them."""
    limited: AbstractContextManager[Any] = _pools().limit(limits=1, user_api="blas")
    return limited


@cache
def _pools() -> Any:
    return ThreadpoolController()  # looks at all loaded libraries, once
