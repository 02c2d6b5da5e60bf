"""Personal data is masked, everything else stays."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from tailorbird.data import mask_pii
from tailorbird.data.pii import obscure_pii

MASKED = {
    "write to a.b+c@mail.example.co.uk.": "write to [EMAIL].",
    "邮箱zhang_san@example.com，谢谢": "邮箱[EMAIL]，谢谢",
    "我的电话13800138000": "我的电话[PHONE]",
    "138-0013-8000 或 139 0013 9000": "[PHONE] 或 [PHONE]",
    "+86 138 0013 8000": "[PHONE]",
    "+8613800138000,(+86)13800138000": "[PHONE],[PHONE]",
    "010-62345678转801": "[PHONE]",
    "(0755) 23456789": "[PHONE]",
    "010-12345678, (021) 1234-5678": "[PHONE], [PHONE]",
    "my telephone is 6502530000": "my telephone is [PHONE]",
    "021 6234 5678": "[PHONE]",
    "call +1 (650) 253-0000 now": "call [PHONE] now",
    "650-253-0000 or (212) 736-5000": "[PHONE] or [PHONE]",
    "my phone number is 6502530000": "my phone number is [PHONE]",
    "from the UK: 020 7946 0958": "from the UK: [PHONE]",
    "+49 30 901820, 0033 1 42 68 53 00": "[PHONE], [PHONE]",
    "身份证11010519491231002X": "身份证[ID]",
    "110105 19491231 002x": "[ID]",
    "4111 1111 1111 1111": "[CARD]",
    "卡号6222021234567890128": "卡号[CARD]",
    "3782-822463-10005": "[CARD]",
    "order 20240912345, call 650-253-0000": "order 20240912345, call [PHONE]",
    "ａ＠ｂ．ｃｏｍ １３８００１３８０００": "[EMAIL] [PHONE]",
}

KEPT = [
    "order 20240912345 has not arrived",
    "order number: 4111111111111111",
    "订单号：13800138000",
    "tracking no 13800138000",
    "cancel purchase 113542617735902",
    "2024-09-12 10:30:00 to 2024-09-13",
    "192.168.100.200",
    "1,234,567.89 and 100-200",
    "11010519491231002Y",
    "110105194912310021",
    "4111 1111 1111 1112",
    "0000000000000000",
    "3.14159265358979",
    "热线400-820-8820，95588",
    "打电话400-711-6699，电话800-820-6666",
    "型号iPhone 13 128 256 512",
    "余额 13800138000.00 元",
    "零件 055-1234567",
    "user@localhost, me @ home",
    "尾号1234 QQ 123456789",
    "2019/2020/2021 12/11/2020",
]


@pytest.mark.parametrize("text", MASKED)
def test_personal_data_is_masked(text: str) -> None:
    assert mask_pii(text) == MASKED[text]


@pytest.mark.parametrize("text", KEPT)
def test_numbers_that_are_nobodys_stay(text: str) -> None:
    assert mask_pii(text) == text


pieces = st.sampled_from(
    [*MASKED, *KEPT, "1", "0", "-", " ", "+", "(", ")", "@", ".", "a", "电话", "order ", "x"]
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_masking_twice_is_masking_once(text: str) -> None:
    masked = mask_pii(text)
    assert mask_pii(masked) == masked


@given(st.text(alphabet="0123456789 -+().@ax电话", max_size=60))
def test_masking_any_digits_ends_and_is_idempotent(text: str) -> None:
    masked = mask_pii(text)
    assert mask_pii(masked) == masked


@given(st.text(alphabet=st.characters(exclude_categories=["Nd"], exclude_characters="@＠")))
def test_text_without_digits_and_at_signs_is_untouched(text: str) -> None:
    assert mask_pii(text) == text


@given(
    st.from_regex(r"(?:4[0-9]{14}|62[0-9]{16})", fullmatch=True),
    st.sampled_from(["", " ", "-"]),
)
def test_every_card_number_with_a_right_check_digit_is_masked(start: str, gap: str) -> None:
    number = start + luhn.calc_check_digit(start)
    groups = gap.join(re.findall(".{1,4}", number))
    assert mask_pii(f"卡 {groups}。") in ("卡 [CARD]。", "卡 [ID]。")


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True))
def test_every_chinese_mobile_is_masked(number: str) -> None:
    assert mask_pii(f"打{number}找我") == "打[PHONE]找我"


def test_obscured_text_shows_the_shape_and_no_character_of_the_data() -> None:
    assert obscure_pii("我是13800138000, a@b.com") == "我是•••••••••••, •@•.•••"


@pytest.mark.parametrize("piece", ["1", "1 ", "+1 ", "a@", "a.b-", "13800138000 ", "(0"])
def test_masking_a_long_hostile_text_takes_little_time(piece: str) -> None:
    started = time.process_time()
    mask_pii(piece * (40_000 // len(piece)))
    assert time.process_time() - started < 5  # seconds; a quadratic pattern would take minutes
