"""A year of posts in seconds: which alerts would have come."""

from __future__ import annotations

from collections.abc import Iterable

from tailorbird.assistants.opinion.watching.alerts import Alert, Ledger
from tailorbird.assistants.opinion.watching.posts import HeldPosts, ReadPost
from tailorbird.assistants.opinion.watching.series import Window
from tailorbird.assistants.opinion.watching.settings import WatchSettings


def replay(posts: Iterable[ReadPost], settings: WatchSettings | None = None) -> list[Alert]:
    """The alerts that the live watch would have given, as they are at the end; the first first.

    The clock runs from window to window, from the first post's to the last one's; nothing that is
    later than a window is known when it is judged.
    """
    settings = settings or WatchSettings()
    held = HeldPosts(posts)
    windows = held.windows(settings.window_s)
    ledger = Ledger(settings, held)
    found: dict[str, Alert] = {}
    for number in range(min(windows, default=0), max(windows, default=-1) + 1):
        for alert in ledger.step(number, windows.get(number, Window())):
            found[alert.id] = alert
    return sorted(found.values(), key=lambda one: (one.created, one.id))
