"""What holds for any text: nothing is lost, nothing grows, nothing but our own error is raised."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge import sentences
from tailorbird.knowledge.chunking import MAX_CHARS, cut
from tailorbird.knowledge.documents import Document
from tailorbird.knowledge.parsing import html, markdown, plain, questions
from tailorbird.knowledge.parsing.bounds import Limits
from tailorbird.knowledge.parsing.parsed import Section, cleaned
from tailorbird.text import language_of

WORDS = st.sampled_from(
    [
        "return",
        "7",
        "days",
        "e.g.",
        "No.",
        "Mr.",
        "3.50",
        "退货",
        "七天内",
        "iPhone",
        "运费",
        "“好”",
    ]
)
MARKS = st.sampled_from([" ", ", ", ". ", "? ", "。", "！", "；", "……", "\n", "，", ""])
PROSE = st.lists(st.tuples(WORDS, MARKS), max_size=400).map(
    lambda parts: cleaned("".join(word + mark for word, mark in parts))
)
TAGS = "<p> </p> <div </div> hidden> <h2> </h2> <script> </script> <table> <tr> <th> <td> </table>"
SIGNS = "<!-- --> <br> <li> & &amp; # ## --- | , ; \" ' ` ``` [x](y) 退款 <![CDATA[ ]]> title:"
MARKUP = st.lists(
    st.sampled_from([*TAGS.split(), *SIGNS.split(), "\n", "\n\n", "question", "answer"]),
    max_size=60,
).map(" ".join)


def bare(text: str) -> str:
    return "".join(text.split())


@settings(max_examples=150, deadline=None)
@given(PROSE)
def test_cutting_loses_no_letter_and_keeps_to_the_size(text: str) -> None:
    document = Document("a.txt", "text", "", (Section(text),) if text else (), "", 0)
    pieces = cut(document)
    assert bare("".join(piece.text for piece in pieces)) == bare(text)
    size = MAX_CHARS[language_of(text)]
    assert all(0 < len(piece.text) <= 1.26 * size for piece in pieces)
    assert len({piece.id for piece in pieces}) == len(pieces)


@settings(max_examples=150, deadline=None)
@given(PROSE)
def test_sentences_are_the_text(text: str) -> None:
    assert bare("".join(sentences(text))) == bare(text)


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert cleaned(cleaned(text)) == cleaned(text)


@pytest.mark.parametrize("parser", [markdown, html, plain, questions])
@settings(max_examples=60, deadline=None)
@example(text="a,b\rc,d")
@given(text=st.one_of(MARKUP, st.text()))
def test_any_text_is_read_or_refused_in_a_sentence(parser: object, text: str) -> None:
    with suppress(KnowledgeError):
        parsed = parser.parse(text.encode("utf-8", "replace"), Limits())  # type: ignore[attr-defined]
        for section in parsed.sections:
            assert section.text.strip()
            assert section.text == cleaned(section.text)
