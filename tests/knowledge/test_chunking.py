"""Documents are cut where sentences end, and a piece that is not edited stays itself."""

from __future__ import annotations

import pytest

from tailorbird.knowledge import sentences
from tailorbird.knowledge.chunking import MAX_CHARS, Piece, cut
from tailorbird.knowledge.documents import read_document
from tailorbird.text import language_of


def pieces(text: str, name: str = "a.md") -> list[Piece]:
    return cut(read_document(name, text.encode()))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Within 7 days. Then not!", ["Within 7 days.", "Then not!"]),
        (
            "Write to Mr. Lin, e.g. by mail. He answers.",
            ["Write to Mr. Lin, e.g. by mail.", "He answers."],
        ),
        (
            "It costs 3.50 yuan. See www.shop.example for more.",
            ["It costs 3.50 yuan.", "See www.shop.example for more."],
        ),
        (
            "Open from 9 a.m. to 9 p.m. every day. Come in!",
            ["Open from 9 a.m. to 9 p.m. every day.", "Come in!"],
        ),
        (
            "See No. 5 on the list. It says “Stop.” Then go.",
            ["See No. 5 on the list.", "It says “Stop.”", "Then go."],
        ),
        (
            "签收后7天内可以退。运费10元！问谁？客服。",
            ["签收后7天内可以退。", "运费10元！", "问谁？", "客服。"],
        ),
        ("他说：“可以退。”然后挂了。", ["他说：“可以退。”", "然后挂了。"]),
        (
            "买iPhone 15吗？Yes. 可以分期；免息。",
            ["买iPhone 15吗？", "Yes.", "可以分期；", "免息。"],
        ),
        ("真的!!!太好了……谢谢。", ["真的!!!", "太好了……", "谢谢。"]),
        ("first line\nsecond line", ["first line", "second line"]),
        ("看 https://shop.example/a?b=1.5 就行。", ["看 https://shop.example/a?b=1.5 就行。"]),
        ("", []),
    ],
)
def test_sentences_end_where_people_end_them(text: str, found: list[str]) -> None:
    assert sentences(text) == found


def test_a_long_section_is_cut_between_sentences() -> None:
    lines = [f"Sentence number {i} says that parcels take {i} days." for i in range(60)]
    found = pieces("# Shipping\n\n" + " ".join(lines))
    assert len(found) > 3
    assert {one.heading for one in found} == {"Shipping"}
    assert all(len(one.text) <= 1.25 * MAX_CHARS["en"] for one in found)
    assert [sentence for one in found for sentence in sentences(one.text)] == lines
    assert [one.number for one in found] == list(range(len(found)))


def test_chinese_pieces_have_fewer_characters_and_no_spaces_between_sentences() -> None:
    text = "".join(f"第{i}种情况下，包裹在{i}天之内送到您的手里。" for i in range(80))
    found = pieces(text, "a.txt")
    assert all(len(one.text) <= 1.25 * MAX_CHARS["zh"] for one in found)
    assert "".join(one.text for one in found) == text
    assert {language_of(one.text) for one in found} == {"zh"}


def test_a_sentence_without_end_is_cut_all_the_same() -> None:
    found = pieces("word " * 500 + "x" * 2000, "a.txt")
    assert all(len(one.text) <= 1.25 * MAX_CHARS["en"] for one in found)
    assert "".join(one.text for one in found).replace(" ", "") == "word" * 500 + "x" * 2000


def test_a_piece_never_goes_over_a_heading() -> None:
    found = pieces("# A\n\nOne.\n\n# B\n\nTwo.\n")
    assert [(one.heading, one.text) for one in found] == [("A", "One."), ("B", "Two.")]


def test_what_is_not_edited_keeps_its_id() -> None:
    before = pieces("# A\n\nOne.\n\n# B\n\nTwo.\n\n# B\n\nTwo.\n")
    after = pieces("# A\n\nNew.\n\n# A\n\nOne.\n\n# B\n\nTwo, edited.\n\n# B\n\nTwo.\n")
    assert len({one.id for one in before}) == 3  # equal pieces are two
    assert {one.id for one in before} & {one.id for one in after} == {before[0].id, before[1].id}
    assert before[0].id not in {one.id for one in pieces("# A\n\nOne.\n", "other.md")}


def test_a_question_stays_with_its_answer_and_is_what_is_searched() -> None:
    (one,) = pieces("question,answer\nHow long?," + "Long. " * 300 + "\n", "faq.csv")
    assert (one.question, one.searched) == ("How long?", "How long?")
    assert len(one.text) > 1700
