"""Requests in a language, for tests of applications that stand without their guard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tailorbird.serving.languages import LANGUAGE, Language


@contextmanager
def asked_in(language: Language) -> Iterator[None]:
    """Requests of a client are answered in *language*, as the guard would have it."""
    token = LANGUAGE.set(language)
    try:
        yield
    finally:
        LANGUAGE.reset(token)
