import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailorbird.bundle.templates import (
    best_templates,
    check,
    gaps,
    load_templates,
    save_templates,
    to_toml,
)
from tailorbird.errors import ConfigError
from tailorbird.records import Interaction


def replied(reply: str | None, feedback: float | None = None, label: str = "refund") -> Interaction:
    return Interaction(id="", text="?", reply=reply, label=label, feedback=feedback)


def best(interactions: list[Interaction], n: int = 3) -> list[str]:
    """The English templates for the intent refund."""
    return best_templates(interactions, ["refund"], n_per_language=n)["refund"]["en"]


PLAIN = "We return the money within five days."
OTHER = "Please send the item back first, then ask for your refund here."
THIRD = "Sorry to hear that! A colleague will look into it."


def test_every_label_gets_an_entry_in_both_languages() -> None:
    rows = [replied("退款五天内到账。"), replied(PLAIN), replied("Hello!", label="unknown")]
    assert best_templates(rows, ["refund", "shipping"]) == {
        "refund": {"zh": ["退款五天内到账。"], "en": [PLAIN]},
        "shipping": {"zh": [], "en": []},
    }


def test_feedback_beats_frequency_beats_centrality() -> None:
    rows = [replied(PLAIN)] * 9 + [replied(OTHER, 1.0)] + [replied(THIRD)] * 2
    assert best(rows) == [OTHER, PLAIN, THIRD]


def test_one_praise_is_less_proof_than_many() -> None:
    rows = [replied(PLAIN, 1.0)] + [replied(OTHER, 0.9)] * 20
    assert best(rows) == [OTHER, PLAIN]


def test_among_equals_the_one_closest_to_the_others_comes_first() -> None:
    rows = [
        replied("Zebras."),
        replied("We send your money back to your account soon."),
        replied("We send the money to the account you paid with, soon."),
        replied("Your money goes back to the account soon, we promise that."),
    ]
    assert "Zebras." not in best(rows)
    assert best(rows, n=4)[-1] == "Zebras."


def test_disliked_replies_are_left_out_unless_more_people_liked_them() -> None:
    assert best([replied(PLAIN, -1.0), replied(PLAIN), replied(OTHER)]) == [OTHER]
    assert best([replied(PLAIN, -1.0), replied(PLAIN, 1.0), replied(PLAIN, 0.5)]) == [PLAIN]


@pytest.mark.parametrize(
    "reply",
    [
        "We wrote to [EMAIL].",
        "我们会打 [PHONE] 联系您。",
        "Card [CARD] gets it back.",
        "[ID] is confirmed",
        "Order 20260118 is refunded.",
        "订单SF1234的退款已完成。",
        "Ticket #482 was closed.",
        "Case NO-0042 is done.",
        "Call us at {{Customer Support Phone Number}}.",
    ],
)
def test_what_was_said_to_one_person_is_not_said_to_all(reply: str) -> None:
    found = best_templates([replied(reply, 1.0)], ["refund"])["refund"]
    assert found == {"zh": [], "en": []}


@pytest.mark.parametrize(
    "reply", ["It takes 3-5 days.", "满 199 元包邮。", "Open 9:00-18:00.", "See [our page]."]
)
def test_small_numbers_and_other_brackets_are_fine(reply: str) -> None:
    found = best_templates([replied(reply)], ["refund"])["refund"]
    assert found["zh"] + found["en"] == [reply]


def test_spellings_of_one_reply_become_its_most_frequent_spelling() -> None:
    rows = [replied("we return the money within five days!!")] + [replied(PLAIN)] * 2
    assert best(rows) == [PLAIN]


def test_near_identical_variants_become_one_and_count_together() -> None:
    rows = [
        replied(f"Dear {name}, your money is on its way back to you.") for name in ("Ann", "Bob")
    ]
    rows += [replied(THIRD)]
    assert len(best(rows)) == 2
    assert best(rows)[0].startswith("Dear ")


