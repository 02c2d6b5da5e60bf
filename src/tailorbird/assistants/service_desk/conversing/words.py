"""What the service itself says to visitors, in their language."""

from __future__ import annotations

from typing import Literal

Notice = Literal["waiting", "ticket", "given_back", "closed"]

NOTICES: dict[Notice, dict[str, str]] = {
    "waiting": {
        "zh": "已为您转接人工客服，请稍候，客服会在这里回复您。",
        "en": "I have asked a person to help. They will answer you here.",
    },
    "ticket": {
        "zh": "现在没有客服在线，不会马上有人回复。您的问题已经记下，客服上线后会在这里回复您。",
        "en": "Nobody is at the desk right now, so nobody will answer at once. Your question is "
        "kept, and a person will answer you here when they are back.",
    },
    "given_back": {
        "zh": "人工服务已结束，接下来由智能助手为您服务。",
        "en": "You are talking to the assistant again.",
    },
    "closed": {
        "zh": "本次对话已结束。",
        "en": "This conversation is closed.",
    },
}


def notice(kind: Notice, language: str) -> str:
    """The sentence in *language*, in English where there is no other.

    >>> notice("closed", "zh")
    '本次对话已结束。'
    """
    sentences = NOTICES[kind]
    return sentences.get(language, sentences["en"])
