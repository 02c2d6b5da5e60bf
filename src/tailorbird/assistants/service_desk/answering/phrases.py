"""What the assistant says of itself, and to itself: every fixed sentence, in Chinese and English.

Some of them are recognised again in the turns of a conversation, so the assistant knows what it
asked for and how often it had no answer without a memory beside the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping

Words = Mapping[str, str]
"""``{"zh": …, "en": …}``."""

REFUSAL: Words = {
    "en": "I could not find anything that answers this, and I will not guess. "
    "Could you put it in other words, or shall I ask a colleague?",
    "zh": "我没有找到能回答这个问题的依据，不想随便猜测。您可以换个说法，或者我帮您转给人工同事？",
}
HAND_OVER: Words = {
    "en": "This is one for a person: I am passing you on to a colleague.",
    "zh": "这个问题由人工同事来处理更合适，正在为您转接。",
}
ANGRY_HAND_OVER: Words = {
    "en": "I am sorry that this went wrong. I am passing you on to a colleague.",
    "zh": "非常抱歉给您带来不好的体验，正在为您转接人工同事。",
}
UNSURE_HAND_OVER: Words = {
    "en": "I still have nothing that answers this, so I am passing you on to a colleague.",
    "zh": "我还是没有找到答案，正在为您转接人工同事。",
}
NO_DESK: Words = {
    "en": "This is one for a person, and I cannot reach one from here: "
    "please turn to our customer service directly.",
    "zh": "这个问题需要人工处理，但我在这里无法为您转接，请直接联系我们的人工客服。",
}
"""In place of the other hand-overs, where nobody would get to know of them."""
ASK: Mapping[str, Words] = {
    "order": {
        "en": "Which order is it about? Please send me the order number.",
        "zh": "请问是哪一笔订单？麻烦发一下订单号。",
    },
    "email": {
        "en": "Which e-mail address is it about?",
        "zh": "请问是哪个邮箱地址？",
    },
    "phone": {
        "en": "Which phone number is it about?",
        "zh": "请问是哪个手机号？",
    },
    "date": {
        "en": "Which day is it about?",
        "zh": "请问是哪一天？",
    },
    "amount": {
        "en": "Which amount is it about?",
        "zh": "请问金额是多少？",
    },
}
"""By slot, what is asked where a template needs it and nobody has said it."""
_REFUSALS = frozenset(REFUSAL.values())
_ASKED = {text: slot for slot, words in ASK.items() for text in words.values()}

REASONS: Mapping[str, Words] = {
    "accepted": {
        "en": "The visitor accepted the offer of a person.",
        "zh": "访客同意转人工。",
    },
    "wish": {
        "en": "The visitor asked for a person.",
        "zh": "访客要求转人工。",
    },
    "wish_intent": {
        "en": "The message means {intent} ({confidence:.0%}), which asks for a person.",
        "zh": "这条消息的意图是 {intent}（{confidence:.0%}），即要求转人工。",
    },
    "rule": {
        "en": "The rule {rule!r} applies.",
        "zh": "符合规则“{rule}”。",
    },
    "anger": {
        "en": "The visitor is angry ({anger:.2f}, from {limit:.2f} a person is asked).",
        "zh": "访客情绪激动（{anger:.2f}，达到 {limit:.2f} 即转人工）。",
    },
    "template": {
        "en": "Sure of the intent {intent} ({confidence:.0%}): its answer.",
        "zh": "确定意图为 {intent}（{confidence:.0%}），给出其模板答复。",
    },
    "slot": {
        "en": "Sure of the intent {intent}, but its answer needs {slot}, which nobody has said.",
        "zh": "确定意图为 {intent}，但其答复需要 {slot}，对话中还没有提到。",
    },
    "facts": {
        "en": "The facts say so.",
        "zh": "依据知识图谱中的事实。",
    },
    "knowledge": {
        "en": "Not sure of an intent to answer by template; {source} supports an answer.",
        "zh": "没有可用的模板答复；“{source}”支持这个回答。",
    },
    "refusal": {
        "en": "Not sure of an intent, and nothing in the documents supports an answer.",
        "zh": "意图不确定，文档中也没有内容支持回答。",
    },
    "unsure": {
        "en": "No answer {n_unsure} times in a row: a person is asked.",
        "zh": "连续 {n_unsure} 次没有答案，转人工。",
    },
}
"""Why, as a sentence for a person."""

NOTES: Mapping[str, Words] = {
    "context": {
        "en": "Read together with an earlier message.",
        "zh": "结合之前的消息一起理解。",
    },
    "said": {
        "en": "Its answer had been given before, so the documents were asked.",
        "zh": "该意图的答复之前已给出，因此查阅文档。",
    },
    "search_failed": {
        "en": "The documents could not be searched.",
        "zh": "文档检索失败。",
    },
    "writer_language": {
        "en": "Composed of the documents' own sentences: the language model does not write this "
        "language.",
        "zh": "由文档原句组成：语言模型不支持这种语言。",
    },
    "writer_busy": {
        "en": "Composed of the documents' own sentences: the language model was busy.",
        "zh": "由文档原句组成：语言模型正忙。",
    },
    "writer_failed": {
        "en": "Composed of the documents' own sentences: the language model failed.",
        "zh": "由文档原句组成：语言模型出错。",
    },
    "unsupported": {
        "en": "Of what the language model wrote, the documents did not support {n} sentence(s): "
        "dropped.",
        "zh": "丢弃了 {n} 句没有文档支持的生成内容。",
    },
    "other_language": {
        "en": "The answer is in the other language, as there is none in the visitor's.",
        "zh": "没有访客所用语言的答复，给出了另一种语言的答复。",
    },
}
"""What else there is to say of a decision."""


def is_refusal(text: str) -> bool:
    """Whether the assistant said that it has no answer.

    >>> is_refusal(REFUSAL["zh"]), is_refusal("Yes.")
    (True, False)
    """
    return text in _REFUSALS


def slot_asked_by(text: str) -> str:
    """The slot that *text* asks for; empty where it asks for none.

    >>> slot_asked_by(ASK["order"]["en"]), slot_asked_by("Yes.")
    ('order', '')
    """
    return _ASKED.get(text, "")


def both(words: Words, **values: object) -> dict[str, str]:
    """The sentence in each language, with *values* filled in.

    >>> both(REASONS["rule"], rule="vip")["en"]
    "The rule 'vip' applies."
    """
    return {language: text.format(**values) for language, text in words.items()}
