"""The frame that all pages share: one file with its style and its one script, in two languages.

A page loads nothing and sends nothing: its own content policy forbids it, and allows the script by
its hash.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tailorbird import __version__
from tailorbird.evaluation.words import WORDS, both, breakable, count, moment, percent
from tailorbird.text import language_of, shorten

TEMPLATES = Path(__file__).parent / "templates"


def render_page(
    template: str,
    *,
    chapters: Sequence[str],
    words: Mapping[str, tuple[str, str]] = WORDS,
    version: str = __version__,
    own: Path | None = None,
    **places: Any,
) -> str:
    """The page that *template*, an extension of ``frame.html``, makes of *places*.

    Args:
        template: a file of the templates' folder.
        chapters: ids of the sections that the bar at the top leads to; each is a word, too.
        words: English and Chinese by key, those of the frame among them.
        version: of the program that made it.
        own: a folder with the template and its ``.css``, where another room has them.
        places: what the template names.
    """
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, *([own] if own else [])]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(t=partial(both, words=words), words=words, language_of=language_of)
    environment.filters.update(
        percent=percent, count=count, shorten=shorten, breakable=breakable, moment=moment
    )
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    styles = [TEMPLATES / "report.css"]
    if own:
        styles.append((own / template).with_suffix(".css"))
    return environment.get_template(template).render(
        style=Markup("".join(path.read_text(encoding="utf-8") for path in styles)),
        script=Markup(script),
        script_hash=digest,
        version=version,
        chapters=chapters,
        **places,
    )


def write_whole(path: Path, text: str) -> None:
    """Write *text* to *path* in one step.

    Half a surrogate pair, which JSON logs may hold, cannot be written as UTF-8 and becomes ``?``.
    """
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(text.encode("utf-8", errors="replace"))
    os.replace(part, path)
