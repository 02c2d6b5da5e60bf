"""Cleaning: interactions as logged → interactions to learn from, with an account of each step."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

from tailorbird.config import CleaningSettings
from tailorbird.data.duplicates import NearDuplicateIndex, same_text_key
from tailorbird.data.normalizing import (
    fix_unicode,
    fix_whitespace,
    strip_boilerplate,
    strip_markup,
)
from tailorbird.data.pii import mask_pii, obscure_pii
from tailorbird.records import Interaction, Message
from tailorbird.text import shorten

_DEFAULTS = CleaningSettings()

N_EXAMPLES = 3
_SHOWN_CHARS = 160
_JOINED = re.compile(r"\s*[,;|/+、，；]\s*")
_COLUMNS = ("label", "user", "time", "reply", "feedback")


@dataclass(frozen=True, slots=True)
class CleaningStep:
    """What one step did to how many rows."""

    name: str
    n_dropped: int
    n_changed: int
    examples: tuple[tuple[str, str], ...]
    """Before and after of up to three rows, never with personal data in it."""

    def sentence(self) -> str:
        """What the step did, with its first example.

        >>> CleaningStep("whitespace", 0, 2, (("two  words", "two words"),)).sentence()
        "whitespace: 2 rows changed, as 'two  words' → 'two words'"
        """
        counts = ((self.n_dropped, "dropped"), (self.n_changed, "changed"))
        done = [f"{n:,} {'row' if n == 1 else 'rows'} {what}" for n, what in counts if n]
        shown = [repr(_short(text)) for example in self.examples[:1] for text in example if text]
        return f"{self.name}: {', '.join(done)}" + (f", as {' → '.join(shown)}" if shown else "")


@dataclass(frozen=True, slots=True)
class CleaningReport:
    """What cleaning did: ``n_in - n_out`` rows were dropped, each by one of the steps."""

    n_in: int
    n_out: int
    steps: tuple[CleaningStep, ...]
    missing: dict[str, int]
    """Rows in which a column is empty, by column."""
    n_conflicts: int
    """Texts that were logged with more than one label."""
    conflicts: tuple[tuple[str, tuple[str, ...]], ...]
    """Examples of such texts, with their labels."""
    decisions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The cleaned interactions, in their order, and how they became so."""

    interactions: list[Interaction]
    report: CleaningReport


def clean(interactions: Iterable[Interaction], settings: CleaningSettings = _DEFAULTS) -> Cleaned:
    """Normalise, mask and de-duplicate.

    Rows that the source itself put into a validation or test split are normalised and masked like
    all others, since the assistant will see its input so, but none of them is ever dropped.

    >>> row = Interaction(id="1", text="  &lt;3 thx, mail me: a.b@example.com")
    >>> clean([row]).interactions[0].text
    '<3 thx, mail me: [EMAIL]'
    """
    work = _Work(settings)
    rows = [work.normalized(row) for row in interactions]
    n_in = len(rows)
    rows = work.without_short(rows)
    if settings.drop_duplicates:
        rows = work.without_exact_duplicates(rows)
    if settings.near_duplicate:
        rows = work.without_near_duplicates(rows)
    work.decide(rows)
    return Cleaned(rows, work.report(n_in, len(rows)))


@dataclass(slots=True)
class _Tally:
    """A step while it is under way."""

    n_dropped: int = 0
    n_changed: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)

    def show(self, before: str, after: str) -> None:
        if len(self.examples) < N_EXAMPLES:
            example = _excerpt(obscure_pii(before), obscure_pii(after))
            if example not in self.examples:
                self.examples.append(example)


