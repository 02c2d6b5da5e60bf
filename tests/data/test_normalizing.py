"""Noise goes, words stay."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.data.normalizing import (
    fix_unicode,
    fix_whitespace,
    strip_boilerplate,
    strip_markup,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ＡＢＣ　１２３％", "ABC 123%"),
        ("好，对！吗？（嗯）：～", "好，对！吗？（嗯）：～"),
        ("cafe\u0301", "café"),
        ("zero\u200bwidth\ufeff, soft\u00adhyphen", "zerowidth, softhyphen"),
        ("bell\x07 and\x00 nul", "bell and nul"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("it\x92s \x93here\x94 \x96 now", "it’s “here” – now"),
        ("a\u200db 中\u200c文", "ab 中文"),
        ("👨\u200d👩\u200d👧 ❤\ufe0f", "👨\u200d👩\u200d👧 ❤\ufe0f"),
    ],
)
def test_unicode_is_made_plain(text: str, expected: str) -> None:
    assert fix_unicode(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>Hello <b>wor</b>ld</p>", "Hello world"),
        ("one<br/>two<BR>three", "one\n\ntwo\n\nthree"),
        ("Tom &amp; Jerry &lt;3 &#39;ok&#x27; &nbsp;", "Tom & Jerry <3 'ok' \u00a0"),
        ("a < b and c > d", "a < b and c > d"),
        ("5<6 & 7>2", "5<6 & 7>2"),
        ("if x <y then z", "if x <y then z"),
        ("cancel <order number> of <me@example.com>", "cancel <order number> of <me@example.com>"),
        ("<b>1 < 2</b> &amp;", "1 < 2 &"),
        ("<script>alert(1)</script>hi<!-- no -->", "hi"),
        ("&lt;p&gt;twice&lt;/p&gt; &amp;amp;", "twice\n &"),
        ('<a href="http://x.y/?a=1&copy=2">link</a>', "link"),
        ("http://x.y/?a=1&copy=2", "http://x.y/?a=1&copy=2"),
        ("AT&T; R&D", "AT&T; R&D"),
        ("<span>price</span>", "price"),
    ],
)
def test_markup_goes_and_other_signs_stay(text: str, expected: str) -> None:
    assert strip_markup(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where is it?\n\nSent from my iPhone", "Where is it?"),
        ("Where is it? Sent from my Samsung Galaxy.", "Where is it?"),
        ("到哪了\n发自我的iPhone", "到哪了"),
        ("到哪了\n发自我的华为手机", "到哪了"),
        ("到哪了\n从我的 iPhone 发送", "到哪了"),
        ("Sent from my iPhone", ""),
        ("Yes, please.\n\nOn Mon, 6 May 2024, Shop wrote:\n> Shall we?", "Yes, please."),
        ("好的\n在 2024年5月6日，客服 写道：\n> 可以吗", "好的"),
        ("Thanks\n-----Original Message-----\nFrom: a", "Thanks"),
        ("Thanks\n-----原始邮件-----\n发件人: a", "Thanks"),
        ("Yes\nFrom: Shop\nSent: Monday\nTo: me\nSubject: x", "Yes"),
        ("Agreed.\n> old line\n> older line", "Agreed."),
        ("Call me.\n-- \nAnn Lee\nSales", "Call me."),
        ("Hi.\nThis e-mail and any attachments are confidential and so on.", "Hi."),
        ("你好\n本邮件及其附件含有保密信息，仅限收件人使用", "你好"),
        ("> only a quote", "> only a quote"),
        ("I sent from my iPhone a picture of it", "I sent from my iPhone a picture of it"),
        ("On Monday I wrote: please hurry", "On Monday I wrote: please hurry"),
        ("我发自内心地感谢", "我发自内心地感谢"),
        ("from: Berlin to: Paris", "from: Berlin to: Paris"),
    ],
)
def test_boilerplate_goes_and_words_like_it_stay(text: str, expected: str) -> None:
    assert strip_boilerplate(text) == expected


def test_whitespace_is_single() -> None:
    assert fix_whitespace("\t a \u00a0 b \n \n\n c\u3000") == "a b\nc"


@given(st.text())
def test_unicode_and_whitespace_are_fixed_once(text: str) -> None:
    fixed = fix_whitespace(fix_unicode(text))
    assert fix_whitespace(fix_unicode(fixed)) == fixed


@given(st.text(alphabet=st.characters(exclude_characters="<&")))
def test_text_without_brackets_and_ampersands_is_no_markup(text: str) -> None:
    assert strip_markup(text) == text


@given(st.text(alphabet="<>/&;!- abpr=\"'#x3\n", max_size=40))
def test_any_jumble_of_markup_is_survived(text: str) -> None:
    assert isinstance(strip_markup(text), str)


@pytest.mark.parametrize("step", [fix_unicode, strip_markup, strip_boilerplate, fix_whitespace])
@pytest.mark.parametrize(
    "piece", ["<", "<b ", "<!--", "&", " ", "\n", "\n>", "on ", "sent from my iphone ", "from: a\n"]
)
def test_a_long_hostile_text_takes_little_time(step: Callable[[str], str], piece: str) -> None:
    started = time.process_time()
    step(piece * (40_000 // len(piece)))
    assert time.process_time() - started < 5  # seconds; a quadratic pattern would take minutes
