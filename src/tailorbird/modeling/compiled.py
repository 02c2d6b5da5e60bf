"""Functions that are the same without Python: as TorchScript, which takes no lock of it either."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function*, which takes and gives tensors, numbers and lists of them, as TorchScript.

    For many small operations in a row: each takes less time than Python does to call it, and two
    threads of them wait for each other's lock. It is deprecated in favour of `torch.compile`, which
    wants a C++ compiler on the machine; the function itself does the same, slower.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: Callable[..., Any] = torch.jit.script(function)
    return scripted