class _Work:
    """The steps of one cleaning, each with its tally."""

    def __init__(self, settings: CleaningSettings) -> None:
        self.settings = settings
        chosen: dict[str, tuple[bool, Callable[[str], str]]] = {
            "markup": (settings.strip_markup, strip_markup),
            "unicode": (settings.normalize_width, fix_unicode),
            "boilerplate": (settings.strip_markup, strip_boilerplate),
            "whitespace": (True, fix_whitespace),
            "personal data": (settings.mask_pii, mask_pii),
        }
        # The turns of a conversation repeat their history, so a little memory saves most work.
        self.text_steps = {
            name: lru_cache(maxsize=1024)(step) for name, (is_on, step) in chosen.items() if is_on
        }
        self.tallies = {name: _Tally() for name in self.text_steps}
        self.missing = dict.fromkeys(_COLUMNS, 0)
        self.n_conflicts = 0
        self.conflicts: list[tuple[str, tuple[str, ...]]] = []
        self.decisions: list[str] = []
        self.n_kept_given = 0

    # -- steps on one row

    def normalized(self, row: Interaction) -> Interaction:
        """The row after all steps that change texts."""
        for column in _COLUMNS:
            self.missing[column] += getattr(row, column) is None
        before = [row.text, row.reply or "", *(turn.content for turn in row.history)]
        after = before
        user = self._user(row.user)
        for name, step in self.text_steps.items():
            changed = [step(text) for text in after]
            if changed != after:
                self._show(name, after, changed)
            if changed != after or (name == "personal data" and user != row.user):
                self.tallies[name].n_changed += 1
            after = changed
        label = row.label and fix_whitespace(fix_unicode(row.label))
        if after == before and user == row.user and label == row.label:
            return row
        history = tuple(
            Message(turn.role, text) for turn, text in zip(row.history, after[2:], strict=True)
        )
        reply = after[1] or None if row.reply is not None else None
        return replace(row, text=after[0], reply=reply, history=history, user=user, label=label)

    def _show(self, name: str, before: Sequence[str], after: Sequence[str]) -> None:
        tally = self.tallies[name]
        if len(tally.examples) == N_EXAMPLES:
            return
        for old, new in zip(before, after, strict=True):
            if old != new and (name == "personal data" or _is_showable(old)):
                tally.show(old, new)
                return

    def _user(self, user: str | None) -> str | None:
        """A user known by phone or e-mail gets a name that only tells users apart."""
        if user is None or not self.settings.mask_pii or mask_pii(user) == user:
            return user
        return f"user-{sha256(user.encode()).hexdigest()[:12]}"

    # -- steps on all rows

    def without_short(self, rows: list[Interaction]) -> list[Interaction]:
        """Cut texts that are too long, drop those that are empty or too short."""
        tally = self.tallies["length"] = _Tally()
        longest = self.settings.max_chars
        kept: list[Interaction] = []
        for row in rows:
            if len(row.text) > longest:
                tally.n_changed += 1
                tally.show(f"{row.text[:60]} … ({len(row.text):,} characters)", row.text[:60])
                row = replace(row, text=row.text[:longest].rstrip())
            if len(row.text) >= max(self.settings.min_chars, 1):
                kept.append(row)
            elif _is_given(row):
                self.n_kept_given += 1
                kept.append(row)
            else:
                tally.n_dropped += 1
                tally.show(row.text or f"(empty: {row.source or row.id})", "")
        return kept

    def without_exact_duplicates(self, rows: list[Interaction]) -> list[Interaction]:
        """Keep one row of each text; where its labels contradict, the one most rows agree on."""
        tally = self.tallies["duplicates"] = _Tally()
        groups: dict[str, list[int]] = {}
        n_given: Counter[str] = Counter()
        for number, row in enumerate(rows):
            key = same_text_key(row.text)
            if _is_given(row):
                self.n_kept_given += bool(key) and n_given[key] > 0
                n_given[key] += 1
            else:
                groups.setdefault(key, []).append(number)
        dropped: set[int] = set()
        for numbers in groups.values():
            if len(numbers) == 1:
                continue
            kept = self._kept_of([(number, rows[number]) for number in numbers])
            for number in numbers:
                if number not in kept:
                    dropped.add(number)
                    tally.show(rows[number].text, f"(as {rows[min(kept)].id})")
        tally.n_dropped = len(dropped)
        return [row for number, row in enumerate(rows) if number not in dropped]

    def _kept_of(self, same: list[tuple[int, Interaction]]) -> set[int]:
        """The row to keep of several with one text: one for each label that none outvotes."""
        votes = Counter(row.label for _, row in same if row.label)
        most = max(votes.values(), default=0)
        winners: list[str | None] = [label for label, n in votes.items() if n == most]
        if len(votes) > 1:
            self.n_conflicts += 1
            if len(self.conflicts) < N_EXAMPLES:
                text = shorten(obscure_pii(same[0][1].text), _SHOWN_CHARS)
                self.conflicts.append((text, tuple(sorted(filter(None, votes)))))
        return {
            max((pair for pair in same if pair[1].label == label), key=_worth)[0]
            for label in winners or [None]
        }

    def without_near_duplicates(self, rows: list[Interaction]) -> list[Interaction]:
        """Keep the most telling row of those with one label that say nearly the same."""
        tally = self.tallies["near duplicates"] = _Tally()
        indexes: dict[str | None, NearDuplicateIndex] = {}
        dropped: set[int] = set()
        for number, row in sorted(enumerate(rows), key=_worth, reverse=True):
            if _is_given(row):
                continue
            index = indexes.get(row.label)
            if index is None:
                index = indexes[row.label] = NearDuplicateIndex(self.settings.near_duplicate)
            kept = next(index.similar(row.text), None)
            if kept is None:
                index.add(number, row.text)
            else:
                dropped.add(number)
                tally.show(row.text, f"(near {rows[kept].text})")
        tally.n_dropped = len(dropped)
        return [row for number, row in enumerate(rows) if number not in dropped]

    # -- the account

    def decide(self, rows: Sequence[Interaction]) -> None:
        """Say what a person should know about the rows that are left."""
        if self.n_conflicts:
            self.decisions.append(
                f"{self.n_conflicts:,} texts carry different labels; the label of most rows was "
                "kept, and where none leads, one row of each: look at them and label them again"
            )
        n_given = sum(map(_is_given, rows))
        if n_given:
            self.decisions.append(
                f"{n_given:,} rows of given validation and test splits: none dropped "
                f"({self.n_kept_given:,} are empty or repeat another)"
            )
        labels = {row.label for row in rows if row.label}
        mixed = sorted(label for label in labels if {label} != set(_JOINED.split(label)) <= labels)
        if mixed:
            some = ", ".join(map(repr, mixed[:N_EXAMPLES]))
            self.decisions.append(
                f"{len(mixed):,} labels join others ({some}); a row has one label, so each is "
                "learned as one of its own: keep the foremost label of such rows"
            )
        spellings: dict[str, set[str]] = {}
        for row in rows:
            if row.label:
                spellings.setdefault(row.label.casefold(), set()).add(row.label)
        for names in spellings.values():
            if len(names) > 1:
                same = " and ".join(map(repr, sorted(names)))
                self.decisions.append(f"labels {same} differ only in case; are they one?")

    def report(self, n_in: int, n_out: int) -> CleaningReport:
        """All tallies as a record."""
        steps = tuple(
            CleaningStep(name, tally.n_dropped, tally.n_changed, tuple(tally.examples))
            for name, tally in self.tallies.items()
        )
        told = [step.sentence() for step in steps if step.n_dropped or step.n_changed]
        if some := [f"{name} in {n:,}" for name, n in self.missing.items() if 0 < n < n_in]:
            told.append(f"missing values: {', '.join(some)} of {n_in:,} rows")
        if n_out < n_in:
            told.append(f"kept: {n_out:,} of {n_in:,} rows")
        return CleaningReport(
            n_in,
            n_out,
            steps,
            self.missing,
            self.n_conflicts,
            tuple(self.conflicts),
            (*told, *self.decisions),
        )


