"""Documents that would break, stop or swallow what reads them harm nobody else."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.documents import Limits, read_document, run_bounded

HELD = """
import json, sys
from tailorbird.knowledge.parsing.bounds import Limits, hold
hold(Limits(**json.loads(sys.argv[1])))
"""


def held(code: str, limits: Limits) -> bytes:
    """What a process gives that holds itself to *limits*, as the one that reads documents does."""
    import json
    from dataclasses import asdict

    command = [sys.executable, "-c", HELD + code, json.dumps(asdict(limits))]
    return run_bounded(command, b"", limits, where="bad.pdf")


def archive(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        for name, content in files:
            zipped.writestr(name, content)
    return out.getvalue()


def test_a_pdf_of_50_mb_is_refused_before_it_is_read() -> None:
    with pytest.raises(KnowledgeError) as caught:
        read_document("scan.pdf", b"%PDF-1.7\n" + bytes(50 * 2**20))
    assert str(caught.value) == (
        "scan.pdf: has 52,428,809 bytes, and 20,000,000 are allowed; cut it into parts, or take "
        "its pictures out"
    )


def test_a_zip_bomb_is_refused_by_what_it_says_of_itself() -> None:
    bomb = archive(("word/document.xml", bytes(101_000_000)))
    assert len(bomb) < 1_000_000
    with pytest.raises(KnowledgeError, match=r"bomb.docx: unpacks to 101,000,000 bytes in 1 files"):
        read_document("bomb.docx", bomb)


def test_an_archive_of_very_many_files_is_refused() -> None:
    many = archive(*((f"word/{i}.xml", b"") for i in range(5001)))
    with pytest.raises(KnowledgeError, match=r"unpacks to 0 bytes in 5,001 files"):
        read_document("many.docx", many)


def test_a_zip_bomb_that_lies_about_its_size_is_refused_as_well() -> None:
    honest = archive(("word/document.xml", bytes(3_000_000)))
    said, claimed = struct.pack("<L", 3_000_000), struct.pack("<L", 1000)
    assert honest.count(said) == 2  # before the file, and in the directory
    with pytest.raises(KnowledgeError, match=r"bomb.docx: is a damaged archive \(Bad CRC-32"):
        read_document("bomb.docx", honest.replace(said, claimed))


def test_a_zip_bomb_of_allowed_size_cannot_grow_over_its_memory() -> None:
    nested = b"<a>" * 15_000_000
    with pytest.raises(KnowledgeError, match=r"deep.docx: "):
        read_document(
            "deep.docx",
            archive(("word/document.xml", nested)),
            limits=Limits(memory_bytes=200_000_000),
        )


def test_a_scanned_pdf_is_told_from_an_empty_one(make_pdf: Callable[..., bytes]) -> None:
    with pytest.raises(KnowledgeError) as caught:
        read_document("scan.pdf", make_pdf([], []))
    assert str(caught.value) == (
        "scan.pdf: holds no text: its 2 pages are pictures, or empty; run text recognition (OCR) "
        "over it, and add what that gives"
    )


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_a_pdf_with_a_password_is_refused(make_pdf: Callable[..., bytes], algorithm: str) -> None:
    with pytest.raises(KnowledgeError, match=r"is protected by a password; save it without one"):
        read_document("secret.pdf", encrypted(make_pdf(["Prices"]), "open sesame", algorithm))


def test_a_pdf_that_only_may_not_be_changed_is_read(make_pdf: Callable[..., bytes]) -> None:
    document = read_document("fixed.pdf", encrypted(make_pdf(["Prices."]), "", "RC4-128"))
    assert document.sections[0].text == "Prices."


def encrypted(pdf: bytes, password: str, algorithm: str) -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf)))
    writer.encrypt(password, owner_password="owner", algorithm=algorithm)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_html_that_is_nested_without_end_is_read_or_refused_and_no_more() -> None:
    page = "<html>" + "<div>" * 1000 + "deep" + "</div>" * 1000
    assert read_document("deep.html", page.encode()).sections[0].text == "deep"


def test_a_parser_that_hangs_is_killed_by_its_processor_time() -> None:
    with pytest.raises(KnowledgeError, match=r"bad.pdf: was not read within 1 s; cut it"):
        held("while True: pass", Limits(cpu_s=1, wall_s=30))


def test_a_parser_that_sleeps_is_killed_by_the_clock(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(KnowledgeError, match=r"bad.pdf: was not read within 3 s"):
        held(code, Limits(wall_s=3))
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound addresses")
def test_a_parser_that_eats_memory_gets_no_more() -> None:
    code = "try:\n    bytes(600 * 2**20)\nexcept MemoryError:\n    print('refused')"
    assert held(code, Limits()) == b"refused\n"


def test_a_parser_that_dies_is_said() -> None:
    with pytest.raises(
        KnowledgeError, match=r"needs more than 512 MiB of memory to be read, or br"
    ):
        held("import os; os.abort()", Limits())
    with pytest.raises(KnowledgeError, match=r"cannot be read as document \(exit code 3\)"):
        held("sys.exit(3)", Limits())


def test_a_parser_cannot_fill_the_disk() -> None:
    code = "sys.stdout.buffer.write(bytes(3_000_000)); sys.stdout.flush()"
    with pytest.raises(KnowledgeError, match=r"cannot be read as document"):
        held(code, Limits(max_chars=100))


def test_documents_are_read_by_threads_at_once(make_pdf: Callable[..., bytes]) -> None:
    found: list[str] = []

    def read(word: str) -> None:
        document = read_document("a.pdf", make_pdf([f"Text {word}."]))
        found.append(document.sections[0].text)

    threads = [threading.Thread(target=read, args=(word,)) for word in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["Text a.", "Text b.", "Text c."]
