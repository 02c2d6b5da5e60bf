"""What changed between two versions of the rules, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from tailorbird.knowledge.rules.reading import Rule
from tailorbird.knowledge.rules.ruling import RuleSet

_WORDS = {
    "en": {
        "new": "rule {name!r} is new: when {new}",
        "gone": "rule {name!r} is gone",
        "when": "rule {name!r} now fits when {new}; before: {old}",
        "answer": "rule {name!r} now says in {language}: {new}; before: {old}",
        "action": "rule {name!r} now does {new}; before: {old}",
        "note": "the note of rule {name!r} is now {new!r}",
        "order": "the order of the rules is now {new}",
        "fact": "fact added: {new}",
        "no fact": "fact taken away: {old}",
        "nothing": "(nothing)",
        "none": "nothing changed",
    },
    "zh": {
        "new": "新增规则“{name}”：条件 {new}",
        "gone": "删除规则“{name}”",
        "when": "规则“{name}”的条件现在是 {new}；原来是 {old}",
        "answer": "规则“{name}”的{language}回答现在是：{new}；原来是：{old}",
        "action": "规则“{name}”的动作现在是 {new}；原来是 {old}",
        "note": "规则“{name}”的备注现在是“{new}”",
        "order": "规则的顺序现在是 {new}",
        "fact": "新增事实：{new}",
        "no fact": "删除事实：{old}",
        "nothing": "（无）",
        "none": "没有变化",
    },
}
_LANGUAGES = {
    "en": {"zh": "Chinese", "en": "English"},
    "zh": {"zh": "中文", "en": "英文"},
}


def difference(old: RuleSet, new: RuleSet, language: str = "en") -> list[str]:
    """What *new* has that *old* has not, and the other way round, a sentence each.

    >>> facts = ("X200 | warranty | 1 year", "X200 | warranty | 2 years")
    >>> difference(*(RuleSet.read("", text) for text in facts))
    ['fact added: X200 | warranty | 2 years', 'fact taken away: X200 | warranty | 1 year']
    """
    words = _WORDS.get(language, _WORDS["en"])
    sentences = [*_of_rules(old, new, words, language), *_of_facts(old, new, words)]
    return sentences or [words["none"]]


def _of_rules(old: RuleSet, new: RuleSet, words: dict[str, str], language: str) -> Iterator[str]:
    before, after = ({rule.name: rule for rule in one.rules} for one in (old, new))
    for name, rule in after.items():
        if name not in before:
            yield words["new"].format(name=name, new=rule.when)
        else:
            yield from _of_rule(before[name], rule, words, language)
    for name in before:
        if name not in after:
            yield words["gone"].format(name=name)
    kept_before = [name for name in before if name in after]
    kept_after = [name for name in after if name in before]
    if kept_before != kept_after:
        yield words["order"].format(new=" → ".join(kept_after))


def _of_rule(old: Rule, new: Rule, words: dict[str, str], language: str) -> Iterator[str]:
    name, nothing = new.name, words["nothing"]
    for key in ("when", "action", "note"):
        values = getattr(old, key), getattr(new, key)
        if values[0] != values[1]:
            yield words[key].format(name=name, old=values[0], new=values[1])
    for one in ("zh", "en"):
        said = old.answer.get(one, nothing), new.answer.get(one, nothing)
        if said[0] != said[1]:
            called = _LANGUAGES.get(language, _LANGUAGES["en"])[one]
            yield words["answer"].format(name=name, language=called, old=said[0], new=said[1])


def _of_facts(old: RuleSet, new: RuleSet, words: dict[str, str]) -> Iterator[str]:
    before, after = set(old.facts.triples), set(new.facts.triples)
    for triple in new.facts.triples:
        if triple not in before:
            yield words["fact"].format(new=triple)
    for triple in old.facts.triples:
        if triple not in after:
            yield words["no fact"].format(old=triple)