def _is_given(row: Interaction) -> bool:
    """Whether the source itself keeps this row for validation or test."""
    return row.split in ("validation", "test")


def _is_showable(text: str) -> bool:
    """Whether a text can stand in a report: no personal data, hidden by markup or width either."""
    bare = fix_unicode(strip_markup(text))
    return mask_pii(bare) == bare


def _excerpt(before: str, after: str) -> tuple[str, str]:
    """The part of both texts around their first difference, with what is invisible escaped.

    >>> _excerpt("two  words\\n", "two words")
    ('two  words⏎', 'two words')
    """
    pairs = enumerate(zip(before, after, strict=False))
    same = next((i for i, (one, two) in pairs if one != two), min(len(before), len(after)))
    start = max(0, same - _SHOWN_CHARS // 3) if len(before) > _SHOWN_CHARS else 0
    return _visible(before, start), _visible(after, start)


def _short(text: str, width: int = 60) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _visible(text: str, start: int) -> str:
    part = text[start : start + _SHOWN_CHARS].replace("\n", "⏎")
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in part)
    return f"{'…' if start else ''}{shown}{'…' if len(text) > start + _SHOWN_CHARS else ''}"


def _worth(pair: tuple[int, Interaction]) -> tuple[Any, ...]:
    """How much a row tells: labelled, liked, answered, known; the earlier of equals."""
    number, row = pair
    return (
        row.label is not None,
        row.feedback or 0.0,
        row.reply is not None,
        row.user is not None,
        row.time is not None,
        len(row.history),
        -number,
    )
