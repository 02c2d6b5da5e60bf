"""Answers by intent: picked from the best replies of the logs, edited by people as TOML."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailorbird.errors import ConfigError
from tailorbird.records import Interaction
from tailorbird.store import files
from tailorbird.text import language_of, shorten

Templates = dict[str, dict[str, list[str]]]
LANGUAGES = ("zh", "en")

SAME_SIMILARITY = 0.85
"""Cosine of character n-grams from which two replies are variants of one."""
MAX_CANDIDATES = 400
"""Distinct replies of one intent and language that are compared with each other."""

_PERSONAL = re.compile(
    r"\[(?:EMAIL|PHONE|ID|CARD)\]"  # masked by cleaning: it was said to one person
    r"|\{\{.*?\}\}"  # a slot that nobody filled
    r"|\d{5,}"  # an order, tracking or account number
    r"|(?<![A-Za-z0-9])[A-Za-z]{1,4}[-#]?\d{4,}"  # SF1234, NO-0042
    r"|[#№]\s?\d{3,}"
)
_HEADING = """\
# The answers of the assistant, by intent and language. The first of each list is given.
# Edit freely, then bundle again; an empty list means: no answer in this language.
"""


@dataclass
class _Reply:
    """One distinct reply, with what is known of it."""

    text: str
    n: int = 0
    feedback: float = 0.0
    n_rated: int = 0
    centrality: float = 0.0

    @property
    def approval(self) -> float:
        """Mean feedback with one neutral vote added, so that a single praise is no proof."""
        return self.feedback / (self.n_rated + 1)

    def absorb(self, other: _Reply) -> None:
        self.n += other.n
        self.feedback += other.feedback
        self.n_rated += other.n_rated


def best_templates(
    interactions: Iterable[Interaction], labels: Sequence[str], *, n_per_language: int = 3
) -> Templates:
    """Up to *n_per_language* good and different replies an intent and language.

    The highest feedback comes first, then the most frequent, then the most central (closest to
    what is usually replied). Left out are replies that people disliked, those that belong to
    one person: with masked data, order numbers or unfilled slots; and, beside what is replied most,
    those that are mostly given to other intents ("When did that happen?"). Every label has an
    entry.
    """
    replies: dict[tuple[str, str], dict[str, list[Interaction]]] = {}
    everywhere: Counter[str] = Counter()
    known = set(labels)
    for interaction in interactions:
        reply = (interaction.reply or "").strip()
        if interaction.label in known and reply and not _PERSONAL.search(reply):
            group = replies.setdefault((str(interaction.label), language_of(reply)), {})
            group.setdefault(_bare(reply), []).append(interaction)
            everywhere[_bare(reply)] += 1
    return {
        label: {
            language: _best(_own(replies.get((label, language), {}), everywhere), n_per_language)
            for language in LANGUAGES
        }
        for label in labels
    }


def load_templates(path: str | Path, labels: Sequence[str] | None = None) -> Templates:
    """Read a TOML file of ``[intent]`` sections with ``zh = […]`` and ``en = […]``.

    Raises ConfigError that says what is wrong; with *labels*, an unknown intent too.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"is not TOML: {error}", where=str(path), cure='answers look like en = ["Hello."]'
        ) from error
    return check(table, labels, where=str(path))


