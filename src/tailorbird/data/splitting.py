"""Splitting: labelled interactions → train, validation and test, with nothing on two sides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC

from tailorbird.config import SplitSettings
from tailorbird.data.allocation import allocate
from tailorbird.data.duplicates import Groups, join_near_duplicates, near_duplicates_across
from tailorbird.data.outside import is_named, labels_named, put_aside
from tailorbird.data.splits import Leak, SplitReport, Splits
from tailorbird.errors import ConfigError, DataError, NoLabelsError
from tailorbird.records import SPLITS, Example, Interaction, SplitName
from tailorbird.text import shorten

_DEFAULTS = SplitSettings()

N_EXAMPLES = 3

HOW_TO_LABEL = (
    "name the column with --label COLUMN, give labels with --labels FILE (id or text → label), "
    "or rules with --rules FILE.toml ([[rule]] tables of intent, keywords, regex)"
)


def split(interactions: Iterable[Interaction], settings: SplitSettings = _DEFAULTS) -> Splits:
    """Divide the labelled interactions; those without a label are counted and left out.

    Splits that the source gives are respected. Otherwise rows are divided by *settings.ratio*:
    at random and stratified, by user, or by time; near duplicates stay together. The same rows
    and seed give the same splits. Raises NoLabelsError where no row has a label, DataError where
    there is only one label or too few rows.

    Rows whose label *settings.out_of_scope* names are divided like all others and then put aside,
    as `Splits.outside`.
    """
    if min(settings.ratio) < 1:
        raise ConfigError(
            f"split.ratio = {settings.ratio} leaves a split empty", cure="as 7:2:1, no part 0"
        )
    everything = list(interactions)
    rows = [row for row in everything if row.label]
    if not everything:
        raise DataError("cleaning left no row", cure="its report says which step dropped them")
    if not rows:
        raise NoLabelsError(f"none of {len(everything):,} rows has a label", cure=HOW_TO_LABEL)
    given = {row.split for row in rows} - {None}
    work = _Work(rows, settings)
    if len(given) > 1:
        work.respect_given()
    else:
        work.divide()
    return work.finish(n_unlabelled=len(everything) - len(rows))


class _Work:
    """The rows on their way into the splits, and the notes taken along the way."""

    def __init__(self, rows: list[Interaction], settings: SplitSettings) -> None:
        self.rows = rows
        self.settings = settings
        self.by: str = settings.by
        self.place: list[SplitName | None] = [None] * len(rows)
        """The split of each row; None while it has none, or where it was left out."""
        self.outside = labels_named(settings.out_of_scope)
        self.dropped_labels: dict[str, int] = {}
        self.n_moved = 0
        self.moved: list[tuple[str, str]] = []
        self.leaking: set[int] = set()
        self.leaks: list[Leak] = []
        self.decisions: list[str] = []

    # -- splits given by the source

    def respect_given(self) -> None:
        """Keep the source's splits; fill in the one that is missing from train."""
        self.by = "given"
        n_without = sum(row.split is None for row in self.rows)
        self.place = [row.split or "train" for row in self.rows]
        if n_without:
            self.decisions.append(f"{n_without:,} rows name no split and went to train")
        found = Counter(self.place)
        shown = ", ".join(f"{name} {found[name]:,}" for name in SPLITS if found[name])
        self.decisions.append(f"the source gives its own splits ({shown}); they were kept")
        if not found["train"]:
            raise DataError("the source gives a test split but no rows to train on")
        for missing in ("test", "validation"):
            if not found[missing]:
                self._carve(missing)
        self._report_leaks()
        self._drop_unlearnable("occurs only outside the given train split")

    def _carve(self, missing: SplitName) -> None:
        """Give a tenth of train, stratified and near duplicates together, to *missing*."""
        numbers = [n for n, place in enumerate(self.place) if place == "train"]
        groups = self._groups(numbers)
        shares: dict[SplitName, float] = {"train": 0.9, missing: 0.1}
        self._allocate(groups, shares)
        n_carved = self.place.count(missing)
        self.decisions.append(
            f"no {missing} split is given: {n_carved:,} rows of train (10 %, stratified) became it"
        )

    def _report_leaks(self) -> None:
        if not self.settings.near_duplicate:
            return
        self._find_leaks(("test", "validation"), "train")
        self._find_leaks(("test",), "validation")
        if self.leaking:
            self.decisions.append(
                f"{len(self.leaking):,} rows of given splits nearly repeat a row of another split; "
                "given splits are never changed, so scores on them may be flattering"
            )

    def _find_leaks(self, names: Sequence[SplitName], other: SplitName) -> None:
        mine = [n for n, place in enumerate(self.place) if place in names]
        theirs = [n for n, place in enumerate(self.place) if place == other]
        texts, other_texts = ([self.rows[n].text for n in side] for side in (mine, theirs))
        for first, second in near_duplicates_across(
            texts, other_texts, self.settings.near_duplicate
        ):
            name = self.place[mine[first]]
            self.leaking.add(mine[first])
            if name and sum(leak.split == name for leak in self.leaks) < N_EXAMPLES:
                self.leaks.append(
                    Leak(name, shorten(texts[first], 160), other, shorten(other_texts[second], 160))
                )

    # -- splits of our making

    def divide(self) -> None:
        """Divide all rows by the settings."""
        self._drop_rare_labels()
        numbers = [n for n, row in enumerate(self.rows) if row.label not in self.dropped_labels]
        parts = ":".join(map(str, self.settings.ratio))
        if self.settings.by == "time":
            self._by_time(numbers)
            self.decisions.append(f"split {parts} by time: oldest rows train, newest rows test")
            return
        groups = self._groups(numbers)
        if self.settings.by == "user":
            groups = self._join_users(numbers, groups)
        shares = dict(zip(SPLITS, self.settings.ratio, strict=True))
        self._allocate(groups, {name: float(part) for name, part in shares.items()})
        how = "stratified by label"
        how += ", no user in two splits" if self.settings.by == "user" else " at random"
        self.decisions.append(f"split {parts}, {how}, seed {self.settings.seed}")
        if self.settings.by == "user":
            self._report_leaks_of_users()
        self._drop_unlearnable("has no row left for train")

    def _drop_rare_labels(self) -> None:
        least = self.settings.min_rows_per_label
        counts = Counter(row.label or "" for row in self.rows)
        self.dropped_labels = {label: n for label, n in sorted(counts.items()) if n < max(least, 1)}
        if self.dropped_labels:
            self.decisions.append(
                f"labels with fewer than {least} rows left out: {_named(self.dropped_labels)}; "
                "collect more rows, join them with another label, or lower "
                "split.min_rows_per_label"
            )

    def _groups(self, numbers: list[int]) -> list[list[int]]:
        """Rows that must stay together because they nearly repeat each other."""
        if not self.settings.near_duplicate:
            return [[number] for number in numbers]
        joined = Groups(len(numbers))
        texts = [self.rows[number].text for number in numbers]
        join_near_duplicates(texts, joined, self.settings.near_duplicate)
        groups = [[numbers[i] for i in members] for members in joined.members()]
        for group in groups:
            self.n_moved += len(group) - 1
            if len(group) > 1 and len(self.moved) < N_EXAMPLES:
                first, second = (shorten(self.rows[n].text, 160) for n in group[:2])
                self.moved.append((first, second))
        return groups

    def _join_users(self, numbers: list[int], near: list[list[int]]) -> list[list[int]]:
        """Groups by user; near duplicates join users only where that leaves groups small."""
        position = {number: i for i, number in enumerate(numbers)}
        first_of: dict[str, int] = {}
        users, both = Groups(len(numbers)), Groups(len(numbers))
        for i, number in enumerate(numbers):
            user = self.rows[number].user
            if user is not None:
                other = first_of.setdefault(user, i)
                users.join(other, i)
                both.join(other, i)
        if len(first_of) < len(SPLITS):
            raise DataError(
                f"rows of {len(first_of)} users cannot be split by user into three parts",
                cure="name the column with --user COLUMN, or split at random",
            )
        n_alone = sum(self.rows[number].user is None for number in numbers)
        if n_alone:
            self.decisions.append(f"{n_alone:,} rows name no user; each counts as its own")
        for group in near:
            for number in group[1:]:
                both.join(position[group[0]], position[number])
        largest = max(len(group) for group in both.members())
        # A phrase that everybody uses would tie all users into one group that fits no split.
        if largest > len(numbers) * min(self.settings.ratio) / sum(self.settings.ratio):
            self.n_moved, self.moved = 0, []
            both = users
        return [[numbers[i] for i in members] for members in both.members()]

    def _allocate(self, groups: list[list[int]], shares: dict[SplitName, float]) -> None:
        labels = [[self.rows[n].label or "" for n in group] for group in groups]
        order = random.Random(self.settings.seed)
        for group, name in zip(groups, allocate(labels, shares, order), strict=True):
            for number in group:
                self.place[number] = name

    def _report_leaks_of_users(self) -> None:
        if self.settings.near_duplicate and not self.n_moved:
            self._find_leaks(("test", "validation"), "train")
        if self.leaking:
            self.decisions.append(
                f"{len(self.leaking):,} rows nearly repeat another user's row in another split; "
                "they stay, since users are kept whole"
            )

    def _by_time(self, numbers: list[int]) -> None:
        timed = [n for n in numbers if self.rows[n].time is not None]
        if not timed:
            raise DataError(
                "no row has a time to split by",
                cure="name the column with --time COLUMN, or split at random",
            )
        if len(timed) < len(numbers):
            n_without = len(numbers) - len(timed)
            self.decisions.append(f"{n_without:,} rows have no time and went to train")
            for number in numbers:
                self.place[number] = "train"
        timed.sort(key=lambda n: (self.rows[n].time, n))
        train, validation, test = self.settings.ratio
        total = train + validation + test
        first_cut = round(len(timed) * train / total)
        second_cut = round(len(timed) * (train + validation) / total)
        for i, number in enumerate(timed):
            name: SplitName = (
                "train" if i < first_cut else "validation" if i < second_cut else "test"
            )
            self.place[number] = name
        self._leave_out_later_copies(timed)
        self._drop_unlearnable("first occurs after the time of train")

    def _leave_out_later_copies(self, timed: list[int]) -> None:
        """By time no row can change sides, so the later of two near duplicates is left out."""
        if not self.settings.near_duplicate:
            return
        groups = self._groups(timed)
        self.n_moved, self.moved = 0, []
        for group in groups:
            for number in group[1:]:
                if self.place[number] != self.place[group[0]]:
                    self.place[number] = None
                    self.n_moved += 1
                    if len(self.moved) < N_EXAMPLES:
                        pair = (self.rows[group[0]].text, self.rows[number].text)
                        self.moved.append((shorten(pair[0], 160), shorten(pair[1], 160)))
        if self.n_moved:
            self.decisions.append(
                f"{self.n_moved:,} later rows left out: they nearly repeat an earlier split"
            )

    # -- for all ways

    def _drop_unlearnable(self, why: str) -> None:
        """Leave out labels without a training row: a model could never predict them."""
        placed = [
            (row.label or "", place)
            for row, place in zip(self.rows, self.place, strict=True)
            if place
        ]
        learnable = {label for label, place in placed if place == "train"}
        lost = Counter(
            label
            for label, _ in placed
            if label not in learnable and not is_named(label, self.outside)
        )
        for label, n in sorted(lost.items()):
            self.dropped_labels[label] = n
            self.decisions.append(
                f"label {label!r} left out ({n} rows): it {why}; add training rows for it"
            )
        for number, row in enumerate(self.rows):
            if row.label in lost:
                self.place[number] = None

    def finish(self, *, n_unlabelled: int) -> Splits:
        """The splits as records, after a check that there is something to learn and to test."""
        parts, outside, told = put_aside({n: self._examples(n) for n in SPLITS}, self.outside)
        self.decisions += told
        labels = tuple(sorted({example.label for example in parts["train"]}))
        if len(labels) < 2:
            left = f"only the label {labels[0]!r} is left" if labels else "no label is left"
            lost = (
                f" (left out, with their rows: {_named(self.dropped_labels)})"
                if self.dropped_labels
                else ""
            )
            raise DataError(
                f"{left}; a classifier needs two{lost}",
                cure="label more rows, lower split.min_rows_per_label, or check --label",
            )
        empty = [name for name in SPLITS if not parts[name]]
        if empty:
            raise DataError(
                f"{len(self.rows)} labelled rows are too few: the {empty[0]} split is empty",
                cure="collect more rows (ten a label is a beginning)",
            )
        if n_unlabelled:
            self.decisions.append(f"{n_unlabelled:,} rows have no label and are in no split")
        sizes = ", ".join(f"{name} {len(parts[name]):,}" for name in SPLITS)
        self.decisions.append(f"rows: {sizes}; labels: {len(labels):,}")
        counts = {name: Counter(example.label for example in parts[name]) for name in SPLITS}
        report = SplitReport(
            by=self.by,
            n_rows={name: len(parts[name]) for name in SPLITS},
            counts={name: {label: counts[name][label] for label in labels} for name in SPLITS},
            n_unlabelled=n_unlabelled,
            dropped_labels=self.dropped_labels,
            n_moved=self.n_moved,
            moved=tuple(self.moved),
            n_leaks=len(self.leaking),
            leaks=tuple(self.leaks),
            decisions=tuple(self.decisions),
            seed=self.settings.seed,
            n_outside={name: len(rows) for name, rows in outside.items()},
        )
        return Splits(
            parts["train"], parts["validation"], parts["test"], labels, report, outside=outside
        )

    def _examples(self, name: SplitName) -> tuple[Example, ...]:
        return tuple(
            Example(
                row.text,
                row.label or "",
                row.id,
                row.user,
                time=row.time.astimezone(UTC).isoformat() if row.time else "",
            )
            for row, place in zip(self.rows, self.place, strict=True)
            if place == name
        )


def _named(labels: Mapping[str, int]) -> str:
    """Labels with their rows, the first twenty of them."""
    some = ", ".join(f"{label!r} ({n})" for label, n in list(labels.items())[:20])
    return f"{some} and {len(labels) - 20} more" if len(labels) > 20 else some
