"""One document, read in a process of its own: bytes come in, JSON goes out.

``python -m tailorbird.knowledge.parsing KIND LIMITS`` is what `read_document` calls.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module
from typing import Any

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.parsing.bounds import Limits, hold
from tailorbird.knowledge.parsing.parsed import Parsed

PARSERS = {
    "markdown": ("markdown", ("markdown_it", "bs4")),
    "text": ("plain", ("charset_normalizer",)),
    "html": ("html", ("bs4",)),
    "pdf": ("pdf", ("pypdf",)),
    "docx": ("docx", ("docx",)),
    "qa": ("questions", ("charset_normalizer",)),
}
"""Where the ``parse`` of a kind is, and what it needs."""


def main() -> None:
    """Read one document as the command line says."""
    kind, limits = sys.argv[1], Limits(**json.loads(sys.argv[2]))
    parser, libraries = PARSERS[kind]
    for library in libraries:  # their own memory is not the document's
        try:
            import_module(library)
        except ImportError:
            _answer({"missing": library})
            return
    parse = import_module(f"tailorbird.knowledge.parsing.{parser}").parse
    hold(limits)
    _answer(_read(parse, limits))


def _read(parse: Any, limits: Limits) -> dict[str, Any]:
    try:
        parsed: Parsed = parse(sys.stdin.buffer.read(), limits)
        n_chars = sum(len(one.text) + len(one.question) for one in parsed.sections)
        if n_chars > limits.max_chars:
            raise KnowledgeError(
                f"holds more than {limits.max_chars:,} characters", cure="cut it into parts"
            )
        return asdict(parsed)
    except KnowledgeError as error:
        return {"what": error.what, "cure": error.cure}
    except MemoryError:
        return {"memory": True}
    except Exception as error:  # whatever a library says of a document that is broken
        return {"broken": f"{type(error).__name__}: {error}"[:300]}


def _answer(found: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(found).encode("ascii"))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
