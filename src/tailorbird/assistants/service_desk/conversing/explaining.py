"""A decision told to a person, in sentences of the language it was asked in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tailorbird.store.tables import DecisionRow
from tailorbird.text import language_of, shorten

SENTENCES: dict[str, dict[str, str]] = {
    "asked": {"en": 'Somebody asked: "{0}"', "zh": "有人问：“{0}”"},
    "time": {"en": "That was at {0} UTC.", "zh": "时间：{0}（UTC）。"},
    "understood": {
        "en": "It was understood as {0}, with a confidence of {1:.0%}.",
        "zh": "系统理解为“{0}”，置信度 {1:.0%}。",
    },
    "not understood": {
        "en": "No intent was recognised in it.",
        "zh": "系统没有识别出意图。",
    },
    "candidates": {"en": "Candidates were: {0}.", "zh": "候选：{0}。"},
    "rule": {"en": "Rule {0} decided.", "zh": "由规则“{0}”决定。"},
    "no rule": {"en": "No rule decided.", "zh": "没有规则参与决定。"},
    "template": {
        "en": "The answer is a template of that intent.",
        "zh": "回答用的是该意图的模板。",
    },
    "knowledge": {
        "en": "The answer was put together from documents.",
        "zh": "回答摘自知识库文档。",
    },
    "generated": {
        "en": "The answer was written by a language model from documents.",
        "zh": "回答由语言模型根据文档写成。",
    },
    "refusal": {
        "en": "Nothing supported an answer, so none was given.",
        "zh": "没有依据支持任何回答，所以没有作答。",
    },
    "hand_over": {"en": "A person was asked for.", "zh": "已转人工客服。"},
    "source": {"en": '"{0}" stands in {1}.', "zh": "“{0}”出自 {1}。"},
    "passage": {
        "en": "Found was {0}, which answers it with a probability of {1:.0%}.",
        "zh": "检索到 {0}，能回答该问题的概率为 {1:.0%}。",
    },
    "marked": {
        "en": "A tagger filled the slot {0}, {1:.0%} sure.",
        "zh": "槽位“{0}”由标注模型填入，把握 {1:.0%}。",
    },
    "reason": {"en": "Because: {0}", "zh": "原因：{0}"},
    "answered": {"en": 'The answer was: "{0}"', "zh": "回答是：“{0}”"},
    "bundle": {"en": "Bundle {0} was live.", "zh": "当时使用的模型包是 {0}。"},
    "adapter": {
        "en": "The user's own adapter {0} answered.",
        "zh": "由该用户自己的适配器 {0} 作答。",
    },
    "no adapter": {
        "en": "The shared assistant answered, without an adapter of the user.",
        "zh": "由共享助手作答，没有使用该用户的适配器。",
    },
    "latency": {"en": "It took {0:.0f} ms.", "zh": "用时 {0:.0f} 毫秒。"},
    "feedback": {"en": "A person rated it {0:+.1f}.", "zh": "有人给它评分 {0:+.1f}。"},
    "correction": {
        "en": 'A person says it should have been: "{0}"',
        "zh": "有人指出应当回答：“{0}”",
    },
    "meant": {"en": "A person says that {0} was meant.", "zh": "有人指出真正的意图是“{0}”。"},
}
N_CANDIDATES = 5


def explain(row: DecisionRow) -> list[str]:
    """What was understood, among what, by which rule, from which sources, by which weights.

    >>> row = DecisionRow(text="退款", kind="template", intent="refund", confidence=0.9)
    >>> explain(row)[2]
    '系统理解为“refund”，置信度 90%。'
    """
    language = language_of(row.text)
    return [SENTENCES[key][language].format(*values) for key, *values in _facts(row)]


def _facts(row: DecisionRow) -> Iterator[tuple[Any, ...]]:
    """Names of sentences, each with what stands in it."""
    why = row.why or {}
    yield "asked", shorten(row.text, 200)
    yield "time", f"{row.time:%Y-%m-%d %H:%M:%S}"
    if row.intent:
        yield "understood", row.intent, row.confidence
    else:
        yield ("not understood",)
    candidates = list(scored(why.get("candidates")))[:N_CANDIDATES]
    if candidates:
        yield "candidates", ", ".join(f"{name} {score:.2f}" for name, score in candidates)
    rule = str(why.get("rule") or "")
    yield ("rule", rule) if rule else ("no rule",)
    if row.kind in SENTENCES:
        yield (row.kind,)
    for one in why.get("sentences") or ():
        if isinstance(one, Mapping) and one.get("source"):
            yield "source", shorten(str(one.get("text", "")), 120), one["source"]
    yield from _found(why.get("passages"))
    yield from _marked(why.get("slot_marks"))
    if why.get("reason"):
        yield "reason", why["reason"]
    if row.answer:
        yield "answered", shorten(row.answer, 300)
    if row.bundle_id:
        yield "bundle", row.bundle_id
    yield ("adapter", row.adapter[:12]) if row.adapter else ("no adapter",)
    if row.latency_ms:
        yield "latency", row.latency_ms
    if row.feedback is not None:
        yield "feedback", row.feedback
    if row.correction:
        yield "correction", row.correction
    if row.meant:
        yield "meant", row.meant


def _found(passages: Any) -> Iterator[tuple[Any, ...]]:
    """What a search found, the first few."""
    for one in (passages if isinstance(passages, list | tuple) else ())[:N_CANDIDATES]:
        if isinstance(one, Mapping) and one.get("source"):
            yield "passage", one["source"], float(one.get("support") or 0)


def _marked(marks: Any) -> Iterator[tuple[Any, ...]]:
    """The slots that a model filled."""
    for one in marks if isinstance(marks, list | tuple) else ():
        if isinstance(one, Mapping) and one.get("used"):
            yield "marked", one.get("slot", ""), float(one.get("probability") or 0)


def scored(candidates: Any) -> Iterator[tuple[str, float]]:
    """Names with their scores, from pairs, from objects, or from a mapping.

    >>> list(scored([["refund", 0.9], {"intent": "shipping", "confidence": 0.1}]))
    [('refund', 0.9), ('shipping', 0.1)]
    """
    if isinstance(candidates, Mapping):
        candidates = list(candidates.items())
    for one in candidates if isinstance(candidates, list | tuple) else ():
        name, score = _name_and_score(one)
        if name and isinstance(score, int | float):
            yield name, float(score)


def _name_and_score(one: Any) -> tuple[str, Any]:
    if isinstance(one, Mapping):
        name = next((one[key] for key in ("intent", "name", "text", "id") if key in one), "")
        score = next((one[key] for key in ("confidence", "score", "support") if key in one), None)
        return str(name), score
    if isinstance(one, Sequence) and not isinstance(one, str) and len(one) == 2:
        return str(one[0]), one[1]
    return "", None
