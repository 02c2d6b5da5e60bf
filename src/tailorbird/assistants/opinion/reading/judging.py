"""Posts filled in: topics, sentiment, and how each speaks of whom it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tailorbird.assistants.opinion.reading.correcting import said_text
from tailorbird.assistants.opinion.reading.filling import Judged, fill_in
from tailorbird.assistants.opinion.reading.reader import Reads
from tailorbird.assistants.opinion.reading.unread import unread
from tailorbird.assistants.opinion.reading.windows import Place, window
from tailorbird.store import Workspace
from tailorbird.store.tables import new_id

BATCH = 256
"""Posts that are read at once, and written in one transaction."""


class Named(Protocol):
    """A name in a text, and whom it stands for."""

    @property
    def entity(self) -> str:
        """Whom."""
        ...

    @property
    def kind(self) -> str:
        """``company``, ``person``, ``product`` or ``place``."""
        ...

    @property
    def start(self) -> int:
        """Of its first character."""
        ...

    @property
    def end(self) -> int:
        """One past its last."""
        ...


class Finds(Protocol):
    """Whatever finds names in texts."""

    def find_all(self, texts: Sequence[str]) -> Sequence[Sequence[Named]]:
        """Those of each text, in their order."""
        ...


class Nobody:
    """Finds no name."""

    def find_all(self, texts: Sequence[str]) -> Sequence[Sequence[Named]]:
        """None."""
        return [()] * len(texts)


class Judge:
    """Fills in the posts that a model has not judged yet; what people said of them wins.

    Copies of a story are left alone: they count as their first post.
    """

    def __init__(self, workspace: Workspace, reads: Reads, entities: Finds) -> None:
        self.workspace = workspace
        self.reads = reads
        self.entities = entities

    def judge_waiting(self, limit: int = 1024) -> int:
        """Judge at most *limit* posts that this model has not, the newest first; how many it were.

        A batch that was written stays, whatever happens to the next.
        """
        posts = unread(self.workspace, self.reads.id, limit)
        batches = (posts[k : k + BATCH] for k in range(0, len(posts), BATCH))
        return sum(fill_in(self.workspace, self.reads.id, self._read(some)) for some in batches)

    def _read(self, posts: Sequence[Any]) -> list[Judged]:
        readings = self.reads.read([said_text(post) for post in posts])
        mentions = self._mentions(posts)
        return [
            Judged(post.id, reading, of_post)
            for post, reading, of_post in zip(posts, readings, mentions, strict=True)
        ]

    def _mentions(self, posts: Sequence[Any]) -> list[list[dict[str, Any]]]:
        """Of each post one row a name's owner; sentiment is the mean over all its mentions."""
        texts: list[str] = []
        places: list[Place] = []
        owners: list[dict[str, Any]] = []
        rows: list[list[dict[str, Any]]] = []
        for post, (found, text) in zip(posts, self._named(posts), strict=True):
            of_post: dict[str, dict[str, Any]] = {}
            for one in found:
                if one.entity not in of_post:
                    of_post[one.entity] = _row(post.id, one, has_place=text is post.text)
                others = [(x.start, x.end) for x in found if x.entity != one.entity]
                part, place = window(text, (one.start, one.end), others)
                texts.append(part)
                places.append(place)
                owners.append(of_post[one.entity])
            rows.append(list(of_post.values()))
        _take_means(owners, [said for _, said in self.reads.read_about(texts, places)])
        return rows

    def _named(self, posts: Sequence[Any]) -> list[tuple[Sequence[Named], str]]:
        """Whom each post names, and where: in its text, or else in its title."""
        found = [*self.entities.find_all([post.text for post in posts])]
        titled = [k for k, post in enumerate(posts) if post.title and not found[k]]
        in_titles = self.entities.find_all([posts[k].title for k in titled])
        said = [(found[k], post.text) for k, post in enumerate(posts)]
        for k, of_title in zip(titled, in_titles, strict=True):
            said[k] = of_title, posts[k].title
        return said


def _row(post_id: str, named: Named, *, has_place: bool) -> dict[str, Any]:
    """The columns of a mention, before anything is said of it."""
    return {
        "id": new_id(),
        "post_id": post_id,
        "entity": named.entity,
        "kind": named.kind,
        "start": named.start if has_place else 0,
        "end": named.end if has_place else 0,
    }


def _take_means(owners: Sequence[dict[str, Any]], said: Sequence[dict[str, float]]) -> None:
    """Give each row the mean of what was said at its mentions, and the likeliest of it."""
    of_row: dict[str, list[dict[str, float]]] = {}
    for row, probabilities in zip(owners, said, strict=True):
        of_row.setdefault(row["id"], []).append(probabilities)
    for row in {row["id"]: row for row in owners}.values():
        found = of_row[row["id"]]
        means = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
        row["probabilities"] = means
        row["sentiment"] = max(means, key=means.__getitem__, default="")
