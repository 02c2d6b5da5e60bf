"""What a template needs to know of the visitor's case, found in what they said.

Orders, e-mail addresses, phone numbers, dates and amounts are found by rules; a model that tags
tokens may find more (`FindsSlots`, `tagging`). A value is what the visitor wrote, and only
characters that such a value can have: nothing that somebody wrote can become an instruction or a
link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MAX_VALUE_CHARS = 60

_CODE = r"[A-Za-z]{0,5}[-_]?\d[\dA-Za-z-]{3,23}"
_NAMED_ORDER = re.compile(
    r"(?:\b(?:orders?|purchase|booking|parcel|package|tracking|ticket|ref(?:erence)?)(?![a-z])"
    r"(?:\s*(?:number|num|no\.?|id|code))?|订单|运单|快递单|单号|编号|单子)"
    r"\s*(?:编?号码?|number)?\s*(?:is|was|是|为)?\s*[:：#№]?\s*(?P<value>"
    + _CODE
    + r")(?![A-Za-z\d])",
    re.IGNORECASE,
)
_BARE_ORDER = re.compile(
    r"(?<![A-Za-z\d@.+-])(?P<value>[A-Za-z]{1,5}[-_]?\d{5,20}|(?:#|№)\s?\d{3,20}|\d{8,20})"
    r"(?![A-Za-z\d@]|[.,-]\d)"
)
_OTHER_NUMBER = re.compile(
    r"(?:\b(?:bills?|invoices?|size|model|page|version|room)\b|发票|尺码|型号|版本|税号)"
    r"\s*(?:number|no\.?|编?号码?)?\s*[:：]?\s*$",
    re.IGNORECASE,
)
_ASKED_ORDER = re.compile(
    r"(?<![A-Za-z\d])(?P<value>#?[A-Za-z]{0,5}[-_]?\d[\dA-Za-z-]{2,23})(?![A-Za-z\d])"
)
_EMAIL = re.compile(
    r"(?<![\w.%+-])(?P<value>[A-Z0-9][A-Z0-9._%+-]{0,40}@(?:[A-Z0-9-]{1,30}\.){1,4}[A-Z]{2,12})(?![A-Z])",
    re.IGNORECASE | re.ASCII,
)
_PHONE = re.compile(
    r"(?<![\dA-Za-z])(?P<value>(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}"
    r"|\+\d{1,3}(?:[ -]?\d){7,12})(?!\d)"
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DATE = re.compile(
    r"(?P<value>(?<!\d)(?:19|20)\d\d[-/.年]\s?(?:1[0-2]|0?[1-9])[-/.月]\s?(?:3[01]|[12]\d|0?[1-9])日?(?!\d)"
    r"|(?<!\d)(?:1[0-2]|0?[1-9])月(?:3[01]|[12]\d|0?[1-9])[日号]"
    rf"|\b{_MONTH}\.? (?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?\b(?:,? (?:19|20)\d\d)?"
    rf"|\b(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?(?: of)? {_MONTH}\b\.?(?: (?:19|20)\d\d)?"
    r"|\b(?:(?:last|this|next) )?(?:mon|tues|wednes|thurs|fri|satur|sun)day\b"
    r"|\b(?:yesterday|today|tomorrow)\b"
    r"|(?:上|这|下)?(?:周|星期|礼拜)[一二三四五六日天]|前天|昨天|今天|明天|后天)",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"(?P<value>(?:[¥￥$€£]|\b(?:RMB|CNY|USD|EUR|GBP) ?)\s?\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?"
    r"|(?:[¥￥$€£]|\b(?:RMB|CNY|USD|EUR|GBP) ?)\s?\d{1,9}(?:\.\d{1,2})?"
    r"|(?<![\d.A-Za-z])\d{1,9}(?:,\d{3})*(?:\.\d{1,2})?\s?"
    r"(?:元|块钱?|人民币|美元|欧元|yuan\b|rmb\b|dollars?\b|euros?\b|usd\b|eur\b|pounds?\b))",
    re.IGNORECASE,
)
_RULES: Mapping[str, tuple[re.Pattern[str], ...]] = {
    "email": (_EMAIL,),
    "phone": (_PHONE,),
    "amount": (_AMOUNT,),
    "date": (_DATE,),
    "order": (_NAMED_ORDER, _BARE_ORDER),
}
_ALIASES = {
    "order": "order order_number order_id order_no order_code ordernumber 订单 订单号 单号",
    "email": "email e_mail mail email_address 邮箱 邮件",
    "phone": "phone phone_number mobile telephone 手机 手机号 电话",
    "date": "date day 日期 时间",
    "amount": "amount sum price refund_amount money 金额",
}
EXACT = frozenset({"email", "phone"})
"""What has an exact format: where no rule finds it, it is not there."""
_SLOT_OF = {alias: slot for slot, aliases in _ALIASES.items() for alias in aliases.split()}
_HOLE = re.compile(r"\{\{?\s*(?P<name>[^{}]{1,40}?)\s*\}\}?")


@dataclass(frozen=True, slots=True)
class Marked:
    """A part of a text that a model takes for the value of a slot."""

    slot: str
    value: str
    start: int
    """Of its first character."""
    end: int
    probability: float


class FindsSlots(Protocol):
    """A model that marks parts of texts; called in a worker thread."""

    def marks(self, texts: Sequence[str], /) -> Sequence[Sequence[Marked]]:
        """What it finds in each of the *texts*."""
        ...


def find_slots(text: str, *, asked: str = "") -> dict[str, str]:
    """The values that rules find in *text*, by slot.

    A number belongs to one slot: what is an e-mail address or a phone number is no order. Where the
    assistant has *asked* for an order, any number is one.

    >>> find_slots("order OL20224066 of September 7, I paid 199元")
    {'amount': '199元', 'date': 'September 7', 'order': 'OL20224066'}
    >>> find_slots("it's 4471", asked="order"), find_slots("it's 4471")
    ({'order': '4471'}, {})
    """
    found: dict[str, str] = {}
    named = _NAMED_ORDER.search(text)
    if named:  # before phones: it says itself that it is an order
        found["order"] = named["value"]
        text = text[: named.start("value")] + " " + text[named.end("value") :]
    for slot, patterns in _RULES.items():
        for pattern in patterns:
            match = pattern.search(text) if slot not in found else None
            if match and not (slot == "order" and _OTHER_NUMBER.search(text, 0, match.start())):
                found[slot] = match["value"].strip()
                text = text[: match.start()] + " " + text[match.end() :]
    if asked == "order" and "order" not in found:
        match = _ASKED_ORDER.search(text) or (_PHONE.search(text) if found else None)
        value = match["value"] if match else found.pop("phone", "")
        if value:
            found["order"] = value
    return {slot: value.lstrip("#№ ") for slot, value in sorted(found.items())}


def slots_of(texts: Iterable[str], *, asked: str = "") -> dict[str, str]:
    """The values that rules find in the visitor's *texts*, oldest first; what was said last counts.

    *asked* is what the assistant asked for before the last of them.

    >>> slots_of(["order A12345", "no, order B67890"])
    {'order': 'B67890'}
    """
    return read_slots(list(texts), asked=asked).values


@dataclass(frozen=True, slots=True)
class Slots:
    """The values of slots, and what a model had to do with it."""

    values: dict[str, str]
    marks: tuple[dict[str, Any], ...] = ()
    """What the model marked in the last text: slot, start, end, probability, and whether it is
    ``used``. Never the value."""

    @property
    def given(self) -> set[str]:
        """The slots that the model found in the last text."""
        return {str(mark["slot"]) for mark in self.marks if mark["used"]}


def read_slots(texts: Sequence[str], *, asked: str = "", finder: FindsSlots | None = None) -> Slots:
    """The values in the visitor's *texts*, oldest first, by rules and by what *finder* marks.

    Rules win: a slot that a rule finds in any text is the rule's, a model's value that shares
    characters with a rule's is none, and of formats that are exact (`EXACT`) only rules know.
    """
    by_rules = [
        find_slots(text, asked=asked if number == len(texts) - 1 else "")
        for number, text in enumerate(texts)
    ]
    ruled = {slot: value for found in by_rules for slot, value in found.items()}
    if finder is None or not texts:
        return Slots(ruled)
    values: dict[str, str] = {}
    told: list[dict[str, Any]] = []
    for marks, found in zip(finder.marks(texts), by_rules, strict=True):
        told = []
        for mark in marks:
            slot = slot_name(mark.slot)
            is_used = slot not in ruled and slot not in EXACT and _is_plain(mark.value)
            is_used = is_used and not any(_share(mark.value, value) for value in found.values())
            if is_used:
                values[slot] = mark.value
            told.append(
                {
                    "slot": slot,
                    "start": mark.start,
                    "end": mark.end,
                    "probability": round(mark.probability, 4),
                    "used": is_used,
                }
            )
    return Slots(values | ruled, tuple(told))


def _share(one: str, other: str) -> bool:
    """Whether they are of the same characters, as far as values alone tell."""
    return one in other or other in one


def slot_name(name: str) -> str:
    """The slot that a template calls *name*.

    >>> slot_name("Order Number"), slot_name("colour")
    ('order', 'colour')
    """
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    return _SLOT_OF.get(plain, plain)


def holes(template: str) -> tuple[str, ...]:
    """The slots that *template* has, each once, in their order.

    >>> holes("Order {order} of {{Order Date}} goes to {email}; {order} is paid.")
    ('order', 'order_date', 'email')
    """
    return tuple(dict.fromkeys(slot_name(match["name"]) for match in _HOLE.finditer(template)))


def fill(template: str, values: Mapping[str, str]) -> str:
    """*template* with *values* in its slots; every one of `holes` must be there.

    >>> fill("Order {order} is on its way.", {"order": "A12345"})
    'Order A12345 is on its way.'
    """
    return _HOLE.sub(lambda match: values[slot_name(match["name"])], template)


def _is_plain(value: str) -> bool:
    return 0 < len(value) <= MAX_VALUE_CHARS and not re.search(r"[\n\r<>{}`\[\]]|https?:|//", value)
