"""Objects that live in a process of their own, so that what they compute never waits for Python's
lock of this one, nor this one for theirs.

A `Process` starts such a process when it is first needed, and again where it dies; `Placed` names
an object in it, and asks it.
"""

from tailorbird.apart.process import Lane, Placed, Process, open_process

__all__ = ["Lane", "Placed", "Process", "open_process"]
