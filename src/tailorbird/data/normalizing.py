"""Noise that logs carry: odd Unicode, markup, signatures and quoted mail. Text in, text out."""

from __future__ import annotations

import html
import re
import unicodedata

# Full-width letters, digits and signs as half-width ones. The marks that Chinese itself writes
# full-width (，！？：；（）～) stay: they are not a slip of the keyboard.
_KEPT_WIDE = "，！？：；（）～"
_HALF_WIDTH = {
    0x3000: " ",
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if chr(code) not in _KEPT_WIDE},
}
_MISPLACED = re.compile("[\x80-\x9f\u3000\uff01-\uff5e]")

_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029]")
# Mail written on Windows and read as Latin-1 has its quotes and dashes where control codes are.
_WINDOWS_MARKS = {
    code: character
    for code in range(0x80, 0xA0)
    if (character := bytes((code,)).decode("cp1252", "ignore"))
}
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff]"
)
_USUAL = _HALF_WIDTH | _WINDOWS_MARKS
# Joiners build emoji families and Persian words; beside Latin, digits or Chinese they are debris.
_STRAY_JOINER = re.compile(
    "(?:^|(?<=[\\s\x21-\x7e\u3400-\u9fff]))[\u200c\u200d]+"
    "|[\u200c\u200d]+(?=[\\s\x21-\x7e\u3400-\u9fff]|$)"
)

_TAGS = (
    "a|abbr|address|article|aside|b|big|blockquote|body|br|button|center|code|dd|del|div|dl|dt|em"
    "|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|label|li|link|main|mark"
    "|meta|nav|ol|option|p|pre|q|s|samp|script|section|select|small|span|strike|strong|style|sub"
    "|sup|table|tbody|td|textarea|tfoot|th|thead|title|tr|tt|u|ul|video|wbr"
)
_TAG = re.compile(
    rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>|<!--(?:(?!<!--).)*?-->", re.IGNORECASE | re.DOTALL
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")
_BLOCKS = re.compile(
    "^(?:address|article|aside|blockquote|br|dd|div|dl|dt|footer|form|h[1-6]|header|hr|li|main|nav|ol"
    "|option|p|pre|section|table|tr|ul)$"
)

_DEVICES = (
    "iphone|ipad|android|samsung|huawei|xiaomi|galaxy|blackberry|mobile|phone|outlook|yahoo|mail"
)
_CHINESE_DEVICES = "iphone|ipad|android|华为|小米|荣耀|vivo|oppo|三星|手机|qq邮箱|网易邮箱"
_SIGNATURE = re.compile(
    r"(?:^|(?<=[\n.!?。！？~]))[^\S\n]*(?:"
    rf"sent (?:from|via) (?:my )?(?:{_DEVICES})[^\n.]{{0,60}}\.?"
    r"|get outlook for (?:ios|android)[^\n]{0,60}"
    rf"|(?:发|来)自我?的? ?(?:{_CHINESE_DEVICES})[^\n。]{{0,20}}。?"
    rf"|从我的 ?(?:{_CHINESE_DEVICES})[^\n。]{{0,10}}发送。?"
    r")[^\S\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_DISCLAIMER = re.compile(
    r"^[^\S\n]*(?:confidentiality notice\b|disclaimer:"
    r"|this (?:e-?mail|message)(?: and any (?:attachments|files))?[^\n]{0,80}"
    r"\b(?:confidential|privileged)"
    r"|if you (?:are not|have received)[^\n]{0,40}(?:intended recipient|in error)"
    r"|please consider the environment before printing"
    r"|(?:保密|免责)声明|本(?:邮件|电子邮件|信息)(?:及其?附件)?[^\n]{0,30}保密)[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
# From here on a mail only repeats what others wrote before.
_QUOTED_MAIL = re.compile(
    r"^[^\S\n]*(?:-{2,}[^\S\n]*"
    r"(?:original message|forwarded message|原始邮件|转发邮件|原邮件)[^\S\n]*-{2,}"
    r"|on [^\n]{6,120} wrote:[^\S\n]*$|在[^\n]{6,80}(?:写道|写)[:：][^\S\n]*$"
    r"|(?:from|发件人)[:：][^\n]+\n(?:[^\n]+\n){0,3}?(?:sent|date|to|发送时间|收件人|日期)[:：])",
    re.IGNORECASE | re.MULTILINE,
)
_SIGNATURE_RULE = re.compile(r"^-- ?\n(?:[^\n]*(?:\n|$)){1,8}\Z", re.MULTILINE)
_QUOTED_LINE = re.compile(r"^>[^\n]*(?:\n|$)", re.MULTILINE)
_MAYBE_BOILERPLATE = re.compile(
    r"sent |get outlook|自我?的|从我的|-- ?\n|--[ a-z原转]|wrote:|写|from:|发件人|^>"
    r"|confidential|disclaimer|声明|保密|recipient|received this|environment",
    re.IGNORECASE | re.MULTILINE,
)

_SPACES = re.compile(r"[^\S\n]+")
_LINE_BREAKS = re.compile(r" ?\n[ \n]*")


def fix_unicode(text: str) -> str:
    """NFC, half-width letters and digits, line ends as \\n, no invisible characters.

    >>> fix_unicode("ＡＢＣ１２３，好！\\u200b")
    'ABC123，好！'
    """
    if text.isascii() and text.isprintable():
        return text
    text = unicodedata.normalize("NFC", text)
    if _MISPLACED.search(text):
        text = text.translate(_USUAL)
    text = _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))
    return _STRAY_JOINER.sub("", text)


