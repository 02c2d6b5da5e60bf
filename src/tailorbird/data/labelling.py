"""Labelling: a file of labels, or rules (keyword, pattern → intent), for logs without them."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tailorbird.config import LabellingSettings
from tailorbird.data.columns import usual_name
from tailorbird.data.duplicates import same_text_key
from tailorbird.data.files import LogFile
from tailorbird.data.formats import FORMATS
from tailorbird.data.normalizing import fix_unicode
from tailorbird.data.values import name_value
from tailorbird.errors import ConfigError, DataError, NoLabelsError, RowError
from tailorbird.records import Interaction
from tailorbird.text import shorten

N_EXAMPLES = 3
NO_LABEL = "[none]"
"""In a labels file: takes the label of a row away, so that nothing is learned of it."""
_RULE_KEYS = ("intent", "keywords", "regex")


@dataclass(frozen=True, slots=True)
class Rule:
    """One intent and what gives it away: any of the patterns, anywhere in the text."""

    intent: str
    patterns: tuple[re.Pattern[str], ...]

    def matches(self, text: str) -> bool:
        """Whether any pattern occurs in the normalised *text*."""
        return any(pattern.search(text) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules in order of priority; a text that none matches gets no label."""

    rules: tuple[Rule, ...]
    source: str

    def intents(self, text: str) -> tuple[str, ...]:
        """The intents of all rules that match, by priority, each once."""
        plain = fix_unicode(text).casefold()
        return tuple(dict.fromkeys(rule.intent for rule in self.rules if rule.matches(plain)))


@dataclass(frozen=True, slots=True)
class LabellingReport:
    """How far the labels reach and how well they agree."""

    source: str
    n_rows: int
    n_matched: int
    """Rows that the file or the rules have a label for."""
    n_labelled_before: int
    n_labelled: int
    counts: dict[str, int]
    """Matched rows by label."""
    n_conflicts: int
    """Rows that rules of different intents match (the first rule wins)."""
    conflicts: tuple[tuple[str, tuple[str, ...]], ...]
    """Examples of such texts with their intents."""
    n_agreeing: int
    """Rows that were labelled already and matched with the same label."""
    n_disagreeing: int
    decisions: tuple[str, ...]
    taken: tuple[str, ...] = ()
    """Ids of the rows whose label the file takes away."""

    @property
    def coverage(self) -> float:
        """Share of the rows that were matched, in [0, 1]."""
        return self.n_matched / self.n_rows if self.n_rows else 0.0

    @property
    def agreement(self) -> float | None:
        """Share of matched rows with an older label that have the same one; None without any."""
        n_both = self.n_agreeing + self.n_disagreeing
        return self.n_agreeing / n_both if n_both else None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self) | {"coverage": self.coverage, "agreement": self.agreement}


def label(
    interactions: Iterable[Interaction], settings: LabellingSettings
) -> tuple[list[Interaction], list[str]]:
    """Label by the settings' file first, then by its rules, and say what came of it.

    Without either the rows stay as they are. Raises NoLabelsError where they leave no row with a
    label. See `label_from_file` and `label_by_rules`.
    """
    rows, told = list(interactions), list[str]()
    taken: frozenset[str] = frozenset()
    if settings.labels:
        rows, report = label_from_file(rows, settings.labels)
        taken = frozenset(report.taken)
        told += report.decisions
    if settings.rules:
        rows, report = label_by_rules(rows, load_rules(settings.rules))
        # A rule may have given the very label that was taken away.
        rows = [replace(row, label=None) if row.id in taken else row for row in rows]
        told += report.decisions
    if told and rows and not any(row.label for row in rows):
        raise NoLabelsError(
            f"none of {len(rows):,} rows has a label: {'; '.join(told)}",
            cure=f"label rows by their id, as {rows[0].id!r}, or text, as {rows[0].text[:40]!r}",
        )
    return rows, told


def load_rules(path: str | Path) -> Rules:
    """Read rules from TOML; earlier rules win.

    ::

        [[rule]]
        intent = "refund"
        keywords = ["refund", "money back", "退款"]
        regex = ["退.{0,4}钱"]

    A keyword in Latin letters matches whole words, one with Chinese characters anywhere; case and
    width do not matter. Raises ConfigError that names the rule.
    """
    name = Path(path).name
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", where=str(path), cure="check --rules"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", where=name) from error
    rules = table.get("rule")
    if not isinstance(rules, list) or not rules or set(table) != {"rule"}:
        raise ConfigError(
            "holds no [[rule]] tables, or others beside them",
            where=name,
            cure='write [[rule]], intent = "…", keywords = ["…"]',
        )
    return Rules(tuple(_rule(rule, f"{name}: rule {n}") for n, rule in enumerate(rules, 1)), name)


