"""What real logs look like: slips of the keyboard, remnants of markup, broken lines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from people import Person

NEIGHBOURS = {"a": "s", "e": "r", "i": "o", "o": "p", "t": "r", "n": "m", "s": "d", "r": "t"}
EMOJI = ("😡", "🙏", "😭", "😊", "👍", "🥲", "📦", "❤️", "🤔", "😤")
ROLES = ("bot", "customer", "agent")


def misspell(text: str, slips: Mapping[str, str], rng: Random) -> str:
    """One or two slips: words of the table *slips* (homophones, misspellings), or Latin letters."""
    for _ in range(rng.choice([1, 1, 2])):
        found = [word for word in slips if word in text]
        if found and rng.random() < 0.6:
            word = rng.choice(found)
            text = text.replace(word, slips[word], 1)
        else:
            text = _mistype(text, rng)
    return text


def _mistype(text: str, rng: Random) -> str:
    """Swap, drop, double or mistype one letter of a word of four letters or more."""
    words = list(re.finditer(r"[a-z]{4,}", text))
    if not words:
        return text
    word = rng.choice(words)
    i = rng.randrange(word.start() + 1, word.end() - 1)
    slips = [
        text[:i] + text[i + 1] + text[i] + text[i + 2 :],
        text[:i] + text[i + 1 :],
        text[:i] + text[i] + text[i:],
        text[:i] + NEIGHBOURS.get(text[i], text[i]) + text[i + 1 :],
    ]
    return rng.choice(slips)


def mix_languages(text: str, words: Mapping[str, str], rng: Random) -> str:
    """One or two *words* of the other language, as bilingual people use them."""
    found = [word for word in words if word in text]
    rng.shuffle(found)
    for word in found[: rng.choice([1, 2, 2])]:
        text = text.replace(word, words[word], 1)
    return text


def widen(text: str) -> str:
    """Digits and capitals as their full-width forms, as some input methods type them."""
    return re.sub(r"[A-Z0-9]", lambda match: chr(ord(match.group(0)) + 0xFEE0), text)


def soil(text: str, person: Person, rng: Random) -> str:
    """Emoji, width, markup, invisible characters and signatures, by the person's habits."""
    if rng.random() < person.emoji:
        text += rng.choice(EMOJI) * rng.choice([1, 1, 1, 3])
    if person.wide and rng.random() < 0.6:
        text = widen(text)
    roll = rng.random()
    if roll < 0.010:
        text = f"<p>{text}</p>"
    elif roll < 0.018:
        text = text.replace(" ", "&nbsp;", 1) + "<br/>"
    elif roll < 0.024:
        text = f'<div class="msg">{text}</div>&nbsp;'
    elif roll < 0.032:
        middle = rng.randrange(len(text) + 1)
        text = text[:middle] + rng.choice(["\u200b", "\ufeff", "\u200d"]) + text[middle:]
    elif roll < 0.040:
        text = f"  {text}\n\n"
    if person.signature and rng.random() < 0.7:
        text += "\n" + person.signature
    return text


def nearly(text: str, rng: Random) -> str:
    """The same message, sent again a little differently."""
    return rng.choice(
        [f"{text}!!", f"{text}？", f"{text} ?", f"  {text}。", f"{text}\n", f"{text}…"]
    )


def break_row(row: dict[str, Any], kind: int, rng: Random) -> str:
    """One line of a log as crashes, old exports and other teams' tools leave it."""
    line = json.dumps(row, ensure_ascii=False)
    first = {"role": "user", "content": row["messages"][0]["content"]}
    breaks: list[str | dict[str, Any]] = [
        line[: rng.randrange(40, len(line) - 5)],
        {**row, "messages": []},
        {**row, "messages": [{**first, "role": rng.choice(ROLES)}]},
        {**row, "time": rng.choice(["2026-13-41T25:61:00", "yesterday", "0000-00-00 00:00:00"])},
        {**row, "messages": [{**first, "content": None}]},
        {key: value for key, value in row.items() if key != "messages"},
        json.dumps(row["messages"][0]["content"], ensure_ascii=False),
        {**row, "messages": row["messages"][0]["content"]},
        line.replace('"', "'"),
        {**row, "messages": [{"role": "assistant", "content": "…"}]},
    ]
    broken = breaks[kind % len(breaks)]
    return broken if isinstance(broken, str) else json.dumps(broken, ensure_ascii=False)
