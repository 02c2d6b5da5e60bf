"""How much one document may cost, and the walls that hold a process to it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one document may cost."""

    max_bytes: int = 20_000_000
    """Of the document as it comes."""
    unpacked_bytes: int = 100_000_000
    """Of all files in it, where it is an archive as DOCX is."""
    max_chars: int = 2_000_000
    """Of the text found in it."""
    memory_bytes: int = 512 * 2**20
    """Of the process that reads it, beside what Python and the parser take themselves."""
    cpu_s: int = 20
    wall_s: float = 60.0
    """From its start to its end, waiting for a processor included."""

    @property
    def output_bytes(self) -> int:
        """Room for the text as JSON, where a character takes up to twelve bytes."""
        return 12 * self.max_chars + 1_000_000


def hold(limits: Limits) -> None:
    """Bound this process from here on, for good; systems without such bounds have the clock alone.

    Memory that it may not have is a MemoryError, more processor time its end by SIGXCPU.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    bounds = {
        resource.RLIMIT_AS: _address_space() + limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_FSIZE: limits.output_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, wanted in bounds.items():
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        last = (
            value + 1 if kind == resource.RLIMIT_CPU else value
        )  # SIGXCPU a second before SIGKILL
        with suppress(OSError, ValueError):  # macOS knows RLIMIT_AS and refuses it
            resource.setrlimit(kind, (value, last if hard == resource.RLIM_INFINITY else hard))


def _address_space() -> int:
    """Bytes of addresses that this process has already, as far as the system says."""
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 2**30
    return pages * resource.getpagesize()