def label_by_rules(
    interactions: Iterable[Interaction], rules: Rules
) -> tuple[list[Interaction], LabellingReport]:
    """Label the rows that have no label yet; older labels stay and measure the rules."""
    rows = list(interactions)
    found = [rules.intents(row.text) for row in rows]
    labelled = [
        replace(row, label=intents[0]) if intents and not row.label else row
        for row, intents in zip(rows, found, strict=True)
    ]
    firsts = [intents[0] if intents else None for intents in found]
    decisions = [f"rule for {rule.intent!r} matches no row" for rule in _unused(rules, firsts)]
    conflicts = [
        (shorten(row.text, 160), intents)
        for row, intents in zip(rows, found, strict=True)
        if len(intents) > 1
    ]
    return labelled, _report(rules.source, rows, labelled, firsts, conflicts, decisions)


def label_from_file(
    interactions: Iterable[Interaction], path: str | Path
) -> tuple[list[Interaction], LabellingReport]:
    """Label rows from a CSV or JSONL file with the columns ``label`` and ``id`` or ``text``.

    What the file says wins over older labels; ``[none]`` takes them away. Entries that fit no row
    are counted in the decisions. Raises DataError where the file has other columns or contradicts
    itself.
    """
    rows = list(interactions)
    labels = _LabelFile(Path(path))
    found = [labels.of(row) for row in rows]
    labelled = [
        replace(row, label=None if label == NO_LABEL else label) if label else row
        for row, label in zip(rows, found, strict=True)
    ]
    taken = [row.id for row, label in zip(rows, found, strict=True) if label == NO_LABEL]
    decisions = labels.decisions()
    if taken:
        decisions.append(f"{len(taken):,} rows have their label taken away ({NO_LABEL})")
    report = _report(labels.name, rows, labelled, found, [], decisions)
    return labelled, replace(report, taken=tuple(taken))


