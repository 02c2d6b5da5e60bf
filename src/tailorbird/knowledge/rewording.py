"""The same question in slightly other words, by rules: what a base can ask itself.

People paraphrase more freely than this; so nothing is measured on such rows, they only tell what
is near in a base from what is not.
"""

from __future__ import annotations

import random
import re

from tailorbird.text import cut_words, language_of

PARTICLES = re.compile(r"[吗呢啊哦呀哈啦嘛吧]|请问|亲亲|亲|麻烦|一下")
POLITE = {
    "zh": ("请问", "你好，", "我想问下", "亲，", "", ""),
    "en": ("please, ", "hi, ", "I would like to know: ", "", "", ""),
}
SAME = (
    ("什么时候", "啥时候"),
    ("什么时候", "多久"),
    ("怎么", "如何"),
    ("为什么", "为啥"),
    ("多少钱", "什么价格"),
    ("发货", "寄出"),
    ("没有", "没"),
    ("能不能", "可以"),
    ("可以", "能"),
    ("how do i", "how can i"),
    ("how can i", "what do i have to do to"),
    ("i want to", "i'd like to"),
    ("can you", "could you"),
    ("where is", "where's"),
    ("cancel", "call off"),
)
"""What may stand for what, either way."""


def reword(text: str, rng: random.Random, *, dropped: float = 0.15) -> str:
    """*text* with other particles, one synonym, and a share of its words left out.

    Args:
        text: a question; one of three words or fewer keeps them all.
        rng: what decides.
        dropped: how probable it is for each word (of Chinese: each character) to be left out.

    >>> reword("how can I cancel my last order", random.Random(11))
    'hi, how can i call off my last order'
    """
    language = language_of(text)
    changed = PARTICLES.sub("", text) if language == "zh" else text.lower()
    pairs = [(a, b) for one in SAME for a, b in (one, one[::-1]) if a in changed]
    if pairs and rng.random() < 0.5:
        changed = changed.replace(*rng.choice(pairs), 1)
    spans = cut_words(changed)
    if len(spans) > 3:
        kept = [span for span in spans if rng.random() >= dropped]
        space = "" if language == "zh" else " "
        changed = space.join(changed[a:b] for a, b in kept) or changed
    return rng.choice(POLITE[language]) + changed
