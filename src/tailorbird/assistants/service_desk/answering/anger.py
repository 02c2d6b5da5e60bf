"""Whether somebody is angry: words, shouting and repetition, weighed in the open.

No model is needed, and none would be believed: whoever looks at a hand-over sees the very signs
that led to it. Signs are independent hints; together they are as strong as `1 - Π(1 - w)`, so a
single mild word is not enough and several are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

STRONG, MILD = 0.75, 0.35
"""Weights of words that are said in anger alone, and of those that complain."""
EXCLAMATIONS, SHOUTING, REPEATED, AGAIN = 0.3, 0.35, 0.4, 0.3
"""Weights of ``!!``, of words in capitals, of a message sent before, of "the third time"."""

_STRONG = re.compile(
    r"\b(?:f+u+c+k+ (?:you|off|this|it|all)|what the f\w+|wtf"
    r"|bullshit|bastards?|idiots?|morons?|scam(?:mers?|med)?|crooks?|thieves"
    r"|furious|livid|outrage(?:d|ous)|pissed(?: off)?|sick of (?:you|this|it)|fed up"
    r"|(?:i am|i'm|im|really|so|very|extremely|getting) (?:angry|mad at)|hate (?:you|this)"
    r"|(?:see you in|take you to) court|sue you|my lawyer|go to hell|shut up|liars?)\b"
    r"|他妈的|(?<![妈我你他她您们])妈的(?=\W|$|[这那什怎])|特么|操你|我操|卧槽|傻[逼叉x]|混蛋|王八蛋|去死|滚蛋|滚吧|骗子|诈骗|骗钱|黑店"
    r"|垃圾(?!桶|袋|箱|分类|篓|处理)"
    r"|气死|火大|忍无可忍|受够了|发火|愤怒|生气|恼火|12315|315投诉|消协|工商局?投诉"
    r"|投诉你们|起诉|告你们|曝光你们",
    re.IGNORECASE,
)
_MILD = re.compile(
    r"\b(?:f+u+c+k\w*|bloody|damn(?:ed)?|angry|mad|annoy(?:ed|ing)|ridiculous|unacceptable|disgrace(?:ful)?"
    r"|disgust(?:ed|ing)|terrible|horrible|awful|worst|useless|pathetic|joke of a"
    r"|rip[- ]?off|nonsense|shame on you"
    r"|frustrat(?:ed|ing)|incompetent|complain(?:t)?|garbage|rubbish|crap(?:py)?"
    r"|waste of (?:my )?time|never (?:buy|order|shop)\w* (?:here |from you )?again)\b"
    r"|无语|太差|差劲|差评|恶心|坑人|坑爹|什么破|破店|烂透|离谱|过分|敷衍|糊弄|没人管|不负责|失望|投诉|有病|搞什么|什么玩意",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"(?:\b(?:not|no|never|isn't|aren't|wasn't|ain't|don't|didn't|won't|without|nothing|hardly)"
    r"(?: (?:at all|really|that|too|so|very|being|getting|to|any|going|a|an|the|here|feeling"
    r"|saying|in)){0,3} ?"
    r"|(?:不是|没有?|并不|并没有?|别|不要|不用|不会|无意|不想|不算|不太)(?:在|很|太|真的|要|想|那么|特别|怎么|觉得|说|去){0,2})$",
    re.IGNORECASE,
)
_BANGS = re.compile(r"[!！?？]{2,}")
_CAPITALS = re.compile(r"\b[A-Z]{3,}\b")
_AGAIN = re.compile(
    r"\b(?:(?:for the )?(?:third|fourth|fifth|tenth|umpteenth|hundredth) time"
    r"|(?:how many|so many) times"
    r"|(?:[3-9]|\d\d+) times(?: already| now)|still no (?:answer|reply|response|refund)|yet again"
    r"|keep (?:telling|asking|saying)|already (?:told|said|asked))\b"
    r"|第[三四五六七八九十3-9]次|多少[次遍]|好几[次遍]|[三四五六七八九十几百]遍|说了.{0,3}遍|还要(?:我)?(?:等|说)(?:多久|几次|多少)",
    re.IGNORECASE,
)
# Trade names, sizes and codes are no shouting.
_NO_SHOUT = re.compile(
    r"^(?:[IVXLC]+|X*[SL]|USB|LED|SIM|GPS|PIN|SMS|FAQ|APP|VIP|VAT|DHL|UPS|EMS|ATM|PDF|USA|IOS"
    r"|USD|RMB|CNY)$"
)


@dataclass(frozen=True, slots=True)
class Anger:
    """How angry a message is, and by which signs."""

    score: float
    """In [0, 1]."""
    signs: tuple[str, ...] = ()
    """What was found: words of the lists, or ``!!``, ``CAPITALS``, ``again``, ``repeated``."""


def anger_in(text: str, before: Sequence[str] = ()) -> Anger:
    """How angry *text* is, which follows the messages *before* of the same person.

    >>> anger_in("This is ridiculous, I am fed up!!").score > 0.8
    True
    >>> anger_in("我不是生气，就想问一下").score
    0.0
    """
    weights = {"": 0.0}
    for pattern, weight in ((_STRONG, STRONG), (_MILD, MILD)):
        for match in pattern.finditer(text):
            word = match[0].lower()
            if not _NEGATION.search(text, max(0, match.start() - 30), match.start()):
                weights[word] = max(weight, weights.get(word, 0.0))
    if any("!" in run or "！" in run for run in _BANGS.findall(text)):
        weights["!!"] = EXCLAMATIONS
    if _shouts(text):
        weights["CAPITALS"] = SHOUTING
    if _AGAIN.search(text):
        weights["again"] = AGAIN
    bare = _bare(text)
    if len(bare) >= 4 and any(_bare(other) == bare for other in before):
        weights["repeated"] = REPEATED
    calm = 1.0
    for weight in weights.values():
        calm *= 1 - weight
    return Anger(round(1 - calm, 4), tuple(sign for sign in weights if sign))


def _shouts(text: str) -> bool:
    """Whether at least two words, and half of all letters, are capitals."""
    words = [word for word in _CAPITALS.findall(text) if not _NO_SHOUT.match(word)]
    letters = [letter for letter in text if letter.isascii() and letter.isalpha()]
    n_capitals = sum(letter.isupper() for letter in letters)
    return len(words) >= 2 and 2 * n_capitals >= len(letters)


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