def test_what_is_mostly_replied_to_other_intents_is_no_answer_to_this_one() -> None:
    everyday = "When did that happen?"
    logs = [replied("We pay it back in three days.")] * 3
    logs += [replied(everyday, feedback=1.0)] * 2
    logs += [replied(everyday, label="parcel")] * 3
    found = best_templates(logs, ["refund", "parcel"])
    assert found["refund"]["en"] == ["We pay it back in three days."]
    assert found["parcel"]["en"] == [everyday]  # better than nothing: it is what is said there
    logs += [replied("Send us a picture.", label=label) for label in ("refund", "parcel")]
    found = best_templates(logs, ["refund", "parcel"])
    assert found["refund"]["en"] == ["We pay it back in three days.", "Send us a picture."]


def test_blank_and_missing_replies_are_ignored() -> None:
    assert best([replied(None), replied("  "), replied(PLAIN), replied("？！")]) == [PLAIN, "？！"]


def test_the_same_logs_in_another_order_give_the_same_templates() -> None:
    rows = [
        replied(text) for text in (PLAIN, OTHER, THIRD, PLAIN + "!", "退款很快。", "马上退款。")
    ]
    assert best_templates(rows, ["refund"]) == best_templates(rows[::-1], ["refund"])


def test_at_most_three_answers_a_language() -> None:
    words = ("apple", "blue whale", "church organ", "dancing", "evening primrose")
    assert len(best([replied(word) for word in words])) == 3
    assert len(best([replied(word) for word in words], n=5)) == 5


def test_gaps_name_the_intents_without_an_answer() -> None:
    found = gaps({"refund": {"zh": ["好"], "en": []}, "other": {"zh": [], "en": []}})
    assert found == ["no reply in the logs can answer 'other': add one to the templates"]


def test_saved_templates_are_toml_for_people(tmp_path: Path) -> None:
    path = tmp_path / "templates.toml"
    save_templates(path, {"refund": {"zh": ["好的。", '他说"行"'], "en": []}, "退换 货": {}})
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# The answers of the assistant")
    assert '["refund"]\nzh = [\n    "好的。",\n' in text
    assert tomllib.loads(text)["退换 货"] == {"zh": [], "en": []}


intents = st.text(st.characters(codec="utf-8"), min_size=1)
answers = st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip))


@settings(deadline=None)
@given(st.dictionaries(intents, st.fixed_dictionaries({"zh": answers, "en": answers})))
def test_whatever_is_written_as_toml_is_read_back(
    templates: dict[str, dict[str, list[str]]],
) -> None:
    assert check(tomllib.loads(to_toml(templates)), where="any") == templates


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    templates = {"退款 refund": {"zh": ["第一行\n第二行\t“引号”\\"], "en": ['"Yes."\x7f']}}
    save_templates(tmp_path / "templates.toml", templates)
    assert load_templates(tmp_path / "templates.toml", ["退款 refund"]) == templates


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[refunds]\nen = ['Yes.']", r"\[refunds\] is not an intent of this model; did you mean"),
        ("[xyz]\nen = ['Yes.']", r"\[xyz\] is not an intent .*; known: refund, shipping"),
        ("refund = 'Yes.'", r"\[refund\] must be a section with lists of answers; as en ="),
        ("[refund]\nfr = ['Oui.']", r"\[refund\] fr is not a language of answers; known: zh, en"),
        ("[refund]\nen = 'Yes.'", r"\[refund\] en must be a list of answers; as \["),
        ("[refund]\nen = ['Yes.', 3]", r"\[refund\] en holds 3, which is not an answer; write a"),
        ("[refund]\nen = [' ']", r"\[refund\] en holds ' ', which is not an answer"),
        ("[refund\n", r"is not TOML: .*line 1"),
    ],
)
def test_what_is_wrong_in_a_templates_file_is_said(
    tmp_path: Path, text: str, sentence: str
) -> None:
    path = tmp_path / "templates.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"templates.toml: {sentence}"):
        load_templates(path, ["refund", "shipping"])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.toml: cannot be read \(No such file"):
        load_templates(tmp_path / "none.toml")


def test_templates_for_some_intents_and_languages_are_enough() -> None:
    table: Any = {"refund": {"en": ("Yes.",)}}
    assert check(table, ["refund", "shipping"], where="x") == {"refund": {"zh": [], "en": ["Yes."]}}
