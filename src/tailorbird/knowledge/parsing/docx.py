"""DOCX: paragraphs, headings by their styles, tables; hidden text is left out."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.parsing.bounds import Limits
from tailorbird.knowledge.parsing.parsed import Outline, Parsed
from tailorbird.knowledge.parsing.tables import row_lines

MAX_FILES = 5000
"""In the archive that a DOCX is."""
_HEADING = re.compile(r"^(?:heading|标题) ?([1-9])$", re.IGNORECASE)
_BLOCK = 2**16


def parse(content: bytes, limits: Limits) -> Parsed:
    """Sections by their headings.

    Raises KnowledgeError where the archive is damaged, or unpacks to more than it may.
    """
    from docx import Document
    from docx.table import Table

    check_size(content, limits.unpacked_bytes)
    document = Document(io.BytesIO(content))
    outline = Outline(document.core_properties.title or "")
    for part in document.iter_inner_content():
        if isinstance(part, Table):
            rows = [[_of_cell(cell) for cell in row.cells] for row in part.rows]
            for line in row_lines(rows, has_header=len(rows) > 1):
                outline.add(line)
            continue
        style = str(part.style.name) if part.style is not None else ""
        heading = _HEADING.match(style)
        text = _seen(part)
        if style == "Title" or heading:
            outline.head(int(heading[1]) if heading else 0, text)
        else:
            outline.add(f"- {text}" if text.strip() and style.startswith("List") else text)
    return outline.parsed()


def check_size(content: bytes, limit: int) -> None:
    """KnowledgeError where the files of an archive are more than *limit* bytes, said or true.

    Sizes that the archive states are looked at first, which costs nothing; then each file is
    unpacked, block by block, and counted, for a statement need not be true.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = archive.infolist()
            said = sum(file.file_size for file in files)
            if said > limit or len(files) > MAX_FILES:
                raise _too_large(f"{said:,} bytes in {len(files):,} files", limit)
            n_bytes = 0
            for file in files:
                with archive.open(file) as member:
                    while block := member.read(_BLOCK):
                        n_bytes += len(block)
                        if n_bytes > limit:
                            raise _too_large(f"more than {limit:,} bytes", limit)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError) as error:
        if isinstance(error, KnowledgeError):
            raise
        raise KnowledgeError(
            f"is a damaged archive ({error})", cure="save it again from the program it came from"
        ) from error


def _too_large(found: str, limit: int) -> KnowledgeError:
    return KnowledgeError(
        f"unpacks to {found}, and {limit:,} bytes in {MAX_FILES:,} files are allowed",
        cure="no ordinary document does; if it is one, take its pictures out",
    )


def _seen(paragraph: Any) -> str:
    """The text of a paragraph without runs that are formatted as hidden."""
    words: list[str] = []
    for part in paragraph.iter_inner_content():
        runs = getattr(part, "runs", None)
        words += [run.text for run in ([part] if runs is None else runs) if not run.font.hidden]
    return "".join(words)


def _of_cell(cell: Any) -> str:
    return " ".join(_seen(paragraph) for paragraph in cell.paragraphs)
