"""What the machine computes fastest, found by timing rather than by reading names."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

FLAGS_THAT_MATTER = (
    "avx2",
    "avx512f",
    "avx512_bf16",
    "amx_bf16",
    "avx512_vnni",
    "amx_int8",
    "neon",
)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block a product takes one thread, whichever thread asks for it."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@cache
def time_product(dtype: torch.dtype, device: str = "cpu") -> float:
    """Billions of operations per second of one product in *dtype*; on a CPU, on one core.

    There it is a small one of an encoder, (128, 384) x (384, 1536): where bf16 is emulated, a large
    one would take many seconds. The time is that of the thread, so that neither other programs nor
    waiting threads count. On a GPU it is (4096, 4096) x (4096, 4096): in a small one starting the
    kernel is all that takes time, whatever the type.
    """
    m, k, n = (128, 384, 1536) if device == "cpu" else (4096, 4096, 4096)
    a = torch.randn(m, k, device=device).to(dtype)
    b = torch.randn(k, n, device=device).to(dtype)
    with one_thread():
        if a.is_cuda:
            _time_once(a, b)  # the first one loads the library
        best_s, spent_s = float("inf"), 0.0
        while spent_s < 0.02:  # several times where each is quick
            took_s = _time_once(a, b)
            best_s, spent_s = min(best_s, took_s), spent_s + took_s
    return 2 * m * k * n / best_s / 1e9


def _time_once(a: torch.Tensor, b: torch.Tensor) -> float:
    if a.is_cuda:
        torch.cuda.synchronize()
        start = time.perf_counter()
        a @ b
        torch.cuda.synchronize()
        return time.perf_counter() - start
    start = time.thread_time()
    a @ b
    return time.thread_time() - start


def compute_dtype(choice: str = "auto", device: str = "cpu") -> tuple[torch.dtype, str]:
    """The type that products run in, and the reason as a sentence.

    bf16 pays only where the processor multiplies it itself (about 4 x there); elsewhere it is
    emulated and far slower than fp32, so one product of each is timed.
    """
    if choice != "auto":
        return getattr(torch, choice), f"compute type: {choice} (as set)"
    fp32, bf16 = time_product(torch.float32, device), time_product(torch.bfloat16, device)
    name = "bfloat16" if bf16 > 1.3 * fp32 else "float32"
    unit = "GFLOP/s a core" if device == "cpu" else "GFLOP/s"
    reason = f"one product: float32 {fp32:,.0f} {unit}, bfloat16 {bf16:,.1f}"
    return getattr(torch, name), f"compute type: {name} ({reason})"


def quick_dtype(wanted: str) -> torch.dtype:
    """*wanted*, but fp32 where it is ``bfloat16`` and this processor would only emulate it."""
    return torch.float32 if wanted == "float32" else compute_dtype("auto")[0]


def processor() -> dict[str, Any]:
    """Name, flags that matter to matrix products, cores this process may use, and GPU."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    table = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    flags = set(table.get("flags", "").split())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "name": table.get("model name") or platform.processor() or platform.machine(),
        "flags": [flag for flag in FLAGS_THAT_MATTER if flag in flags],
        "n_cores": cores,
        "n_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "dtype": str(compute_dtype(device=device)[0]).removeprefix("torch."),
    }


def gpu_gib() -> float:
    """Memory of the GPU that is used, in GiB; 0: there is none."""
    if not torch.cuda.is_available():
        return 0.0
    return float(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory) / 2**30


def release_memory(*, collect: bool = True) -> None:
    """Give memory that this process no longer needs back to the system, where it takes it.

    What was freed stays with the process otherwise, for what it may want next. Without *collect*
    objects that hold each other are not looked for, which takes long where there are many.
    """
    if collect:
        gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None  # glibc
    if trim is not None:
        trim(0)