class _LabelFile:
    """A labels file in memory: which label each id or text has."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        file = LogFile(path, path.name)
        if not path.is_file():
            raise DataError("no such file", where=str(path), cure="check --labels")
        if file.suffix not in FORMATS:
            raise DataError(
                "is not a labels file", where=self.name, cure="use CSV or JSONL with id,label"
            )
        self.key_column = self.label_column = ""
        self._labels: dict[str, str] = {}
        self._used: set[str] = set()
        self._n_bad = 0
        for row in FORMATS[file.suffix](file, lambda sentence: None):
            if row.error is not None:
                raise DataError(
                    row.error.what, where=f"{self.name}:{row.line}", cure=row.error.cure
                )
            self._add(row.values, f"{self.name}:{row.line}")
        if not self._labels:
            raise DataError("holds no labels", where=self.name, cure="write id,label rows")

    def _add(self, values: Mapping[str, Any], where: str) -> None:
        if not self.label_column:
            self._choose_columns(list(values))
        try:
            key = name_value(values.get(self.key_column), self.key_column)
            label = name_value(values.get(self.label_column), self.label_column)
        except RowError as error:
            raise DataError(error.what, where=where, cure=error.cure) from error
        if key is None or label is None:
            return  # a row that nobody has labelled yet
        key = self._plain(key)
        if self._labels.setdefault(key, label) != label:
            raise DataError(
                f"{key!r} is labelled {label!r} here and {self._labels[key]!r} above",
                where=where,
                cure="keep one of them",
            )

    def _choose_columns(self, columns: Sequence[str]) -> None:
        self.label_column = usual_name("label", columns)
        self.key_column = usual_name("id", columns) or usual_name("text", columns)
        if not self.label_column or not self.key_column:
            raise DataError(
                f"needs the columns label and id or text; it has {', '.join(map(repr, columns))}",
                where=self.name,
                cure="rename its columns",
            )
        self.is_by_id = self.key_column == usual_name("id", columns)

    def _plain(self, key: str) -> str:
        return key if self.is_by_id else same_text_key(fix_unicode(key))

    def of(self, row: Interaction) -> str | None:
        """The label of a row; None where the file has none."""
        key = row.id if self.is_by_id else self._plain(row.text)
        label = self._labels.get(key)
        if label is not None:
            self._used.add(key)
        return label

    def decisions(self) -> list[str]:
        """How the file was read, and what of it fitted no row."""
        n_unused = len(self._labels) - len(self._used)
        told = [f"labels: column {self.label_column!r} by column {self.key_column!r}"]
        if n_unused:
            some = ", ".join(repr(shorten(k, 40)) for k in self._labels if k not in self._used)
            told.append(
                f"{n_unused:,} of {len(self._labels):,} labels fit no row: {shorten(some, 160)}"
            )
        return told


def _rule(table: Any, where: str) -> Rule:
    if not isinstance(table, dict):
        raise ConfigError("is not a table", where=where, cure="write [[rule]]")
    for key in table:
        if key not in _RULE_KEYS:
            near = difflib.get_close_matches(key, _RULE_KEYS, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_RULE_KEYS)}"
            raise ConfigError(f"{key!r} is not a key of a rule", where=where, cure=cure)
    intent = table.get("intent")
    if not isinstance(intent, str) or not intent.strip():
        raise ConfigError("has no intent", where=where, cure='write intent = "name"')
    keywords, regexes = (_strings(table, key, where) for key in ("keywords", "regex"))
    if not keywords and not regexes:
        raise ConfigError(
            f"for {intent!r} would match nothing", where=where, cure="give it keywords or regex"
        )
    patterns = [_keyword(keyword) for keyword in keywords]
    for regex in regexes:
        try:
            patterns.append(re.compile(regex, re.IGNORECASE))
        except re.error as error:
            raise ConfigError(
                f"regex {regex!r} is not a pattern: {error}", where=where, cure="mend it"
            ) from error
    return Rule(intent.strip(), tuple(patterns))


def _strings(table: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = table.get(key, [])
    strings = [value] if isinstance(value, str) else value
    is_list = isinstance(strings, list) and all(isinstance(s, str) and s.strip() for s in strings)
    if not is_list:
        raise ConfigError(f"{key} is not a list of strings", where=where, cure=f'{key} = ["…"]')
    return list(strings)


def _keyword(keyword: str) -> re.Pattern[str]:
    plain = fix_unicode(keyword).casefold().strip()
    escaped = r"\s+".join(map(re.escape, plain.split()))
    # Whole words, except where a script has no spaces between them.
    start = r"(?<![a-z0-9])" if plain[0].isascii() and plain[0].isalnum() else ""
    end = r"(?![a-z0-9])" if plain[-1].isascii() and plain[-1].isalnum() else ""
    return re.compile(start + escaped + end)


def _unused(rules: Rules, firsts: Sequence[str | None]) -> list[Rule]:
    used = set(firsts)
    unused = {rule.intent: rule for rule in rules.rules if rule.intent not in used}
    return list(unused.values())


def _report(
    source: str,
    before: Sequence[Interaction],
    after: Sequence[Interaction],
    found: Sequence[str | None],
    conflicts: Sequence[tuple[str, tuple[str, ...]]],
    decisions: Sequence[str],
) -> LabellingReport:
    both = [(row.label, label) for row, label in zip(before, found, strict=True) if label]
    older = [(old, new) for old, new in both if old]
    n_agreeing = sum(old == new for old, new in older)
    report = LabellingReport(
        source=source,
        n_rows=len(before),
        n_matched=len(both),
        n_labelled_before=sum(row.label is not None for row in before),
        n_labelled=sum(row.label is not None for row in after),
        counts=dict(sorted(Counter(label for _, label in both).items())),
        n_conflicts=len(conflicts),
        conflicts=tuple(conflicts[:N_EXAMPLES]),
        n_agreeing=n_agreeing,
        n_disagreeing=len(older) - n_agreeing,
        decisions=(),
    )
    return replace(report, decisions=(_summary(report), *decisions))


def _summary(report: LabellingReport) -> str:
    """Coverage, conflicts and agreement in one sentence."""
    parts = [
        f"{report.source}: labels for {report.n_matched:,} of {report.n_rows:,} rows "
        f"({report.coverage:.0%})"
    ]
    if report.n_conflicts:
        parts.append(f"{report.n_conflicts:,} matched by several intents (the first rule won)")
    if report.agreement is not None:
        n_both = report.n_agreeing + report.n_disagreeing
        parts.append(f"as labelled before in {report.agreement:.0%} of {n_both:,}")
    return ", ".join(parts)
