"""Series for `benchmarks.surges`: dated headlines by topic, surges put into them, quiet months."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HOUR_S = 3600
SURGE_WINDOWS = 12
"""How long an injected surge lasts, in hours."""

CHINESE = {
    "zh earnings": "净利|业绩|预增|预亏|预减|营收|年报|季报|亏损|盈利",
    "zh shareholders": "减持|增持|股东|质押|持股|举牌|回购|实控人|解禁",
    "zh regulator": "证监会|处罚|立案|调查|问询|违规|警示|起诉|诉讼|ST|监管|冻结",
    "zh deals": "收购|重组|并购|定增|募资|募投|停牌|复牌|设立|投资",
    "zh orders": "中标|合同|订单|签|合作|项目",
}
ENGLISH = {
    "en banks": r"\bbank|barclays|hsbc|lloyds|\brbs\b|interest rate|mortgage",
    "en shops": r"retail|shop|store|tesco|sainsbury|high street|supermarket|\bm&s\b|debenhams",
    "en jobs": r"\bjobs?\b|worker|union|strike|wage|\bpay\b|unemploy|staff",
    "en trade": r"trade|tariff|china|brexit|\bdeal\b|trump",
    "en energy": r"\boil\b|energy|\bgas\b|\bbp\b|shell|coal|climate|electric",
    "en travel": r"airline|flight|\bair|ryanair|easyjet|boeing|rail|train|heathrow",
}
NEGATIVE = re.compile(
    r"\b(?:fall|falls|fell|fallen|loss|losses|lose|lost|cut|cuts|cutting|slump|slumps|crash|"
    r"crisis|fears?|warns?|warning|drop|drops|plunge|plunges|fine|fined|scandal|fraud|collapse|"
    r"collapses|risk|threat|threatens|slowdown|recession|debt|fail|fails|failed|failure|shut|"
    r"closes|closure|axe|axed|hit|hits|worst|weak|slide|slides|tumble|tumbles|decline|probe|"
    r"lawsuit|sues|ban|banned|protest|anger|attack|dead|deaths?|bankruptcy|administration)\b",
    re.IGNORECASE,
)
"""English headlines have no labels; a word list stands for the model, the same for everybody."""

Counts = NDArray[np.float64]
"""(S, T) by series and window."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Series over common windows of an hour."""

    names: list[str]
    first: int
    """Number of the first window."""
    negatives: Counts
    others: Counts

    @property
    def totals(self) -> Counts:
        """(T,) posts, those of two topics twice."""
        return np.asarray((self.negatives + self.others).sum(axis=0))


@dataclass(frozen=True, slots=True)
class Surge:
    """What was put into a stream."""

    series: int
    start: int
    """Index of its first window in the stream."""
    size: float


def read_streams(data: Path, rng: np.random.Generator) -> list[Stream]:
    """The Chinese and the English headlines, each with the hour of its day drawn by CNBC's."""
    timed = data / "finance_headlines_timed"
    hours = _hours(timed / "cnbc_headlines.csv.gz")
    chinese = list(_chinese(data / "zh_company_news_dated" / "news_seed_without_test.csv.gz"))
    english = list(_english(timed / "guardian_headlines.csv.gz"))
    return [
        _stream(chinese, CHINESE, datetime(2017, 1, 1, tzinfo=UTC), (hours, rng)),
        _stream(english, ENGLISH, datetime(2017, 12, 18, tzinfo=UTC), (hours, rng)),
    ]


def guardian_titles(folder: Path) -> list[str]:
    """The English headlines, by their days, from the folder ``finance_headlines_timed``."""
    return [title for _, title, _ in _english(folder / "guardian_headlines.csv.gz")]


