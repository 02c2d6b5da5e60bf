"""Whether a passage says what a sentence says: words and numbers, compared without a model.

It is strict on purpose. A generated sentence may only use content words, numbers and negations
that the passage has, so a wrong "no" or another number is found wherever words can show it; a true
paraphrase with words of its own is dropped as well, and the passage's own sentences are sent
instead. What it cannot see is a claim made of the passage's words in another order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tailorbird.records import Passage

_ENDS = re.compile(
    r"(?<=[。！？；!?])[”’」』）)\"']*\s*"
    r"|(?<=[.])[”’)\"']*\s+(?=[A-Z0-9\"'“(\u4e00-\u9fff])"
    r"|\s*\n+\s*(?:[-*•·]\s+)?"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|nos?|mrs?|ms|dr|st|inc|ltd|co|fig|tel|max|min|[ap]\.m)"
    r"|\b[A-Z]|^\d{1,2})\.$",
    re.IGNORECASE,
)
_MARK = re.compile(r"^(?:#{1,6}\s+|[-*•·>]\s+|\d{1,2}[.)、]\s+|\|)")
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[A-Za-z]+(?:['’][A-Za-z]+)?|[{_HAN}]+")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_ZH_DIGITS = "零一二三四五六七八九"
_ZH_NUMBER = re.compile(
    r"[零一二两三四五六七八九十百千万]{1,12}(?=[个天日周月年小时分钟元块次件步位折%倍台只双条张号])"
)
_TO_TWENTY = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty
"""
_EN_NUMBERS = {name: str(value) for value, name in enumerate(_TO_TWENTY.split())} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "ninety": "90",
    "hundred": "100",
}
_STOP_WORDS = """
    a an the this that these those it its they them their there here he she his her we us our
    you your i my me mine is are was were be been being am do does did done doing have has had
    having will would shall should can could may might must ought need of in on at to for from
    with by as into onto up out off over under about after before within during per via and or
    but so if then than when while where which who whom whose what how why because please thank
    thanks yes also just only very too more most some any all each every both other another such
    own same again once get gets got let lets make made want wants like hello hi dear sorry sure
    okay ok well now still yet already simply however therefore you'll you're we'll we're i'm
    i've i'd they're im ill ve re ll s t d m long much many take takes took taken taking soon
    often thing things something anything everything possible able know tell say ask way always
"""
_STOP = frozenset(_STOP_WORDS.split())
_HOW_MANY = re.compile(
    r"\b(?:all|any|some|most|every|each|both|only|everything|anything|something|always|often)\b"
    r"|[都均只仅]|全部|所有|一律|任何|部分",
    re.IGNORECASE,
)
_NEGATION_EN = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|unable|except|unless"
    r"|excluded?|excluding)\b|n['’]t\b",
    re.IGNORECASE,
)
_NEGATION_ZH = re.compile(
    r"不(?!仅|但|同|过|管|论)|没|无(?!论|忧|线|理由|条件)|未(?!来)|非(?!常)|勿|别(?!的|人)|禁止|除外|拒绝"
)
_STOP_ZH = frozenset(
    "的了和与及在是有我你您他她它们这那个就都也还会能可以请吧吗呢啊哦呀嘛把被对给到从向"
    "于为"
    "而且或但并很太更最再又只要让将以所之其什么怎样多少哪谁几如何否"
)


def sentences_of(text: str) -> list[str]:
    """The sentences of *text*, Chinese or English, without marks of lists and headings.

    >>> sentences_of("Refunds take 3.5 days, e.g. by card. Ask us!\\n- 七天内可退。运费自理")
    ['Refunds take 3.5 days, e.g. by card.', 'Ask us!', '七天内可退。', '运费自理']
    """
    found: list[str] = []
    start = 0
    for match in _ENDS.finditer(text):
        piece = text[start : match.end()].strip()
        if _ABBREVIATION.search(piece) and "\n" not in match[0]:
            continue
        if piece:
            found.append(piece)
        start = match.end()
    found.append(text[start:].strip())
    plain = (_MARK.sub("", piece).strip() for piece in found)
    return [piece for piece in plain if re.search(r"\w", piece)]


