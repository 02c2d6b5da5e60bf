"""What earlier turns give to the last one: what it refers to, and what the assistant asked for.

Everything is read from the turns themselves, so two processes, or a client that keeps the
conversation on its side, come to the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from tailorbird.assistants.service_desk.answering.decision import Turn
from tailorbird.assistants.service_desk.answering.phrases import is_refusal, slot_asked_by
from tailorbird.text import cut_words

FollowUp = Literal["", "short", "refers"]

SHORT_WORDS = 4
"""A message of so few words (twice as many Chinese characters) may need an earlier one."""
REFERS_WORDS = 12
"""A longer message (again, twice as many characters) says itself what it is about."""
MAX_BACK = 4
"""Visitor's messages that are looked through for the one that is referred to."""
MAX_CONTEXT_CHARS = 500

_REFERS = re.compile(
    r"^\W*(?:and|but|so|also|then|what about|how about|what if|or|why not|why|how long|how much"
    r"|how so|since when|until when|by when|which one|the other)\b"
    r"|\b(?:it|them|there|the same|(?:that|this|which) one)\b"
    r"|\b(?:that|this|those|these)(?=\W*$|\s+(?:is|was|are|takes?|costs?|works?|means?|too|happens?"
    r"|go|goes|appl(?:y|ies)|includes?|be|mean|cover|covers)\b)"
    r"|^\W*(?:那|那么|那就|然后|还有|另外|所以|但是|可是|如果|要是|为什么|怎么|多久|多少钱|多长时间|什么时候|几天|哪里|哪儿)"
    r"|(?:这个|那个|这样|那样|这种|那种|它|其他的|另一个|上面|刚才|刚刚)|呢[？?！!。.]*$",
    re.IGNORECASE,
)
_YES = re.compile(
    r"^\W*(?:yes|yeah|yep|yup|sure|ok(?:ay)?|please|do|do that|go ahead|of course)"
    r"(?:\W+(?:please|thanks|thank you|do|do so|do that))*\W*$"
    r"|^\W*(?:好[的啊吧呀]?|可以|行[吧啊]?|嗯+|是的?|对|要的?|需要|麻烦了?|转吧?|帮我转|转给?他们)"
    r"(?:[，, ]*(?:谢谢|麻烦了?|转吧|请转))*\W*$",
    re.IGNORECASE,
)
_HAN = re.compile(r"[\u4e00-\u9fff]")


def follow_up(text: str) -> FollowUp:
    """Whether *text* needs an earlier message: as it refers to one, or may, as it is short.

    >>> follow_up("and how long does that take?"), follow_up("那要多久？")
    ('refers', 'refers')
    >>> follow_up("refund please"), follow_up("I want to return the shoes that I bought last week")
    ('short', '')
    """
    words = [text[start:end] for start, end in cut_words(text)]
    words = [word for word in words if re.search(r"\w", word)]
    n_han = sum(1 for word in words if _HAN.match(word))
    size = len(words) - n_han / 2  # a Chinese word has about two characters
    if size <= REFERS_WORDS and _REFERS.search(text):
        return "refers"
    return "short" if size <= SHORT_WORDS else ""


def visitor_texts(turns: Sequence[Turn]) -> list[str]:
    """What the visitor said, oldest first."""
    return [turn.text for turn in turns if turn.author == "visitor"]


def referred_to(turns: Sequence[Turn]) -> str:
    """The visitor's earlier message that the last one may be about; empty where there is none.

    It is the latest that stands for itself, else the one before the last.
    """
    before = visitor_texts(turns)[:-1][-MAX_BACK:]
    alone = (text for text in reversed(before) if not follow_up(text))
    return next(alone, before[-1] if before else "")[-MAX_CONTEXT_CHARS:]


def was_asked(turns: Sequence[Turn]) -> bool:
    """Whether the last turn follows a question of the assistant's.

    >>> from tailorbird.assistants.service_desk.answering.decision import Said
    >>> was_asked([Said("assistant", "Which size do you need?"), Said("visitor", "42")])
    True
    """
    before = turns[-2] if len(turns) > 1 else None
    return (
        before is not None
        and before.author == "assistant"
        and not is_refusal(before.text)
        and before.text.rstrip().endswith(("?", "？"))
    )


def asked_before(turns: Sequence[Turn]) -> tuple[str, str]:
    """The slot that the assistant asked for before the last turn, and the message it was for.

    Both empty where it did not ask. Where it asked for several, one after the other, the message is
    the one that needed them all.
    """
    slot, origin = "", ""
    earlier = list(turns[:-1])
    while earlier and earlier[-1].author == "assistant" and slot_asked_by(earlier[-1].text):
        slot = slot or slot_asked_by(earlier[-1].text)
        earlier.pop()
        if not earlier or earlier[-1].author != "visitor":
            break
        origin = earlier.pop().text
    return (slot, origin) if origin else ("", "")


def accepts_person(turns: Sequence[Turn]) -> bool:
    """Whether the last turn says yes to the person that a refusal before it offered.

    >>> from tailorbird.assistants.service_desk.answering.decision import Said
    >>> from tailorbird.assistants.service_desk.answering.phrases import REFUSAL
    >>> accepts_person([Said("assistant", REFUSAL["en"]), Said("visitor", "yes please")])
    True
    """
    if len(turns) < 2 or turns[-2].author != "assistant" or not is_refusal(turns[-2].text):
        return False
    return bool(_YES.match(turns[-1].text))


def n_unsure(turns: Sequence[Turn]) -> int:
    """How often in a row, up to the last turn, the assistant had no answer."""
    n = 0
    for turn in reversed(turns):
        if turn.author == "assistant":
            if not is_refusal(turn.text):
                break
            n += 1
        elif turn.author == "agent":
            break
    return n
