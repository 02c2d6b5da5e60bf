"""Texts without labels, as continued pretraining takes them: each once, long ones in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sqlalchemy import select

from tailorbird.assistants.opinion.reading.correcting import said_text
from tailorbird.store import Workspace
from tailorbird.store.tables.opinion import PostRow

MAX_CHARS = 400
"""Of a piece; about what a model of 256 tokens takes of English, and less of Chinese."""
MIN_CHARS = 8
"""A shorter piece has hardly a word to tell another one from."""

_ENDS = re.compile(r"(?<=[。！？!?；;\n])|(?<=\.)(?=\s)")


def pieces_of(texts: Iterable[str], *, max_chars: int = MAX_CHARS) -> list[str]:
    """Each text once, whole sentences of it to a piece as far as they fit.

    >>> pieces_of(["One is here. Two is there.", "One is here. Two is there.", "no"], max_chars=14)
    ['One is here.', 'Two is there.']
    """
    found: dict[str, None] = {}
    for text in texts:
        for piece in _pieces(text, max_chars):
            if len(piece) >= MIN_CHARS:
                found.setdefault(piece)
    return list(found)


def _pieces(text: str, max_chars: int) -> Iterator[str]:
    piece = ""
    for sentence in _ENDS.split(text):
        if piece and len(piece) + len(sentence) > max_chars:
            yield piece.strip()
            piece = ""
        piece += sentence
        while len(piece) > max_chars:  # a sentence that is too long by itself
            yield piece[:max_chars].strip()
            piece = piece[max_chars:]
    yield piece.strip()


def texts_of_posts(workspace: Workspace) -> list[str]:
    """What all posts say, copies of others left out; PII was masked when they came."""
    with workspace.sessions() as session:
        posts = session.scalars(select(PostRow).where(PostRow.copy_of.is_(None)))
        return [said_text(post) for post in posts]
