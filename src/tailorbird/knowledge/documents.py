"""Documents as they come: what kind they are, and their texts, read in a bounded process."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from tailorbird.errors import KnowledgeError, missing_extra
from tailorbird.knowledge.parsing.bounds import Limits as Limits
from tailorbird.knowledge.parsing.parsed import Section

KINDS = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".csv": "qa",
    ".tsv": "qa",
}
"""What documents are, by the end of their name."""
SAID = {
    "markdown": "Markdown",
    "text": "text",
    "html": "HTML",
    "pdf": "PDF",
    "docx": "DOCX",
    "qa": "CSV of questions and answers",
}
MAX_NAME_CHARS = 300
_CURES = {
    ".doc": "save it as .docx",
    ".rtf": "save it as .docx",
    ".odt": "save it as .docx",
    ".xls": "save its questions and answers as .csv",
    ".xlsx": "save its questions and answers as .csv",
    ".ppt": "save it as .pdf",
    ".pptx": "save it as .pdf",
}
_PACKAGES = {"docx": "python-docx", "bs4": "beautifulsoup4", "markdown_it": "markdown-it-py"}
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@dataclass(frozen=True, slots=True)
class Document:
    """What one document says."""

    name: str
    kind: str
    """``markdown``, ``text``, ``html``, ``pdf``, ``docx`` or ``qa``."""
    title: str
    sections: tuple[Section, ...]
    hash: str
    """SHA-256 of its bytes, in hexadecimal."""
    n_bytes: int


def read_document(name: str, content: bytes, *, limits: Limits | None = None) -> Document:
    """The texts of a document under their headings.

    A process of its own reads it, which may use so much memory and time and no more: whatever a
    document makes of its parser, this process goes on.

    Raises KnowledgeError that says what is wrong with the document, and MissingExtraError where
    what reads its kind is not installed.
    """
    limits = limits or Limits()
    check_name(name)
    if len(content) > limits.max_bytes:
        raise KnowledgeError(
            f"has {len(content):,} bytes, and {limits.max_bytes:,} are allowed",
            where=name,
            cure="cut it into parts, or take its pictures out",
        )
    kind = kind_of(name, content)
    command = [sys.executable, "-m", "tailorbird.knowledge.parsing", kind]
    output = run_bounded([*command, json.dumps(asdict(limits))], content, limits, where=name)
    found = _understood(output, kind, limits, where=name)
    sections = tuple(Section(**section) for section in found["sections"])
    if not sections:
        raise KnowledgeError("holds no text", where=name, cure="add a document that says something")
    return Document(name, kind, found["title"], sections, hash_of(content), len(content))


def hash_of(content: bytes) -> str:
    """SHA-256 in hexadecimal.

    >>> hash_of(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(content).hexdigest()


def check_name(name: str) -> None:
    """KnowledgeError where *name* cannot name a document."""
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise KnowledgeError(
            "is no name for a document",
            where=repr(name[:80]),
            cure=f"give it 1 to {MAX_NAME_CHARS} characters that can be printed",
        )


def kind_of(name: str, content: bytes) -> str:
    """The kind of a document, by its name and its first bytes, which have to agree.

    >>> kind_of("returns.md", b"# Returns")
    'markdown'
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in KINDS:
        found = f"ends in {suffix!r}" if suffix else "has no ending"
        raise KnowledgeError(
            f"{found}, which says nothing about what it is",
            where=name,
            cure=_CURES.get(suffix, f"known: {', '.join(KINDS)}"),
        )
    if not content.strip():
        raise KnowledgeError("is empty", where=name, cure="add a document that says something")
    named, looks = KINDS[suffix], _looks_like(content)
    if named == "pdf" and b"%PDF-" in content[:1024]:
        return named  # mail and scanners put their own bytes before it
    if looks == "old":
        raise KnowledgeError(
            "is an old Office file, or protected by a password",
            where=name,
            cure="save it as .docx without a password",
        )
    if looks == named or (not looks and named not in ("pdf", "docx")):
        return named
    if looks == "html" and named == "markdown":
        return named  # Markdown may begin with HTML
    if not looks:
        raise KnowledgeError(
            f"is no {SAID[named]} by its first bytes", where=name, cure="is it whole? save it again"
        )
    ending = next((end for end, kind in KINDS.items() if kind == looks), "")
    what = f"is {SAID[looks]}" if ending else "is an archive"
    raise KnowledgeError(
        f"{what} by its first bytes, and {SAID[named]} by its name",
        where=name,
        cure=f"call it {PurePosixPath(name).stem}{ending}" if ending else "unpack it",
    )


def _looks_like(content: bytes) -> str:
    """A kind, ``old`` (Office before 2007), ``archive``, or empty where nothing tells."""
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"%PDF-"):
        return "pdf"
    if start.startswith(b"PK\x03\x04"):
        return "docx" if b"word/" in content else "archive"
    if start.startswith(_OLD_OFFICE):
        return "old"
    is_page = start[:20].lower().startswith((b"<!doctype html", b"<html"))
    return "html" if is_page else ""


def run_bounded(command: Sequence[str], content: bytes, limits: Limits, *, where: str) -> bytes:
    """What *command* writes when it is given *content*; it is to hold itself to *limits*.

    Raises KnowledgeError where it takes too long, or ends in another way than by itself.
    """
    # Files, not pipes: neither side waits for the other, and what is written can be bounded.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as found:
        given.write(content)
        given.seek(0)
        process = subprocess.Popen(
            command, stdin=given, stdout=found, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            code = process.wait(limits.wall_s)
        except subprocess.TimeoutExpired:
            raise _too_slow(limits.wall_s, where) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if code == -getattr(signal, "SIGXCPU", 0):
            raise _too_slow(limits.cpu_s, where)
        found.seek(0)
        output = found.read(limits.output_bytes)
    if code or not output or len(output) == limits.output_bytes:  # where writing was cut off
        raise _too_much_memory(limits, where) if code < 0 else _broken(where, f"exit code {code}")
    return output


def _understood(output: bytes, kind: str, limits: Limits, *, where: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(output)
    except ValueError:
        raise _broken(where, "its reader gave no answer") from None
    if "missing" in found:
        package = found["missing"]
        raise missing_extra(_PACKAGES.get(package, package), extra="knowledge")
    if "memory" in found:
        raise _too_much_memory(limits, where)
    if "broken" in found:
        raise _broken(where, found["broken"], SAID[kind])
    if "what" in found:
        raise KnowledgeError(found["what"], where=where, cure=found["cure"])
    return found


def _too_slow(limit_s: float, where: str) -> KnowledgeError:
    return KnowledgeError(
        f"was not read within {limit_s:g} s",
        where=where,
        cure="cut it into parts, or save it in another form",
    )


def _too_much_memory(limits: Limits, where: str) -> KnowledgeError:
    return KnowledgeError(
        f"needs more than {limits.memory_bytes // 2**20} MiB of memory to be read, or breaks "
        "what reads it",
        where=where,
        cure="cut it into parts, or save it in another form",
    )


def _broken(where: str, cause: str, kind: str = "document") -> KnowledgeError:
    return KnowledgeError(
        f"cannot be read as {kind} ({cause})",
        where=where,
        cure="open it in its own program and save it again",
    )
