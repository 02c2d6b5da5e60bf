"""Why an item is in a list, in a sentence, in Chinese or English."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tailorbird.assistants.recommend.seam import Reason

Language = Literal["zh", "en"]

SENTENCES: dict[Language, dict[str, str]] = {
    "en": {
        "liked": "Because you liked “{item}”",
        "popular": "Many like it just now",
        "feature": "{feature}",
        "other": "It may be something for you",
    },
    "zh": {
        "liked": "因为您喜欢“{item}”",
        "popular": "最近很受欢迎",
        "feature": "{feature}",
        "other": "您可能会喜欢",
    },
}
FEATURES: dict[Language, dict[str, str]] = {
    "en": {
        "match": "It fits what you look at",
        "together": "People with your taste like it",
        "neighbours": "It is often taken with what you took",
        "tag": "It is of a kind that you like",
        "text": "It reads like what you like",
        "mainstream": "It is about as well known as what you like",
        "number": "Its {name} is what you usually choose",
    },
    "zh": {
        "match": "与您看过的相符",
        "together": "口味相近的人喜欢它",
        "neighbours": "常与您选过的一起被选",
        "tag": "属于您喜欢的类型",
        "text": "内容与您喜欢的相近",
        "mainstream": "热门程度与您喜欢的相近",
        "number": "它的{name}符合您的习惯",
    },
}
NUMBERS: dict[str, str] = {"price": "价格", "year": "年份", "weight": "重量", "size": "尺寸"}
"""Names of features that many catalogues have, in Chinese."""


def sentence_of(reason: Reason, language: Language, *, title: Callable[[str], str]) -> str:
    """*reason* in words; *title* gives the name of an item.

    >>> sentence_of(Reason("liked", "7"), "en", title={"7": "Red shoes"}.__getitem__)
    'Because you liked “Red shoes”'
    >>> sentence_of(Reason("feature", feature="price_gap"), "zh", title=str)
    '它的价格符合您的习惯'
    """
    known = SENTENCES[language]
    kind: str = reason.kind
    if (kind == "liked" and not reason.item) or (kind == "feature" and not reason.feature):
        kind = "other"
    return known.get(kind, known["other"]).format(
        item=title(reason.item) if reason.item else "",
        feature=_feature(reason.feature, language) if reason.feature else "",
    )


def _feature(name: str, language: Language) -> str:
    known = FEATURES[language]
    start = name.partition("_")[0]
    if start in known:
        return known[start]
    number = name.removesuffix("_gap")
    return known["number"].format(
        name=NUMBERS.get(number, number) if language == "zh" else number.replace("_", " ")
    )
