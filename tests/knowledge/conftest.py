"""Documents of each kind, made on the spot, and a knowledge base without weights."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tailorbird.knowledge import KnowledgeBase
from tailorbird.store import Workspace
from tailorbird.testing.encoder import WordEncoder

MakePdf = Callable[..., bytes]
MakeDocx = Callable[..., bytes]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def base(workspace: Workspace, encoder: WordEncoder) -> KnowledgeBase:
    return KnowledgeBase(workspace, encoder)


@pytest.fixture
def make_pdf() -> MakePdf:
    """A PDF with the given lines on each page; without lines a page is a grey picture."""

    def make(*pages: Sequence[str]) -> bytes:
        objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
        kids = []
        for lines in pages:
            shown = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
            content = f"BT /F1 12 Tf 72 720 Td {shown}ET" if lines else "0.5 g 0 0 500 700 re f"
            kids.append(f"{len(objects) + 1} 0 R")
            objects.append(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 "
                "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> "
                f"/Contents {len(objects) + 2} 0 R >>"
            )
            objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
        objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
        out, places = io.BytesIO(), []
        out.write(b"%PDF-1.4\n")
        for number, body in enumerate(objects, 1):
            places.append(out.tell())
            out.write(f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1"))
        start = out.tell()
        table = "".join(f"{place:010d} 00000 n \n" for place in places)
        out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode())
        trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF"
        out.write(trailer.encode())
        return out.getvalue()

    return make


@pytest.fixture
def make_docx() -> MakeDocx:
    """A DOCX of (style, text) paragraphs and then a table, where one is given."""

    def make(*paragraphs: tuple[str, str], table: Sequence[Sequence[str]] = ()) -> bytes:
        from docx import Document

        document = Document()
        for style, text in paragraphs:
            paragraph = document.add_paragraph("" if style == "hidden" else text)
            if style == "hidden":
                paragraph.add_run(text).font.hidden = True
            elif style:
                paragraph.style = document.styles[style]
        if table:
            cells = document.add_table(len(table), len(table[0]))
            for i, row in enumerate(table):
                for j, text in enumerate(row):
                    cells.cell(i, j).text = text
        out = io.BytesIO()
        document.save(out)
        return out.getvalue()

    return make
