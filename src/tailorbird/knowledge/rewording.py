"""The same question in slightly other words, by rules: what a base can ask itself.

People paraphrase more freely than this; so nothing is measured on such rows, they only tell what
is near in a base from what is not.
"""

from __future__ import annotations

import random
import re
from collections.abc import Container

from tailorbird.knowledge.words import word_spans, words_of
from tailorbird.text import cut_words, language_of

_ODD_EN = """
tiger giraffe piano volcano sonnet kangaroo trombone glacier dentist wizard submarine cathedral
mushroom chess planet parliament violin dinosaur poem penguin tractor sculpture earthquake monk
poker surgery satellite goat opera firewood dragon lighthouse asthma pyramid rifle tadpole yoga
astronaut gallbladder cricket vineyard trumpet eclipse marathon crocodile
"""
_ODD_ZH = """
老虎 长颈鹿 钢琴 火山 十四行诗 袋鼠 长号 冰川 牙医 巫师
潜水艇 大教堂 蘑菇 象棋 行星 议会 小提琴 恐龙 诗歌 企鹅
拖拉机 雕塑 地震 和尚 扑克 手术 卫星 山羊 歌剧 柴火
灯塔 哮喘 金字塔 步枪 蝌蚪 瑜伽 宇航员 胆囊 葡萄园 喇叭 日食
马拉松 鳄鱼 相声 考古
"""

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
ODD = {
    "en": tuple(_ODD_EN.split()),
    "zh": tuple(_ODD_ZH.split()),
}
"""Words that hardly any knowledge base is about, to be put into its questions."""


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


def estrange(text: str, known: Container[str], rng: random.Random) -> str:
    """*text* with a word that tells something replaced by one that nobody has answered.

    Args:
        text: a question.
        known: the words that the base has; none of them comes in.
        rng: what decides.

    Returns nothing where no word tells anything, or all of `ODD` are known.

    >>> estrange("how can I cancel my order", {"cancel", "order"}, random.Random(1))
    'how can I yoga my order'
    """
    language = language_of(text)
    telling = [span for span in word_spans(text) if words_of(text[span[0] : span[1]])]
    odd = [word for word in ODD[language] if not any(one in known for one in words_of(word))]
    if not telling or not odd:
        return ""
    start, end = rng.choice(telling)
    return text[:start] + rng.choice(odd) + text[end:]
