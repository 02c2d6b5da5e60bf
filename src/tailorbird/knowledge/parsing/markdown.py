"""Markdown: made HTML and read as that, so that what HTML hides is hidden here, too."""

from __future__ import annotations

import re

from tailorbird.knowledge.parsing.bounds import Limits
from tailorbird.knowledge.parsing.html import read_html
from tailorbird.knowledge.parsing.parsed import Parsed
from tailorbird.knowledge.parsing.plain import decode

# What some editors keep before the text: "---", lines of keys, "---".
_FRONT_MATTER = re.compile(r"\A\s*---[^\S\n]*\n((?:[^\n]*\n){0,100}?)---[^\S\n]*(?:\n|\Z)")
_TITLE = re.compile(r"^title:[^\S\n]*[\"']?([^\n]*?)[\"']?[^\S\n]*$", re.MULTILINE)


def parse(content: bytes, limits: Limits) -> Parsed:
    """Sections by their headings; a ``title:`` before the text is its title."""
    from markdown_it import MarkdownIt

    text = decode(content).replace("\r\n", "\n")
    title = ""
    front = _FRONT_MATTER.match(text)
    if front:
        found = _TITLE.search(front[1])
        title, text = found[1] if found else "", text[front.end() :]
    return read_html(MarkdownIt("commonmark").enable("table").render(text), title=title)