def strip_markup(text: str) -> str:
    """The words without HTML tags and entities; ``a < b`` and ``<order number>`` are no markup.

    >>> strip_markup("<p>Price &lt; 5 &amp; a < b</p>")
    'Price < 5 & a < b'
    """
    for _ in range(3):  # exports are often escaped twice
        if _TAG.search(text):
            stripped = _without_tags(text)
        elif "&" in text and _ENTITY.search(text):
            stripped = _unescaped(text)
        else:
            break
        if stripped == text:
            break
        text = stripped
    return text


def _without_tags(text: str) -> str:
    import bs4

    # Whatever is no tag of HTML is text, and the parser must see it so.
    escaped: list[str] = []
    end_of_last = 0
    for match in _TAG.finditer(text):
        escaped += _escaped(text[end_of_last : match.start()]), match[0]
        end_of_last = match.end()
    escaped.append(_escaped(text[end_of_last:]))
    soup = bs4.BeautifulSoup("".join(escaped), "html.parser")
    for hidden in soup(["script", "style", "head"]):
        hidden.decompose()
    for block in soup(_BLOCKS):
        block.insert_before("\n")
        block.insert_after("\n")
    return soup.get_text().strip("\n")


def _escaped(text: str) -> str:
    return html.escape(_unescaped(text), quote=False)


def _unescaped(text: str) -> str:
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text) if "&" in text else text


def strip_boilerplate(text: str) -> str:
    """The message without device signatures, disclaimers and quoted mail.

    >>> strip_boilerplate("Where is it?\\n\\nSent from my iPhone")
    'Where is it?'
    """
    if not _MAYBE_BOILERPLATE.search(text):
        return text
    bare = text
    if quoted := _QUOTED_MAIL.search(bare):
        bare = bare[: quoted.start()]
    if bare.lstrip()[:1] != ">":  # a message of quotes alone is all there is
        bare = _QUOTED_LINE.sub("", bare)
    bare = _SIGNATURE_RULE.sub("", bare)
    bare = _DISCLAIMER.sub("", _SIGNATURE.sub("", bare))
    return text if bare == text else bare.strip()


def fix_whitespace(text: str) -> str:
    """Single spaces, single line breaks, none at the ends.

    >>> fix_whitespace("  two\\u00a0 words \\n\\n\\n next ")
    'two words\\nnext'
    """
    return _LINE_BREAKS.sub("\n", _SPACES.sub(" ", text)).strip()
