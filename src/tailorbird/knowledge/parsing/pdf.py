"""PDF: the text of each page, in lines that were broken for the paper only."""

from __future__ import annotations

import io
import re
from collections import Counter
from itertools import pairwise

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.parsing.bounds import Limits
from tailorbird.knowledge.parsing.parsed import Parsed, Section, cleaned
from tailorbird.text import language_of

MAX_PAGES = 5000
_ENDS = re.compile(r"[.!?。！？；;:：…][\"'”’」』）)\]]*$")
_BEGINS = re.compile(
    r"^(?:[-•·●▪*]|\d{1,3}[.)、]|[(（]\d|[一二三四五六七八九十]{1,3}[、.]|第.{1,4}[条章节])"
)
_EAST_ASIAN = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def parse(content: bytes, limits: Limits) -> Parsed:
    """One section a page, called so in the language of its text.

    Raises KnowledgeError where a password is needed, and where the pages are pictures.
    """
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise KnowledgeError(
            "is protected by a password", cure="save it without one, and add it again"
        )
    n_pages = len(reader.pages)
    if n_pages > MAX_PAGES:
        raise KnowledgeError(
            f"has {n_pages:,} pages, and {MAX_PAGES:,} are read at most", cure="cut it into parts"
        )
    pages, n_chars = [], 0
    for page in reader.pages:
        lines = cleaned(page.extract_text() or "").split("\n")
        n_chars += sum(map(len, lines))
        if n_chars > limits.max_chars:
            break  # whoever asked says so; the rest need not be read for that
        pages.append([line for line in lines if line])
    if not any(character.isalnum() for page in pages for line in page for character in line):
        pictures = "its page is a picture" if n_pages == 1 else f"its {n_pages} pages are pictures"
        raise KnowledgeError(
            f"holds no text: {pictures}, or empty",
            cure="run text recognition (OCR) over it, and add what that gives",
        )
    sections = [
        Section("\n".join(text), _page_name(number, " ".join(text)))
        for number, page in enumerate(_without_margins(pages), 1)
        if (text := _paragraphs(page))
    ]
    title = cleaned(str(reader.metadata.title or "")) if reader.metadata else ""
    return Parsed(tuple(sections), title)


def _page_name(number: int, text: str) -> str:
    return f"第 {number} 页" if language_of(text) == "zh" else f"page {number}"


def _without_margins(pages: list[list[str]]) -> list[list[str]]:
    """Without first and last lines that most pages share but for a number."""
    if len(pages) < 3:
        return pages
    edges = Counter(
        edge for page in pages for edge in {_edge(line) for line in page[:1] + page[-1:]}
    )
    common = {edge for edge, n in edges.items() if n > 0.6 * len(pages)}
    return [
        [
            line
            for i, line in enumerate(page)
            if not (i in (0, len(page) - 1) and _edge(line) in common)
        ]
        for page in pages
    ]


def _edge(line: str) -> str:
    return re.sub(r"\d+", "#", line)


def _paragraphs(lines: list[str]) -> list[str]:
    """Lines joined where a paragraph goes on: the line is full and no sentence ends with it.

    >>> _paragraphs(["Refunds go back to the card or", "wallet that you paid with.", "Thanks"])
    ['Refunds go back to the card or wallet that you paid with.', 'Thanks']
    """
    if not lines:
        return []
    full = 0.7 * max(map(len, lines))
    joined = [lines[0]]
    for before, line in pairwise(lines):
        if len(before) < full or _ENDS.search(before) or _BEGINS.match(line):
            joined.append(line)
        elif before.endswith("-") and before[-2:-1].isalpha() and line[:1].islower():
            joined[-1] = joined[-1][:-1] + line
        else:
            is_chinese = _EAST_ASIAN.match(line[0]) and _EAST_ASIAN.match(before[-1])
            joined[-1] += line if is_chinese else f" {line}"
    return joined
