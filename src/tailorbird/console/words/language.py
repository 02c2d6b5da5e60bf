"""The two languages of the console, and which of them a browser wants."""

from __future__ import annotations

from tailorbird.serving.access import Language as Language
from tailorbird.serving.access import preferred_language as preferred_language

Words = dict[Language, dict[str, str]]
"""What one page says, by language and key."""
