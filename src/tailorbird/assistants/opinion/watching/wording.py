"""What an alert says to people, in Chinese and English."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tailorbird.assistants.opinion.watching.alerts import Alert
from tailorbird.store.tables import AlertRow

LEVEL_WORDS = {
    "notice": ("Notice", "关注"),
    "warning": ("Warning", "预警"),
    "critical": ("Critical", "严重"),
}


def subject_of(alert: AlertRow | Alert, language: str) -> str:
    """What rose: the topic, the entity, or both."""
    names = [name for name in (alert.topic, alert.entity) if name]
    return (" · " if language == "en" else "·").join(names)


def headline(alert: AlertRow | Alert, language: str) -> str:
    """One line: how bad, what, how many times the usual."""
    english, chinese = LEVEL_WORDS[alert.level]
    subject, ratio = subject_of(alert, language), alert.story["ratio"]
    if language == "zh":
        return f"{chinese}：“{subject}”负面信息升至平时的 {times(ratio)} 倍"
    return f"{english}: negative posts on {subject} at {times(ratio)} times the usual"


def sentence(alert: AlertRow | Alert, language: str) -> str:
    """What rose, since when, against what."""
    story = alert.story
    since, until = moment(alert.since), moment(alert.until)
    observed, expected = story["observed"], f"{story['expected']:.1f}"
    if language == "zh":
        end = {
            "": "，仍在持续",
            "down": "，现已回落",
            "level": "，此后按新的常态计",
        }[story["end"]]
        return (
            f"{since} 至 {until}（UTC）共有 {observed} 条负面信息，"
            f"按此时段与同期总量平时约 {expected} 条{end}。"
        )
    end = {
        "": "; it goes on",
        "down": "; it has come down again",
        "level": "; from now on this counts as usual",
    }[story["end"]]
    return (
        f"{observed} negative posts from {since} to {until} UTC, where about {expected} are usual "
        f"at these hours and this volume{end}."
    )


def message(alerts: list[AlertRow], language: str) -> tuple[str, str]:
    """Title and body of what is sent: the first alert, its texts, and what belongs to it."""
    first = alerts[0]
    lines = [sentence(first, language), ""]
    lines += [
        f"· {text['title']}" + (f" {text['url']}" if text["url"] else "")
        for text in first.story.get("texts", [])
    ]
    if words := first.story.get("words"):
        label = "关键词：" if language == "zh" else "Key words: "
        lines += ["", label + ("、" if language == "zh" else ", ").join(words)]
    for other in alerts[1:]:
        label = "相关：" if language == "zh" else "Together with: "
        lines += ["", label + headline(other, language)]
    return headline(first, language), "\n".join(lines)


def times(ratio: float) -> str:
    """A ratio as a person says it.

    >>> times(2.34), times(37.2), times(1200.0)
    ('2.3', '37', '100+')
    """
    if ratio > 100:
        return "100+"
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def moment(time: datetime) -> str:
    """To the minute."""
    return time.strftime("%Y-%m-%d %H:%M")


def language_of_alert(alert: AlertRow | Alert) -> str:
    """That of its texts: what is watched is written in it."""
    from tailorbird.text import language_of

    texts: list[dict[str, Any]] = alert.story.get("texts", [])
    return language_of(" ".join([alert.topic, alert.entity, *(one["title"] for one in texts)]))
