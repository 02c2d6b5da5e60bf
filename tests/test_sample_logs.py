"""The sample logs are what their README says, and anybody can make them again."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import tomllib
import unicodedata
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from stdnum import luhn
from stdnum.cn import ric

LOGS = Path(__file__).parents[1] / "examples" / "logs"
INTENTS = {
    "account_login",
    "cancel_order",
    "change_address",
    "damaged_item",
    "discount_code",
    "invoice_request",
    "payment_failed",
    "refund",
    "return_item",
    "shipping_options",
    "size_advice",
    "stock_availability",
    "talk_to_human",
    "track_order",
    "warranty_repair",
    "wrong_item",
}

Row = dict[str, Any]


@pytest.fixture(scope="module")
def made_again(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Row]:
    out = tmp_path_factory.mktemp("logs") / "shop.jsonl"
    command = [sys.executable, str(LOGS / "generate.py"), "--out", str(out), "--seed", "7"]
    run = subprocess.run(command, capture_output=True, check=True)
    return out.read_bytes(), json.loads(run.stdout.decode().splitlines()[-1])


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """The rows that are well formed."""
    good = []
    for line in (LOGS / "shop.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
            datetime.fromisoformat(row["time"])
            turns = row["messages"]
            assert {turn["role"] for turn in turns} <= {"user", "assistant"}
            assert all(isinstance(turn["content"], str) for turn in turns)
            assert turns[0]["role"] == "user"
        except (ValueError, TypeError, KeyError, IndexError, AssertionError):
            continue
        good.append(row)
    return good


@pytest.fixture(scope="module")
def texts(rows: list[Row]) -> list[str]:
    return [turn["content"] for row in rows for turn in row["messages"] if turn["role"] == "user"]


def test_the_committed_file_is_what_the_generator_writes(made_again: tuple[bytes, Row]) -> None:
    assert (LOGS / "shop.jsonl").read_bytes() == made_again[0]


def test_another_seed_gives_other_logs(tmp_path: Path, made_again: tuple[bytes, Row]) -> None:
    command = [sys.executable, str(LOGS / "generate.py"), "--out", str(tmp_path / "a"), "--seed"]
    subprocess.run([*command, "8"], capture_output=True, check=True)
    assert (tmp_path / "a").read_bytes() != made_again[0]


def test_sixty_users_speak_of_sixteen_intents_in_two_languages(
    rows: list[Row], texts: list[str]
) -> None:
    assert len(rows) == 2000
    assert len({row["user"] for row in rows}) == 60
    labels = Counter(row["intent"] for row in rows if row.get("intent"))
    assert set(labels) == INTENTS
    assert min(labels.values()) >= 70
    n_chinese = sum(bool(re.search(r"[\u4e00-\u9fff]", text)) for text in texts)
    assert 0.4 < n_chinese / len(texts) < 0.7


def test_about_a_seventh_of_the_rows_is_unlabelled_and_a_third_has_feedback(
    rows: list[Row],
) -> None:
    unlabelled = [row for row in rows if not row.get("intent")]
    assert 0.13 < len(unlabelled) / len(rows) < 0.17
    feedback = Counter(row["feedback"] for row in rows if "feedback" in row)
    assert set(feedback) == {1, -1}
    assert 0.3 < feedback.total() / len(rows) < 0.4
    assert feedback[1] > 4 * feedback[-1] > 100


def test_the_logs_last_eight_weeks_and_sleep_at_night(rows: list[Row]) -> None:
    times = [datetime.fromisoformat(row["time"]) for row in rows]
    assert times == sorted(times)
    assert 54 <= (times[-1] - times[0]).days <= 56
    at_night = sum(time.hour in range(1, 6) for time in times)
    at_ten = sum(time.hour == 10 for time in times)
    assert at_ten > 5 * at_night


def test_no_text_is_repeated_but_those_sent_twice_on_purpose(
    texts: list[str], made_again: tuple[bytes, Row]
) -> None:
    n_repeated = len(texts) - len(set(texts))
    assert n_repeated == made_again[1]["n_repeated_texts"] == 34
    assert made_again[1]["distinct_4grams"] > 0.5
    words = [len(re.findall(r"[a-zA-Z0-9']+|[\u4e00-\u9fff]", text)) for text in texts]
    assert min(words) <= 2
    assert max(words) >= 50


def test_the_dirt_of_real_logs_is_there(texts: list[str], rows: list[Row]) -> None:
    everything = "\n".join(texts)
    for pattern, at_least in {
        r"[\w.]+@[\w.]*example\.\w+": 10,  # addresses nobody can have
        r"1(38|39|86|77)[ -]?0000[ -]?\d{4}": 15,
        r"\+44 20 7946 0\d{3}": 3,  # Ofcom's range for fiction
        r"<p>|<br/>|<div|&nbsp;": 25,
        r"[０-９]": 15,
        r"[\u200b\u200d\ufeff]": 8,
        r"Sent from my iPhone|发自我的iPhone": 20,
        r"😡|🙏|😭|😊|👍|📦|🤔": 10,
    }.items():
        assert len(re.findall(pattern, everything)) >= at_least, pattern
    n_lines = (LOGS / "shop.jsonl").read_text(encoding="utf-8").count("\n")
    assert n_lines - len(rows) == 28
    assert any(len(row["messages"]) >= 4 for row in rows)


def test_identity_and_card_numbers_pass_their_checks_and_belong_to_nobody(
    texts: list[str],
) -> None:
    everything = unicodedata.normalize("NFKC", "\n".join(texts))
    identities = re.findall(r"(?<!\d)\d{17}[\dX](?!\d)", everything)
    cards = re.findall(r"(?<!\d)(?:\d{4} \d{4} \d{4} \d{4}|\d{15,16})(?!\d)", everything)
    assert identities
    assert cards
    for number in identities:
        assert ric.is_valid(number), number
        assert int(number[6:10]) < 1910
    assert all(luhn.is_valid(number.replace(" ", "")) for number in cards)


def test_the_labels_file_labels_rows_that_have_none(rows: list[Row]) -> None:
    unlabelled = {row["id"] for row in rows if not row.get("intent")}
    with (LOGS / "labels.csv").open(encoding="utf-8", newline="") as file:
        labels = list(csv.DictReader(file))
    assert len(labels) == 24
    assert {row["id"].partition(":")[0] for row in labels} <= unlabelled
    assert {row["label"] for row in labels} <= INTENTS


def test_every_rule_names_an_intent_and_every_intent_has_a_rule() -> None:
    rules = tomllib.loads((LOGS / "rules.toml").read_text(encoding="utf-8"))["rule"]
    assert {rule["intent"] for rule in rules} == INTENTS
    assert all(rule.get("keywords") or rule.get("regex") for rule in rules)


def test_thirty_reviews_have_columns_of_other_names() -> None:
    with (LOGS / "reviews.csv").open(encoding="utf-8", newline="") as file:
        reviews = list(csv.DictReader(file))
    assert len(reviews) == 30
    assert Counter(row["topic"] for row in reviews) == {
        "delivery": 10,
        "quality": 10,
        "service": 10,
    }
    assert all(row["comment"] for row in reviews)
