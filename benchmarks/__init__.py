"""Figures that anybody can run again: one file each, see README.md."""

import sys
from types import TracebackType

from tailorbird.errors import TailorbirdError


def say_briefly(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """What is wrong with what was given in a sentence; all else as Python shows it."""
    if issubclass(kind, TailorbirdError):
        print(f"error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = say_briefly
