"""Whether somebody asks for a person: by words in Chinese and English, or by what was predicted."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PERSON_EN = (
    r"(?:(?:a|an|the|some|any|your|another|one of your|real|actual|live|human|fucking"
    r"|bloody|damn|goddamn)\s+){0,4}"
    r"(?:human(?: being)?|person|people|agents?|representatives?|reps?|operators?|supervisors?"
    r"|managers?|staff|somebody|someone|anyone|anybody|colleagues?|advis[eo]rs?"
    r"|customer (?:service|support|care)|support (?:team|agent|staff)|employees?|assistants?)\b"
)
_WISH = re.compile(
    r"\b(?:(?:talk|speak|chat)(?:ing)?\s+(?:to|with)|connect(?:ed)?\s+(?:me\s+)?(?:to|with)"
    r"|(?:put|pass|hand|get)\s+(?:me\s+)?(?:through|on|over)\s+to|transfer(?:red)?\s+(?:me\s+)?to"
    r"|(?:get|give|find|send)\s+me|(?:i\s+)?(?:want|need|would like|'d like|prefer)"
    r"|switch (?:me )?to|forward (?:me )?to|contact(?:ing)?)\s+"
    + _PERSON_EN
    + r"(?!\s+(?:else\s+)?(?:to\s+(?:sign|carry|deliver|pick|receive|collect)|at home|'s\b))"
    r"|^\W*" + _PERSON_EN + r"[\s,]*(?:please|pls|now)?\W*$"
    r"|\b(?:real|actual|live)\s+(?:person|human|agent)\b|\bnot (?:a|another) (?:ro)?bot\b"
    r"|\b(?:stop|no more) (?:the|this)? ?(?:ro)?bots?\b"
    r"|\bcomplain(?:t)? to (?:somebody|someone) in charge"
    r"|\b(?:automatic|automated|canned|bot'?s?) (?:answers?|repl(?:y|ies))"
    r" (?:don't|do not|doesn't|never) help"
    r"|(?:转|接|找|换|要|叫|让|喊|给我|联系|有没有|想跟|想和|想找)(?:一下|个|到|你们|您们|的|下)*"
    r"(?:人工(?!智能|费|成本|降解|草|皮)|真人|活人|客服(?:人员|小姐|小哥|经理)?(?!电话)|专员|坐席|人来|负责人|主管|管事的|经理)"
    r"|^\W*(?:人工|真人|人工客服|人工服务|客服|转接)\W*$|人工(?:客服|服务|坐席)|别(?:再)?(?:用)?机器人|换个(?:真)?人(?:来|$|[，。！!])|"
    r"(?:跟|和|与)(?:真|活)?人(?:说|聊|讲|谈)",
    re.IGNORECASE,
)
# "What hours can I contact customer service?" asks for the hours.
_ASKS_ABOUT = re.compile(
    r"\b(?:hours?|when|phone|numbers?|e-?mails?|address(?:es)?|times?)\b[^.!?]{0,30}$",
    re.IGNORECASE,
)
_KNOWS = re.compile(r"\b(?:know|sure|see|find|remember|understand|how)\b", re.IGNORECASE)
_UNWISH = re.compile(
    r"\b(?:not|no need|never|without|don't|do not|doesn't|didn't|rather not|instead of|no longer)\b"
    r"[^.,;!?]{0,24}$|(?:不|不用|不要|不想|不需要|别|无需|没必要|先不|不必|没有?要)[^，。！？；,.!?;]{0,4}$",
    re.IGNORECASE,
)


def wants_person(text: str, more_words: Sequence[str] = ()) -> str:
    """The words with which *text* asks for a person, in lower case; empty where it does not.

    *more_words* are further ones, as a shop's own name of its people.

    >>> wants_person("can I speak to a real person?"), wants_person("转人工")
    ('speak to a real person', '转人工')
    >>> wants_person("I don't want to talk to a human, just tell me"), wants_person("不用转人工")
    ('', '')
    """
    for match in _WISH.finditer(text):
        if not _is_declined(text, match.start()):
            return match[0].strip().lower()
    lower = text.lower()
    for word in more_words:
        start = lower.find(word.lower()) if word else -1
        if start >= 0 and not _is_declined(text, start):
            return word.lower()
    return ""


def _is_declined(text: str, start: int) -> bool:
    before = max(0, start - 40)
    declined = _UNWISH.search(text, before, start)
    if declined and not _KNOWS.search(declined[0]):  # "I don't know how to reach a person"
        return True
    return _ASKS_ABOUT.search(text, before, start) is not None