def _chinese(path: Path) -> Iterator[tuple[datetime, str, bool]]:
    for row in _rows(path):
        found = re.match(r"(\d+)年(\d+)月(\d+)日", row["日期"])
        if found:
            day = datetime(*(int(part) for part in found.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]
            yield day, row["标题"], row["正负面"] == "0"


def _english(path: Path) -> Iterator[tuple[datetime, str, bool]]:
    for row in _rows(path):
        try:
            day = datetime.strptime(row["Time"].strip(), "%d %B %Y").replace(tzinfo=UTC)
        except ValueError:
            continue
        yield day, row["Headlines"], bool(NEGATIVE.search(row["Headlines"]))


def _hours(path: Path) -> Counts:
    """(24,) share of CNBC's headlines by the hour of its day."""
    found: Counter[int] = Counter()
    for row in _rows(path):
        if at := re.search(r"(\d+):\d+\s+([AP])M", row["Time"] or ""):
            found[int(at[1]) % 12 + 12 * (at[2] == "P")] += 1
    shares = np.array([found[hour] + 1.0 for hour in range(24)])
    return np.asarray(shares / shares.sum())


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _stream(
    headlines: list[tuple[datetime, str, bool]],
    topics: dict[str, str],
    since: datetime,
    drawn: tuple[Counts, np.random.Generator],
) -> Stream:
    """Counts by topic and hour from *since* to the last headline."""
    hours, rng = drawn
    inside = [one for one in headlines if one[0] >= since]
    n_days = (max(day for day, _, _ in inside) - since).days + 1
    patterns = [re.compile(pattern, re.IGNORECASE) for pattern in topics.values()]
    counts = np.zeros((2, len(topics), n_days * 24))
    at = rng.choice(24, size=len(inside), p=hours)
    for (day, title, is_negative), hour in zip(inside, at.tolist(), strict=True):
        for k, pattern in enumerate(patterns):
            if pattern.search(title):
                counts[int(not is_negative), k, (day - since).days * 24 + hour] += 1
    return Stream(list(topics), int(since.timestamp()) // HOUR_S, counts[0], counts[1])


def inject(stream: Stream, surges: list[Surge], rng: np.random.Generator) -> Stream:
    """The stream with surges: in each of 12 hours Poisson(size × (m + 0.5)) more negative posts.

    m is the mean of negative posts an hour of the series; other posts stay as they are.
    """
    negatives = stream.negatives.copy()
    for one in surges:
        usual = stream.negatives[one.series].mean()
        more = rng.poisson(one.size * (usual + 0.5), SURGE_WINDOWS)
        negatives[one.series, one.start : one.start + SURGE_WINDOWS] += more
    return Stream(stream.names, stream.first, negatives, stream.others)


def redrawn(stream: Stream, n_days: int, rng: np.random.Generator) -> Stream:
    """*n_days* of a stream's own days, each drawn among those of its weekday; all series alike.

    Within a day all is as it was, also what happened; from day to day nothing goes on.
    """
    days = np.arange(stream.negatives.shape[1] // 24)
    same = [days[days % 7 == weekday] for weekday in range(7)]
    drawn = np.array([rng.choice(same[day % 7]) for day in range(n_days)])
    columns = (drawn[:, None] * 24 + np.arange(24)).ravel()
    return Stream(
        stream.names, stream.first, stream.negatives[:, columns], stream.others[:, columns]
    )


def quiet_stream(n_days: int, rng: np.random.Generator, *, n_series: int = 12) -> Stream:
    """Quiet series of many kinds: nothing ever happens, but much varies.

    Means from 0.05 to 10 negative posts an hour; a third to ten times as many others; days and
    hours by random factors; a volume that moves all posts of a series alike, wandering with a
    half-life of a day; and gamma noise of its own on each window. None of this is the model that
    is fitted: the volume is log-normal and goes on from window to window.
    """
    n = n_days * 24
    negatives, others = np.zeros((n_series, n)), np.zeros((n_series, n))
    hour = np.arange(n) % 24
    day = np.arange(n) // 24 % 7
    for k, mean in enumerate(np.geomspace(0.05, 10.0, n_series)):
        swing = rng.uniform(0.2, 1.0)
        by_hour = 1 + swing * np.cos(2 * np.pi * (hour - rng.uniform(0, 24)) / 24)
        by_day = rng.uniform(0.5, 1.2, 7)[day]
        season = by_hour * by_day / (by_hour * by_day).mean()
        volume = np.exp(_wander(n, rng, half_life=24.0) * rng.uniform(0.0, 0.4))
        own = rng.choice([2.0, 5.0, 20.0])
        usual = mean * season * volume
        negatives[k] = rng.poisson(usual * rng.gamma(own, 1 / own, n))
        others[k] = rng.poisson(usual * np.exp(rng.uniform(np.log(0.3), np.log(10.0))))
    return Stream([f"quiet {k}" for k in range(n_series)], 4 * 24, negatives, others)


def _wander(n: int, rng: np.random.Generator, *, half_life: float) -> Counts:
    """(n,) standard normal, each near to the one before."""
    keep = 0.5 ** (1 / half_life)
    steps = rng.normal(size=n) * np.sqrt(1 - keep**2)
    found = np.empty(n)
    value = rng.normal()
    for t in range(n):
        value = keep * value + steps[t]
        found[t] = value
    return found
