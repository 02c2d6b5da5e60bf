"""Personal data in text: e-mail addresses, phones, Chinese identity numbers, bank cards.

`mask_pii` replaces each by a placeholder. What is masked, and what is not:

- ``[EMAIL]``: an address with a dot in its domain;
- ``[ID]``: 18 characters with a date of birth and a right check digit (GB 11643-1999);
- ``[CARD]``: 13 to 19 digits with an issuer's beginning and a right check digit (ISO/IEC 7812);
- ``[PHONE]``: Chinese mobiles and landlines; international numbers with ``+`` or ``00``, and
  American and British ones that are written in groups or follow a word such as *phone*.

Chinese service hotlines (400 and 800 numbers) belong to shops and stay. So does a number that a
word calls an order or a parcel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

Kind = Literal["EMAIL", "PHONE", "ID", "CARD"]

# Full-width ASCII as half-width, character for character, so that positions stay the same.
_HALF_WIDTH = {0x3000: 0x20, **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}}

_EMAIL = re.compile(
    r"(?<![\w.%+-])[A-Z0-9](?:[A-Z0-9._%+-]{0,63})@(?:[A-Z0-9-]{1,63}\.){1,8}[A-Z]{2,24}(?![A-Z])",
    re.IGNORECASE | re.ASCII,
)
_ID = re.compile(
    r"(?<![0-9A-Za-z])[1-9][0-9]{5}[ -]?(?:19|20)[0-9]{2}"
    r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"[ -]?[0-9]{3}[0-9Xx](?![0-9A-Za-z])"
)
_CARD = re.compile(r"(?<![0-9.+-])[0-9](?:[ -]?[0-9]){12,18}(?![0-9]|[.-][0-9])")
# Visa, Mastercard, American Express, JCB, Diners, Discover, Maestro, UnionPay, ICBC's oldest
_ISSUER = re.compile(r"[3-6]|2[2-7]|81|9558")
_CHINA_PHONE = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9][-.])(?:(?:\(?\+|00)86\)?[ -]?|86[ -])?"
    r"(?:1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}"
    # Behind an area code set off by a sign any number is one, as the made-up 010-12345678.
    r"|(?:\(0[0-9]{2,3}\)[ ]?[1-9]|0(?:10|2[0-9]|[3-9][0-9]{2})(?:-[1-9]|[ ]?[2-8]))"
    r"[0-9]{2,3}[ -]?[0-9]{4}(?:(?:-|转|ext\.? ?)[0-9]{1,5})?)(?![0-9]|\.[0-9]{2}(?![0-9]))",
    re.IGNORECASE,
)
_SPELLED_PHONE = re.compile(
    r"(?:(?<![A-Za-z])(?:(?:tele)?phone|mobile|cell|tel)|whats ?app|text me(?: at)?"
    r"|call me(?: (?:at|on|back at|back on))?|电话|手机|联系方式|致电)"
    r"[^\S\n]*(?:number|no\.?|号码?)?[^\S\n]*(?:is|[是为:：#])?[^\S\n]*"
    r"(?P<number>[0-9](?:[ -]?[0-9]){6,14})(?![0-9])",
    re.IGNORECASE,
)
_HOTLINE = re.compile(r"[48]00[ -]?[0-9]{3}[ -]?[0-9]{4}")
_ORDER = re.compile(
    r"(?:order|purchase|invoice|tracking|parcel|package|ticket|ref(?:erence)?|serial|sku|transaction"
    r"|订单|运单|单号|编号|流水|序列|货号|交易)"
    r"[^\S\n]*(?:number|num|no\.?|id|code|单?号码?)?[^\S\n]*(?:is|was|[是为])?[^\S\n]*[:：#]?[^\S\n]*$",
    re.IGNORECASE,
)
_WRITTEN_IN_GROUPS = re.compile(
    r"(?<![0-9])(?:\+|00)[0-9(]|[0-9)][ .)-]+[0-9]{3,4}[ .-]?[0-9]{3,4}"
)
_ENOUGH_DIGITS = re.compile(r"(?:[0-9][^0-9\n]{0,3}){6}[0-9]")


def mask_pii(text: str) -> str:
    """The text with a placeholder for each piece of personal data.

    >>> mask_pii("我的手机是13800138000，邮箱 li.lei@example.com")
    '我的手机是[PHONE]，邮箱 [EMAIL]'
    >>> mask_pii("order 20240912345 has not arrived")
    'order 20240912345 has not arrived'
    """
    return _replaced(text, lambda kind, found: f"[{kind}]")


def obscure_pii(text: str) -> str:
    """The text with a dot for each letter and digit of personal data, to show what was masked.

    >>> obscure_pii("call +44 20 7946 0958")
    'call +•• •• •••• ••••'
    """
    return _replaced(text, lambda kind, found: re.sub(r"\w", "•", found))


def _replaced(text: str, replacement: Callable[[Kind, str], str]) -> str:
    while True:
        spans = _non_overlapping(_find(text), len(text))
        if not spans:
            return text
        parts: list[str] = []
        end_of_last = 0
        for start, end, kind in spans:
            parts += text[end_of_last:start], replacement(kind, text[start:end])
            end_of_last = end
        # What is left may stand out only now; each round leaves fewer digits, so this ends.
        text = "".join(parts) + text[end_of_last:]


def _non_overlapping(
    found: Iterator[tuple[int, int, Kind]], n_chars: int
) -> list[tuple[int, int, Kind]]:
    """Earlier finders win where two see the same characters."""
    taken = bytearray(n_chars)
    chosen: list[tuple[int, int, Kind]] = []
    for start, end, kind in found:
        if not any(taken[start:end]):
            taken[start:end] = b"\1" * (end - start)
            chosen.append((start, end, kind))
    return sorted(chosen)


def _find(original: str) -> Iterator[tuple[int, int, Kind]]:
    """Positions of personal data, the surest kinds first."""
    text = original if original.isascii() else original.translate(_HALF_WIDTH)
    if "@" in text:
        yield from ((*match.span(), "EMAIL") for match in _EMAIL.finditer(text))
    if not _ENOUGH_DIGITS.search(text):
        return
    yield from ((*match.span(), "ID") for match in _ID.finditer(text) if _is_identity(match[0]))
    for match in _CARD.finditer(text):
        if _is_card(match[0]) and not _is_order(text, match.start()):
            yield (*match.span(), "CARD")
    for start, end in _phones(text):
        if not _is_order(text, start) and not _HOTLINE.fullmatch(text, start, end):
            yield start, end, "PHONE"


def _is_order(text: str, start: int) -> bool:
    return _ORDER.search(text, max(0, start - 40), start) is not None


def _is_identity(number: str) -> bool:
    from stdnum.cn import ric
    from stdnum.exceptions import ValidationError

    compact = re.sub("[ -]", "", number).upper()
    try:
        # The place of birth is not asked: counties come and go, and a typing error is still a
        # person's number only if the check digit is right.
        return bool(ric.get_birth_date(compact)) and compact[-1] == ric.calc_check_digit(compact)
    except ValidationError:
        return False


def _is_card(number: str) -> bool:
    from stdnum import luhn

    digits = re.sub(r"[ -]", "", number)
    return bool(_ISSUER.match(digits)) and luhn.is_valid(digits) and len(set(digits)) > 1


def _phones(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _CHINA_PHONE.finditer(text))
    yield from (match.span("number") for match in _SPELLED_PHONE.finditer(text))
    if not _WRITTEN_IN_GROUPS.search(text):
        return
    import phonenumbers

    # With "+" or "00" a number says its country; without, only well-grouped ones are believed.
    for region, leniency in (
        (None, phonenumbers.Leniency.VALID),
        ("US", phonenumbers.Leniency.STRICT_GROUPING),
        ("GB", phonenumbers.Leniency.STRICT_GROUPING),
    ):
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=leniency):
            if region is None or not match.raw_string.isdigit():
                yield match.start, match.end