def save_templates(path: str | Path, templates: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Write what `load_templates` reads, laid out for a person to edit."""
    files.write_atomically(Path(path), to_toml(templates).encode("utf-8"))


def to_toml(templates: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """The templates as a commented TOML document.

    >>> print(to_toml({"refund": {"en": ["Yes."]}}).partition("\\n\\n")[2])
    ["refund"]
    zh = []
    en = [
        "Yes.",
    ]
    <BLANKLINE>
    """
    sections = [_HEADING]
    for intent, by_language in templates.items():
        lines = [f"[{_quoted(intent)}]"]
        for language in LANGUAGES:
            rows = "".join(f"    {_quoted(answer)},\n" for answer in by_language.get(language, ()))
            lines.append(f"{language} = [\n{rows}]" if rows else f"{language} = []")
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def check(
    table: Mapping[str, Any], labels: Sequence[str] | None = None, *, where: str
) -> Templates:
    """The templates in *table*, with both languages for every intent it names.

    Raises ConfigError for an intent that is not one of *labels*, another language, or an answer
    that is not a text.
    """
    templates: Templates = {}
    for intent, by_language in table.items():
        if labels is not None and intent not in labels:
            near = difflib.get_close_matches(intent, labels, n=1, cutoff=0.5)
            cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(labels[:20])}"
            raise ConfigError(f"[{intent}] is not an intent of this model", where=where, cure=cure)
        if not isinstance(by_language, Mapping):
            raise ConfigError(
                f"[{intent}] must be a section with lists of answers",
                where=where,
                cure='as en = ["Hello."]',
            )
        for language, answers in by_language.items():
            name = f"[{intent}] {language}"
            if language not in LANGUAGES:
                raise ConfigError(
                    f"{name} is not a language of answers",
                    where=where,
                    cure=f"known: {', '.join(LANGUAGES)}",
                )
            if isinstance(answers, str) or not isinstance(answers, Sequence):
                raise ConfigError(
                    f"{name} must be a list of answers", where=where, cure='as ["Hello."]'
                )
            for answer in answers:
                if not isinstance(answer, str) or not answer.strip():
                    raise ConfigError(
                        f"{name} holds {answer!r}, which is not an answer",
                        where=where,
                        cure="write a text, or leave the list empty",
                    )
        templates[intent] = {
            language: [str(answer) for answer in by_language.get(language, ())]
            for language in LANGUAGES
        }
    return templates


def _own(
    group: Mapping[str, Sequence[Interaction]], everywhere: Mapping[str, int]
) -> dict[str, Sequence[Interaction]]:
    """The replies of an intent that are given to it half of the time, or more often than others."""
    most = max(map(len, group.values()), default=0)
    return {
        bare: rows
        for bare, rows in group.items()
        if len(rows) == most or 2 * len(rows) >= everywhere[bare]
    }


def _best(group: Mapping[str, Sequence[Interaction]], n: int) -> list[str]:
    replies = [_summary(interactions) for interactions in group.values()]
    replies = [reply for reply in replies if reply.feedback >= 0]
    replies.sort(key=lambda reply: (-reply.approval, -reply.n, reply.text))
    distinct = _merge_variants(replies[:MAX_CANDIDATES])
    distinct.sort(key=lambda reply: (-reply.approval, -reply.n, -reply.centrality, reply.text))
    return [reply.text for reply in distinct[:n]]


def _summary(interactions: Sequence[Interaction]) -> _Reply:
    """One reply from all its occurrences; its most frequent spelling speaks for them."""
    spellings: dict[str, int] = {}
    for interaction in interactions:
        spelling = str(interaction.reply).strip()
        spellings[spelling] = spellings.get(spelling, 0) + 1
    ratings = [row.feedback for row in interactions if row.feedback is not None]
    return _Reply(
        text=min(spellings, key=lambda spelling: (-spellings[spelling], spelling)),
        n=len(interactions),
        feedback=sum(ratings),
        n_rated=len(ratings),
    )


def _merge_variants(replies: Sequence[_Reply]) -> list[_Reply]:
    """Replies that differ in a few characters become one, which keeps the first one's words."""
    if len(replies) < 2:
        return list(replies)
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    grams = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    vectors = grams.fit_transform([reply.text for reply in replies])  # (N, V), rows of length 1
    similarity = (vectors @ vectors.T).toarray()  # (N, N)
    weights = np.array([reply.n for reply in replies], dtype=float)
    centrality = similarity @ weights / weights.sum()
    kept: list[int] = []
    for index, reply in enumerate(replies):
        reply.centrality = float(centrality[index])
        twin = next((other for other in kept if similarity[index, other] >= SAME_SIMILARITY), None)
        if twin is None:
            kept.append(index)
        else:
            replies[twin].absorb(reply)
    return [replies[index] for index in kept]


def _bare(reply: str) -> str:
    """The reply without case, spaces and punctuation: what its spellings have in common."""
    return re.sub(r"[\W_]+", "", reply.casefold()) or reply


def _quoted(text: str) -> str:
    """A TOML string or key: JSON's escapes are TOML's, but for DEL, which JSON leaves alone."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def gaps(templates: Templates) -> list[str]:
    """One sentence for each intent that has no answer, for the person who can write one."""
    return [
        f"no reply in the logs can answer {shorten(intent)!r}: add one to the templates"
        for intent, by_language in templates.items()
        if not any(by_language.values())
    ]
