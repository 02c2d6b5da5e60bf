"""HTML: what a reader of the page would read, and nothing that a page hides."""

from __future__ import annotations

import re
from typing import Any

from tailorbird.knowledge.parsing.bounds import Limits
from tailorbird.knowledge.parsing.parsed import Outline, Parsed
from tailorbird.knowledge.parsing.plain import decode
from tailorbird.knowledge.parsing.tables import row_lines

_CODE = "script style noscript template svg math iframe object embed canvas audio video picture"
_OF_ALL_PAGES = "img form button select textarea input nav link meta base"
DROPPED = frozenset([*_CODE.split(), *_OF_ALL_PAGES.split()])
"""What is code, is not text, or is of every page of a site alike."""
HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6, "dt": 7, "summary": 7}
_PARTS = (
    "address article aside blockquote body caption dd details div dl figcaption figure fieldset"
)
_MORE_PARTS = "footer header hr html legend li main ol p pre section table tr ul"
BLOCKS = frozenset([*HEADINGS, *_PARTS.split(), *_MORE_PARTS.split()])
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?![.\d]*[1-9])"
    r"|font-size\s*:\s*0(?![.\d]*[1-9])|(?:left|top|text-indent)\s*:\s*-\d{3,}",
    re.IGNORECASE,
)


def parse(content: bytes, limits: Limits) -> Parsed:
    """Sections by their headings, without scripts, styles and hidden elements."""
    from bs4.dammit import EncodingDetector

    declared = EncodingDetector.find_declared_encoding(content, is_html=True)
    try:
        page = content.decode(declared or "utf-8")
    except (LookupError, UnicodeDecodeError):
        page = decode(content)
    return read_html(page)


def read_html(page: str, *, title: str = "") -> Parsed:
    """The same of text; *title* goes before the page's own."""
    from bs4 import BeautifulSoup
    from bs4.element import NavigableString, PreformattedString

    soup = BeautifulSoup(page, "html.parser")
    own_title = soup.title.get_text(" ", strip=True) if soup.title else ""
    if soup.title:
        soup.title.extract()
    for element in soup.find_all(True):
        if not element.decomposed and _is_unseen(element):
            element.decompose()
    for table in soup.find_all("table"):
        if not table.find("table"):  # tables that lay out a page are read as what they hold
            _write_out(soup, table)
    outline = Outline(title or own_title)
    block: Any = None
    words: list[str] = []

    def flush() -> None:
        text = "".join(words)
        words.clear()
        if block is not None and block.name in HEADINGS:
            outline.head(HEADINGS[block.name], text)
        elif text.strip():
            mark = "- " if block is not None and block.name == "li" else ""
            outline.add(mark + text.strip())

    for node in soup.descendants:
        if getattr(node, "name", None) == "br":
            words.append("\n")
        if not isinstance(node, NavigableString) or isinstance(node, PreformattedString):
            continue  # comments, declarations and their like
        around = _block_around(node)
        if around is not block:
            flush()
            block = around
        is_kept = block is not None and block.name == "pre"
        words.append(str(node) if is_kept else re.sub(r"\s+", " ", str(node)))
    flush()
    return outline.parsed()


def _is_unseen(element: Any) -> bool:
    attributes = element.attrs
    return (
        element.name in DROPPED
        or "hidden" in attributes
        or str(attributes.get("aria-hidden", "")).lower() == "true"
        or _HIDDEN_STYLE.search(str(attributes.get("style", ""))) is not None
    )


def _block_around(node: Any) -> Any:
    parent = node.parent
    while parent is not None and parent.name not in BLOCKS:
        parent = parent.parent
    return parent


def _write_out(soup: Any, table: Any) -> None:
    """Put a paragraph a row in place of the *table*."""
    rows: list[list[str]] = []
    has_header = False
    for row in table.find_all("tr"):
        cells = row.find_all(["td", "th"])
        if not rows:
            has_header = bool(cells) and all(cell.name == "th" for cell in cells)
        rows.append([cell.get_text(" ", strip=True) for cell in cells])
    caption = table.caption.get_text(" ", strip=True) if table.caption else ""
    whole = soup.new_tag("div")
    for line in [caption, *row_lines(rows, has_header=has_header)]:
        paragraph = soup.new_tag("p")
        paragraph.string = line
        whole.append(paragraph)
    table.replace_with(whole)
