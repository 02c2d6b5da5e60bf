"""Every word the console shows, in both languages, one file a page.

A page's file is added to `PAGES`; tests hold the keys of the languages equal, and those of the
pages apart.
"""

from tailorbird.console.words import (
    ask,
    bundles,
    desk,
    everywhere,
    knowledge,
    opinion,
    overview,
    pages,
    recommend,
    review,
    rules,
    runs,
)
from tailorbird.console.words.language import Language, Words, preferred_language

PAGES: tuple[Words, ...] = (
    everywhere.WORDS,
    overview.WORDS,
    ask.WORDS,
    desk.WORDS,
    review.WORDS,
    knowledge.WORDS,
    rules.WORDS,
    runs.WORDS,
    bundles.WORDS,
    opinion.WORDS,
    pages.WORDS,
    recommend.WORDS,
)
WORDS: Words = {
    "en": {key: word for page in PAGES for key, word in page["en"].items()},
    "zh": {key: word for page in PAGES for key, word in page["zh"].items()},
}

__all__ = ["PAGES", "WORDS", "Language", "Words", "preferred_language"]
