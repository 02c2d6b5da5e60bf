"""The report of a day as one page: what was negative, which alerts there were, how topics stand."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tailorbird.assistants.opinion.watching import report_plots, wording
from tailorbird.assistants.opinion.watching.report_words import WORDS
from tailorbird.assistants.opinion.watching.series import NEGATIVE, Key, windows_of
from tailorbird.assistants.opinion.watching.settings import DAY_S
from tailorbird.evaluation.frame import render_page
from tailorbird.evaluation.words import pair
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow, PostRow, SourceRow

TEMPLATES = Path(__file__).parent / "templates"
N_DAYS = 28
_N_ROWS = 40


def daily_report(workspace: Workspace, day: date, language: Literal["zh", "en"] = "zh") -> str:
    """The page of a *day* (UTC), in both languages, *language* first.

    It needs no other file and makes no request. A day without posts gives a page that says so.
    """
    number = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) // DAY_S
    windows = windows_of(workspace, number - N_DAYS, number + 1, window_s=DAY_S)
    counts: dict[Key, list[tuple[int, int]]] = defaultdict(lambda: [(0, 0)] * (N_DAYS + 1))
    for window, one in windows.items():
        for key, both in one.counts.items():
            counts[key][window - number + N_DAYS] = both
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    with workspace.sessions() as session:
        days = _days(session, begin)
        alerts = _alerts(session, begin, begin + timedelta(days=1))
        failing = list(
            session.scalars(
                select(SourceRow).where(SourceRow.n_failures > 0).order_by(SourceRow.name)
            )
        )
        n_copies = session.scalar(
            select(func.count()).where(PostRow.copy_of.is_not(None), *_within(begin))
        )
    stories = [_story(workspace, group) for group in alerts]
    topics = _rows({key: one for key, one in counts.items() if key.topic})
    entities = _rows({key: one for key, one in counts.items() if key.entity})
    chapters = {"alerts": True, "topics": topics, "entities": entities, "sources": failing}
    n_posts, n_negative = days[-1]
    page = render_page(
        "daily.html",
        chapters=[name for name, content in chapters.items() if content],
        words=WORDS,
        own=TEMPLATES,
        day=day.isoformat(),
        n_posts=n_posts,
        n_negative=n_negative,
        usual=_usual(days),
        share=n_negative / n_posts if n_posts else None,
        plot=report_plots.day_bars([n for _, n in days], begin),
        groups=stories,
        n_alerts=sum(len(group) for group in alerts),
        n_copies=n_copies or 0,
        topics=topics,
        entities=entities,
        sources=failing,
        clock=wording.moment,
    )
    return page.replace('<html lang="en">', f'<html lang="{language}">', 1)


def _within(begin: datetime) -> tuple[Any, ...]:
    return (PostRow.time >= begin, PostRow.time < begin + timedelta(days=1))


def _days(session: Session, begin: datetime) -> list[tuple[int, int]]:
    """(posts, negative posts) of the day and the days before, the last one last."""
    found = []
    for back in range(N_DAYS, -1, -1):
        where = (PostRow.copy_of.is_(None), PostRow.model != "")
        within = _within(begin - timedelta(days=back))
        n = session.scalar(select(func.count()).select_from(PostRow).where(*where, *within))
        n_negative = session.scalar(
            select(func.count())
            .select_from(PostRow)
            .where(*where, *within, PostRow.sentiment == NEGATIVE)
        )
        found.append((n or 0, n_negative or 0))
    return found


def _usual(days: list[tuple[int, int]]) -> float | None:
    """Negative posts of the same weekday in the four weeks before; None without any post."""
    same = [days[-1 - 7 * back] for back in range(1, 5)]
    if not any(n for n, _ in same):
        return None
    return sum(n for _, n in same) / len(same)


def _alerts(session: Session, begin: datetime, end: datetime) -> list[list[AlertRow]]:
    """Those that were open on the day, by group, the newest group first."""
    rows = session.scalars(
        select(AlertRow)
        .where(AlertRow.created < end, AlertRow.until > begin)
        .order_by(AlertRow.created)
    )
    groups: dict[str, list[AlertRow]] = defaultdict(list)
    for row in rows:
        groups[row.group or row.id].append(row)
    return sorted(groups.values(), key=lambda group: group[0].created, reverse=True)


def _story(workspace: Workspace, group: list[AlertRow]) -> dict[str, Any]:
    """An alert as the page shows it, and what belongs to it."""
    first = group[0]
    return {
        "row": first,
        "headline": _both(wording.headline, first),
        "sentence": _both(wording.sentence, first),
        "plot": report_plots.rise_bars(workspace, first),
        "texts": first.story.get("texts", []),
        "words": first.story.get("words", []),
        "named": first.story.get("entities", {}),
        "others": [_both(wording.headline, row) for row in group[1:]],
    }


def _both(say: Any, row: AlertRow) -> Markup:
    return pair(Markup.escape(say(row, "en")), Markup.escape(say(row, "zh")))


def _rows(counts: dict[Key, list[tuple[int, int]]]) -> list[dict[str, Any]]:
    """Of each series with a post on the day or a negative one before: its numbers and its bars."""
    found: list[dict[str, Any]] = []
    for key, days in counts.items():
        negatives = [n for _, n in days]
        found.append(
            {
                "name": key.topic or key.entity,
                "posts": days[-1][0],
                "negatives": negatives[-1],
                "usual": sum(negatives[:-1]) / N_DAYS,
                "bars": report_plots.small_bars(negatives),
            }
        )
    shown = [row for row in found if row["posts"] or row["usual"]]
    return sorted(shown, key=_order)[:_N_ROWS]


def _order(row: dict[str, Any]) -> tuple[int, int, str]:
    return -row["negatives"], -row["posts"], row["name"]
