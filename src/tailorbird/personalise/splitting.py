"""Each user's rows in time: earlier ones train, later ones validate, the latest test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tailorbird.config import PersonaliseSettings
from tailorbird.errors import ConfigError, DataError
from tailorbird.records import Example


@dataclass(frozen=True, slots=True)
class UserRows:
    """The rows of one user, as numbers of the pool, each part from old to new."""

    user: str
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    n_left_out: int = 0
    """Older rows than the newest that are used."""

    @property
    def known(self) -> tuple[int, ...]:
        """What came before the test: rows that a served user would be fitted to."""
        return self.train + self.validation

    @property
    def n_rows(self) -> int:
        """All that are used."""
        return len(self.train) + len(self.validation) + len(self.test)


def divide_by_user(
    examples: Sequence[Example],
    settings: PersonaliseSettings,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> list[UserRows]:
    """The rows of every user, divided along time, users in the order of their names.

    Rows without a user are nobody's. Rows of one time, or without any, keep their order in the
    source. A single row trains; of two, the later validates; of three and more, each part has one.
    Raises DataError where no row has a user.

    >>> rows = [Example(t, user="a", time=t) for t in ("2024", "2021", "2023", "2022", "2025")]
    >>> divide_by_user(rows, PersonaliseSettings())
    [UserRows(user='a', train=(1, 3), validation=(2, 0), test=(4,), n_left_out=0)]
    """
    if min(settings.ratio) < 1:
        raise ConfigError(
            f"personalise.ratio = {settings.ratio} leaves a part empty", cure="as 6:2:2, no part 0"
        )
    of_user: defaultdict[str, list[int]] = defaultdict(list)
    n_timeless = 0
    for row, example in enumerate(examples):
        if example.user:
            of_user[example.user].append(row)
            n_timeless += not example.time
    if not of_user:
        raise DataError(
            f"none of {len(examples):,} rows says whose it is",
            cure="name the column with --user COLUMN",
        )
    if n_timeless:
        say(f"time: {n_timeless:,} rows have none; they keep their order in the source")
    divided = []
    for user in sorted(of_user):
        in_time = sorted(of_user[user], key=lambda row: examples[row].time)
        newest = in_time[-settings.max_rows :]
        n_left_out = len(in_time) - len(newest)
        divided.append(_divided(user, newest, settings.ratio, n_left_out))
    n_long = sum(one.n_left_out > 0 for one in divided)
    if n_long:
        say(
            f"{n_long:,} users have more than {settings.max_rows:,} rows; their newest are used "
            "(personalise.max_rows)"
        )
    n_rows = sum(one.n_rows for one in divided)
    say(f"users: {len(divided):,} with {n_rows:,} rows, each divided along time")
    return divided


def _divided(
    user: str, rows: Sequence[int], ratio: tuple[int, int, int], n_left_out: int
) -> UserRows:
    n_rows, whole = len(rows), sum(ratio)
    n_test = max(1, round(n_rows * ratio[2] / whole)) if n_rows > 2 else 0
    n_validation = max(1, round(n_rows * ratio[1] / whole)) if n_rows > 1 else 0
    n_train = n_rows - n_validation - n_test
    return UserRows(
        user,
        tuple(rows[:n_train]),
        tuple(rows[n_train : n_train + n_validation]),
        tuple(rows[n_train + n_validation :]),
        n_left_out,
    )
