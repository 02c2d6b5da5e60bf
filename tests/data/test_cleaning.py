"""Cleaning changes what it says, drops what it counts, and shows nobody's data."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailorbird.config import CleaningSettings
from tailorbird.data.cleaning import Cleaned, CleaningStep, clean
from tailorbird.records import Interaction, Message


def row(text: str, label: str | None = None, **fields: object) -> Interaction:
    return replace(Interaction(id=str(fields.pop("id", text)), text=text, label=label), **fields)


def texts_of(cleaned: Cleaned) -> list[str]:
    return [row.text for row in cleaned.interactions]


def step_of(cleaned: Cleaned, name: str) -> CleaningStep:
    [step] = [step for step in cleaned.report.steps if step.name == name]
    return step


def test_all_steps_act_on_text_reply_and_history() -> None:
    dirty = "<b>ＡＢＣ</b>&amp; \u200b 我的电话13800138000\n发自我的iPhone"
    [found] = clean([row(dirty, reply=dirty, history=(Message("user", dirty),))]).interactions
    plain = "ABC& 我的电话[PHONE]"
    assert (found.text, found.reply, found.history) == (plain, plain, (Message("user", plain),))


def test_what_was_dropped_and_changed_is_told_step_by_step() -> None:
    rows = [row("one  word", "a"), row("one word", "a"), row("two"), row("")]
    assert clean(rows).report.decisions == (
        "whitespace: 1 row changed, as 'one  word' → 'one word'",
        "length: 1 row dropped, as '(empty: )'",
        "duplicates: 1 row dropped, as 'one word' → '(as one  word)'",
        "missing values: label in 2 of 4 rows",
        "kept: 2 of 4 rows",
    )


def test_labels_that_join_other_labels_are_named() -> None:
    rows = [row(f"row {n}", label) for n, label in enumerate(["a", "b", "a, b", "a|b", "a/c"])]
    [told] = clean(rows).report.decisions
    assert told.startswith("2 labels join others ('a, b', 'a|b'); a row has one label")


def test_every_step_counts_its_rows_and_shows_before_and_after() -> None:
    cleaned = clean([row("<b>hello</b> there"), row("ＡＢＣ"), row("fine"), row("")])
    assert step_of(cleaned, "markup") == CleaningStep(
        "markup", 0, 1, (("<b>hello</b> there", "hello there"),)
    )
    assert step_of(cleaned, "unicode") == CleaningStep("unicode", 0, 1, (("ＡＢＣ", "ABC"),))
    assert step_of(cleaned, "length") == CleaningStep("length", 1, 0, (("(empty: )", ""),))
    assert (cleaned.report.n_in, cleaned.report.n_out) == (4, 3)


def test_invisible_changes_are_shown_around_the_place_where_they_are() -> None:
    cleaned = clean([row("word " * 60 + "zero\u200bwidth and more " + "word " * 60)])
    [(before, after)] = step_of(cleaned, "unicode").examples
    assert "zero\\u200bwidth" in before
    assert "zerowidth" in after
    assert len(before) < 200


def test_examples_of_masking_show_dots_and_never_the_data() -> None:
    rows = [row(f"call 1380013800{n}") for n in range(5)]
    step = step_of(clean(rows), "personal data")
    assert step.n_changed == 5
    assert step.examples == (("call •••••••••••", "call [PHONE]"),)


def test_no_example_of_any_step_leaks_personal_data() -> None:
    secret = [
        "ＡＢＣ　１３８００１３８０００",
        "<p>138<b>0013</b>8000</p>",
        "138\u200b0013\u200b8000 hello",
        "  my mail is ann@example.com  ",
        "ok\n-- \nAnn, 13800138000",
        "13800138000 " + "x" * 5_000,
    ]
    cleaned = clean([row(text, "a", id=n) for n, text in enumerate([*secret, *secret])])
    told = json.dumps(cleaned.report.to_json(), ensure_ascii=False)
    for leak in ("8000", "８０００", "ann@", "0013"):
        assert leak not in told


def test_user_known_by_phone_or_mail_gets_a_name_that_only_tells_users_apart() -> None:
    users = ["ann@example.com", "13800138000", "u7", "ann@example.com"]
    found = [
        r.user for r in clean([row(f"text {n}", user=u) for n, u in enumerate(users)]).interactions
    ]
    assert found[0] == found[3] != found[1]
    assert found[0] is not None
    assert found[0].startswith("user-")
    assert found[2] == "u7"


def test_steps_are_turned_off_by_the_settings() -> None:
    off = CleaningSettings(
        strip_markup=False,
        normalize_width=False,
        mask_pii=False,
        drop_duplicates=False,
        near_duplicate=0.0,
    )
    dirty = "<b>ＡＢＣ</b> 13800138000"
    cleaned = clean([row(dirty, id=1), row(dirty, id=2)], off)
    assert texts_of(cleaned) == [dirty, dirty]
    assert [step.name for step in cleaned.report.steps] == ["whitespace", "length"]


def test_long_texts_are_cut_and_short_ones_dropped() -> None:
    settings = CleaningSettings(min_chars=3, max_chars=10)
    cleaned = clean([row("ab"), row("abcdefghijklmnop"), row("  ")], settings)
    assert texts_of(cleaned) == ["abcdefghij"]
    assert (step_of(cleaned, "length").n_dropped, step_of(cleaned, "length").n_changed) == (2, 1)


def test_missing_values_are_counted_by_column() -> None:
    cleaned = clean([row("a", "x"), row("b", user="u"), row("c", reply="r", feedback=1.0)])
    assert cleaned.report.missing == {"label": 2, "user": 2, "time": 3, "reply": 2, "feedback": 2}


# -- duplicates


def test_of_equal_rows_the_one_that_tells_most_is_kept() -> None:
    now = datetime(2024, 5, 1, tzinfo=UTC)
    rows = [
        row("Where is it?", id=1),
        row("where  is it?", "track", id=2),
        row("Where is it?", "track", id=3, reply="here", feedback=-1.0),
        row("Where is it?", "track", id=4, reply="soon", feedback=1.0),
        row("Where is it?", "track", id=5, reply="soon", time=now),
    ]
    cleaned = clean(rows)
    assert [row.id for row in cleaned.interactions] == ["4"]
    assert step_of(cleaned, "duplicates").n_dropped == 4


def test_label_of_most_rows_is_kept_and_the_conflict_reported() -> None:
    cleaned = clean([row("hi", "a", id=1), row("hi", "b", id=2), row("hi", "b", id=3)])
    assert [row.label for row in cleaned.interactions] == ["b"]
    assert cleaned.report.n_conflicts == 1
    assert cleaned.report.conflicts == (("hi", ("a", "b")),)
    assert any("1 texts carry different labels" in line for line in cleaned.report.decisions)


def test_conflict_without_a_majority_keeps_one_row_of_each_label() -> None:
    rows = [row("hi", label, id=n) for n, label in enumerate(["a", "b", "a", "b", None])]
    assert [row.label for row in clean(rows).interactions] == ["a", "b"]


def test_near_duplicates_go_only_within_one_label() -> None:
    long = "my parcel has not arrived although the page says delivered"
    rows = [row(long, "a"), row(long + "!!", "a"), row(long + "?", "b"), row(long + " :(")]
    cleaned = clean(rows)
    assert [row.label for row in cleaned.interactions] == ["a", "b", None]
    assert step_of(cleaned, "near duplicates").examples == ((long + "!!", f"(near {long})"),)


def test_rows_of_given_test_and_validation_splits_are_never_dropped() -> None:
    given = [
        row(text, "a", id=f"{split}{n}", split=split)
        for split in ("validation", "test")
        for n, text in enumerate(["hi", "hi", "", "call 13800138000"])
    ]
    cleaned = clean([row("hi", "a", id="t1", split="train"), row("hi", "a", split="train"), *given])
    assert [row.id for row in cleaned.interactions] == ["t1", *(row.id for row in given)]
    assert cleaned.interactions[-1].text == "call [PHONE]"
    assert (
        "8 rows of given validation and test splits: none dropped (6 are empty or repeat another)"
        in cleaned.report.decisions
    )


def test_labels_that_differ_only_in_case_are_pointed_out() -> None:
    decisions = clean([row("one", "Refund"), row("two", " refund ")]).report.decisions
    assert decisions == ("labels 'Refund' and 'refund' differ only in case; are they one?",)


texts = st.sampled_from(
    [
        "hi",
        "Hi!",
        "hi ",
        "",
        "<b>x</b>",
        "call 13800138000",
        "ＡＢＣ",
        "where is my parcel",
        "?",
        "&lt;",
    ]
)
rows = st.lists(
    st.builds(
        Interaction,
        id=st.integers(0, 99).map(str),
        text=texts,
        label=st.sampled_from([None, "a", "b"]),
        split=st.sampled_from([None, "train", "test"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(rows)
def test_every_row_is_kept_or_counted(rows: list[Interaction]) -> None:
    report = clean(rows).report
    assert report.n_in == len(rows)
    assert report.n_in - report.n_out == sum(step.n_dropped for step in report.steps)


@settings(deadline=None)
@given(rows)
def test_cleaning_clean_rows_changes_nothing(rows: list[Interaction]) -> None:
    once = clean(rows).interactions
    assert clean(once).interactions == once


@pytest.mark.parametrize("kind", ["report", "rows"])
def test_cleaning_is_the_same_every_time(kind: str) -> None:
    found = [clean([row(f"text {n % 7}", "ab"[n % 2], id=n) for n in range(40)]) for _ in range(2)]
    assert getattr(found[0], {"report": "report", "rows": "interactions"}[kind]) == getattr(
        found[1], {"report": "report", "rows": "interactions"}[kind]
    )