def content_words(text: str) -> set[str]:
    """The words that carry meaning: English without endings, Chinese by pairs of characters.

    >>> sorted(content_words("How long do refunds take?")), sorted(content_words("退款要多久"))
    (['refund'], ['退款'])
    """
    words: set[str] = set()
    for match in _WORD.finditer(text):
        word = match[0]
        if word[0].isascii():
            plain = word.lower().replace("’", "'")
            if plain not in _STOP and plain not in _EN_NUMBERS and not plain.endswith("n't"):
                words.add(stem(plain.removesuffix("'s")))
        else:
            words |= _pairs(word)
    return words


def _pairs(run: str) -> set[str]:
    """Each two neighbours of a run of Chinese characters, none of them a mere particle."""
    pairs = {run[i : i + 2] for i in range(len(run) - 1)}
    kept = {pair for pair in pairs if not (set(pair) & _STOP_ZH)}
    return kept or ({run} if len(run) == 1 and run not in _STOP_ZH else set())


def stem(word: str) -> str:
    """An English word without its commonest endings; cruder than Porter's, and enough to compare.

    >>> [stem(word) for word in ("refunds", "refunded", "delivery", "deliveries", "shipping")]
    ['refund', 'refund', 'deliveri', 'deliveri', 'ship']
    """
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "i"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "ly", "ment"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lse":
                word = word[:-1]
            break
    if word.endswith("y") and len(word) > 3:
        return word[:-1] + "i"
    return word.removesuffix("e") if len(word) > 3 else word


def numbers_in(text: str) -> set[str]:
    """Every number, as digits, however it is written.

    >>> sorted(numbers_in("Seven days, 1,299 yuan")), sorted(numbers_in("十五天内，两次"))
    (['1299', '7'], ['15', '2'])
    """
    found = {match[0].replace(",", "").removesuffix(".0") for match in _NUMBER.finditer(text)}
    found |= {
        _EN_NUMBERS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _EN_NUMBERS
    }
    return found | {str(_chinese_number(match[0])) for match in _ZH_NUMBER.finditer(text)}


def _chinese_number(text: str) -> int:
    """十五 is 15, 三百二十 is 320."""
    total = digit = 0
    for sign in text.replace("两", "二"):
        if sign in _ZH_DIGITS:
            digit = _ZH_DIGITS.index(sign)
        else:
            unit = {"十": 10, "百": 100, "千": 1000, "万": 10000}[sign]
            total, digit = (
                (total + max(digit, 1) * unit, 0) if unit < 10000 else ((total + digit) * unit, 0)
            )
    return total + digit


def is_negated(text: str) -> bool:
    """Whether there is an odd number of negations in it."""
    return (len(_NEGATION_EN.findall(text)) + len(_NEGATION_ZH.findall(text))) % 2 == 1


def coverage(asked: set[str], text: str) -> float:
    """The share of the words *asked* that *text* has, in [0, 1]; 0 where none is asked.

    >>> coverage(content_words("How long do refunds take?"), "A refund takes 5 days.")
    1.0
    """
    return len(asked & content_words(text)) / len(asked) if asked else 0.0


def supporting(sentence: str, passages: Sequence[Passage]) -> Passage | None:
    """The first of *passages* that says what *sentence* says; None where none does.

    All its content words, numbers and words as *all* or *only* stand in the passage, and the
    passage's closest sentence is negated where it is.
    """
    words, numbers, how_many = content_words(sentence), numbers_in(sentence), _how_many(sentence)
    if not words and not numbers:
        return None
    for passage in passages:
        text = whole(passage)
        has_words = words <= content_words(text) and how_many <= _how_many(text)
        if has_words and numbers <= numbers_in(text):
            closest = max(_claims(passage), key=lambda claim: coverage(words, claim), default="")
            if is_negated(closest) == is_negated(sentence):
                return passage
    return None


def _how_many(text: str) -> set[str]:
    """Words that say of how many something holds: without them "some cards" may become "all"."""
    return {word.lower() for word in _HOW_MANY.findall(text)}


def whole(passage: Passage) -> str:
    """All that a passage says, headings and question included."""
    return "\n".join(part for part in (passage.heading, passage.question, passage.text) if part)


def source_of(passage: Passage) -> str:
    """What a citation says: document and headings.

    >>> source_of(Passage("1", "terms.md", "Returns › How long", "7 days.", 1.0))
    'terms.md › Returns › How long'
    """
    return " › ".join(part for part in (passage.document, passage.heading) if part)


def _claims(passage: Passage) -> Iterable[str]:
    return sentences_of(passage.text)
