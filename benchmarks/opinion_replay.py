"""Posts that come all at once, and a year that is replayed.

- intake: ``--senders`` threads post ``--posts`` posts to a webhook, as fast as it takes them, in
  bodies of ``--body``; where it says that too many wait (503) the same body is sent again. Counted
  are the posts that were acknowledged, and after the workspace was opened anew those on disk: each
  once, none lost. Its room for what waits is small (``--waiting``), so that senders meet its end.
- replay: ``--series`` topics with posts by the hour, more by day and on working days, with a surge
  of twelve hours in each, for a year; what ``tailorbird opinion replay`` does with its file, in
  parts: the file is read, the posts are put in order, windows are judged.

Figures: posts kept a second, the longest wait of a sender, posts lost; posts replayed a second.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from benchmarks.rounds import compare, folder_option, peak_gib, show
from benchmarks.surges_data import guardian_titles
from tailorbird.assistants.opinion.gathering import Intake, Webhooks
from tailorbird.assistants.opinion.gathering.source_table import SourceTable
from tailorbird.assistants.opinion.watching import WatchSettings, replay
from tailorbird.assistants.opinion.watching.reading_posts import read_posts
from tailorbird.errors import UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import PostRow

SET = "finance_headlines_timed"
START = datetime(2025, 1, 6, tzinfo=UTC)
HOURS = 365 * 24
SURGE_H, SURGE = 12, 8.0


def intake(options: argparse.Namespace) -> dict[str, float]:
    """A webhook under more than it can take."""
    with tempfile.TemporaryDirectory(prefix="tailorbird-") as name:
        folder = Path(name) / "space"
        with Workspace.open(folder) as workspace:
            secret = SourceTable(workspace).add("hook", kind="webhook").secret
            took = Intake(workspace, max_waiting=options.waiting, patience_s=options.patience)
            hook = Webhooks(workspace, took)
            hook.receive("hook", secret, _body(["warm: the market opens a little higher"], -1))
            bodies = _bodies(options)
            senders = _Senders(hook, secret, bodies)
            started_s = time.perf_counter()
            senders.run(options.senders)
            took_s = time.perf_counter() - started_s
            n_commits = took.n_commits
        with Workspace.open(folder) as workspace, workspace.sessions() as session:
            n_kept = session.scalar(select(func.count()).select_from(PostRow)) or 0
            n_keys = session.scalar(select(func.count(PostRow.key.distinct()))) or 0
    n_sent = options.posts
    assert senders.n_new == n_sent, (senders.n_new, n_sent)
    return {
        "kept_per_s": n_sent / took_s,
        "n_lost": n_sent + 1 - n_kept,
        "n_twice": n_kept - n_keys,
        "n_refused": senders.n_refused,
        "longest_s": senders.longest_s,
        "posts_a_commit": n_sent / n_commits,
        "peak_gib": peak_gib(),
    }


class _Senders:
    """Threads that send bodies until each was acknowledged."""

    def __init__(self, hook: Webhooks, secret: str, bodies: list[bytes]) -> None:
        self._hook, self._secret = hook, secret
        self._bodies = iter(bodies)
        self._lock = threading.Lock()
        self.n_new = self.n_refused = 0
        self.longest_s = 0.0

    def run(self, n: int) -> None:
        threads = [threading.Thread(target=self._send) for _ in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send(self) -> None:
        while True:
            with self._lock:
                body = next(self._bodies, None)
            if body is None:
                return
            started_s = time.perf_counter()
            taken = None
            while taken is None:
                try:
                    taken = self._hook.receive("hook", self._secret, body)
                except UnavailableError:
                    with self._lock:
                        self.n_refused += 1
                    time.sleep(0.05)
            with self._lock:
                self.n_new += taken.n_new
                self.longest_s = max(self.longest_s, time.perf_counter() - started_s)


def _bodies(options: argparse.Namespace) -> list[bytes]:
    """Two headlines a post, no pair twice, so that hardly one tells the story of another."""
    folder = options.data if options.data.name == SET else options.data / SET
    titles = list(dict.fromkeys(guardian_titles(folder)))
    texts: Iterator[str] = (
        f"{first}. {titles[(k + step) % len(titles)]}"
        for step in range(1, len(titles))
        for k, first in enumerate(titles)
    )
    wanted = islice(texts, options.posts)
    bodies: list[bytes] = []
    while some := list(islice(wanted, options.body)):
        bodies.append(_body(some, len(bodies) * options.body))
    return bodies


def _body(texts: list[str], first: int) -> bytes:
    times = (START + timedelta(seconds=first + k) for k in range(len(texts)))
    posts = [
        {"id": str(first + k), "text": text, "time": at.isoformat()}
        for k, (text, at) in enumerate(zip(texts, times, strict=True))
    ]
    return json.dumps({"posts": posts}).encode()


def year(options: argparse.Namespace) -> dict[str, float]:
    """A history through the watch."""
    with tempfile.TemporaryDirectory(prefix="tailorbird-") as name:
        path = Path(name) / "history.jsonl"
        _write_year(path, options.series, options.rate)
        started_s = time.perf_counter()
        posts, rejects = read_posts(path)
        read_s = time.perf_counter()
    alerts = replay(posts, WatchSettings())
    done_s = time.perf_counter()
    assert not rejects
    return {
        "posts": len(posts),
        "read_s": read_s - started_s,
        "replay_s": done_s - read_s,
        "posts_per_s": len(posts) / (done_s - started_s),
        "alerts": len(alerts),
        "peak_gib": peak_gib(),
    }


def _write_year(path: Path, n_series: int, per_day: float) -> None:
    """Rows by the hour, *per_day* posts a topic, a fifth of them negative."""
    rng = np.random.default_rng(0)
    hours = np.arange(HOURS)
    by_hour = 1 + 0.8 * np.sin(2 * np.pi * (hours % 24 - 8) / 24)
    by_day = np.where(hours // 24 % 7 < 5, 1.2, 0.5)  # it begins on a Monday
    usual = per_day / 24 * by_hour * by_day / (by_hour * by_day).mean()
    starts = rng.integers(HOURS // 4, HOURS - SURGE_H, n_series)
    with path.open("w", encoding="utf-8") as file:
        for series in range(n_series):
            others = rng.poisson(0.8 * usual)
            negatives = rng.poisson(0.2 * usual)
            during = slice(starts[series], starts[series] + SURGE_H)
            negatives[during] += rng.poisson(SURGE * max(0.2, 0.2 * per_day / 24), SURGE_H)
            for counts, sentiment in ((others, "neutral"), (negatives, "negative")):
                for hour in np.repeat(hours, counts).tolist():
                    row = {
                        "time": (START + timedelta(hours=hour)).isoformat(),
                        "title": f"{sentiment} word of {series} in hour {hour}",
                        "sentiment": sentiment,
                        "topics": [f"topic {series}"],
                    }
                    file.write(json.dumps(row) + "\n")


SIDES = {"intake": intake, "year": year}


def main() -> None:
    """Run both and print them."""
    parser = folder_option(__doc__, folder=SET)
    parser.add_argument("--posts", type=int, default=100_000, help="that are sent")
    parser.add_argument("--body", type=int, default=500, help="posts of a request")
    parser.add_argument("--senders", type=int, default=16, help="threads that send")
    parser.add_argument("--waiting", type=int, default=4_000, help="posts that may wait")
    parser.add_argument("--patience", type=float, default=0.5, help="seconds before a 503")
    parser.add_argument("--series", type=int, default=100, help="topics of the year")
    parser.add_argument("--rate", type=float, default=10.0, help="posts of a topic a day")
    medians = compare(parser, SIDES, "benchmarks.opinion_replay", n_rounds=1)
    if medians is not None:
        kept, replayed = medians["intake"], medians["year"]
        names = ("kept_per_s", "n_lost", "n_twice")
        result = {name: kept[name] for name in names} | {"replay_s": replayed["replay_s"]}
        show(medians, {"benchmark": "opinion_replay", **result})


if __name__ == "__main__":
    main()
