"""What the watch is told: how large a window is, and how many false alarms are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tailorbird.assistant_settings import OpinionSettings
from tailorbird.errors import ConfigError

DAY_S = 86_400
MONTH_DAYS = 30


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How surges of negative news are looked for.

    >>> WatchSettings(false_alarms_per_topic_month=2.0).threshold
    360.0
    """

    window_s: int = 3600
    """Posts are counted by windows of this length: a part of a day, at least a minute."""
    false_alarms_per_topic_month: float = 1.0
    """Expected alerts without a cause, of each topic (or entity) in 30 days, at most."""
    min_posts: int = 3
    """Negative posts of a rise below which nobody is told."""
    history_days: int = 91
    """What is usual is learned from so many days; half of the weight lies on the last 30."""
    warm_up_days: int = 7
    """A series that is younger raises no alert: its weekdays have not been seen."""
    settle_s: int = 300
    """A window is judged so long after its end, for posts that are a little late."""
    longest_days: int = 7
    """A rise that lasts longer has become what is usual."""
    n_texts: int = 5
    """Texts that explain an alert."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """Name → apprise URL, which may hold secrets: only the name is kept with an alert."""

    def __post_init__(self) -> None:
        """Raise ConfigError for what cannot be kept."""
        if not 60 <= self.window_s <= DAY_S or DAY_S % self.window_s:
            raise ConfigError(
                f"window_s {self.window_s} is no part of a day",
                cure="choose one that divides 86400, as 900, 3600 or 86400",
            )
        if not 0 < self.false_alarms_per_topic_month <= MONTH_DAYS:
            raise ConfigError(
                f"false_alarms_per_topic_month {self.false_alarms_per_topic_month} is not in "
                f"(0, {MONTH_DAYS}]",
                cure="1.0 is one a month for each topic",
            )
        if min(self.min_posts, self.warm_up_days, self.longest_days, self.n_texts) < 1:
            raise ConfigError("min_posts, warm_up_days, longest_days and n_texts are at least 1")
        if self.history_days < 2 * self.warm_up_days or self.history_days % 7:
            raise ConfigError(
                f"history_days {self.history_days} is not whole weeks, twice the warm-up or more",
                cure="91 is a quarter",
            )

    @classmethod
    def of(cls, settings: OpinionSettings) -> WatchSettings:
        """What the section ``[opinion]`` of a configuration says; ConfigError where it cannot be.

        >>> WatchSettings.of(OpinionSettings(min_posts=5)).min_posts
        5
        """
        return cls(
            window_s=settings.window_s,
            false_alarms_per_topic_month=settings.false_alarms_per_topic_month,
            min_posts=settings.min_posts,
            channels=settings.addresses,
        )

    @property
    def windows_per_day(self) -> int:
        """Windows in a day."""
        return DAY_S // self.window_s

    @property
    def threshold(self) -> float:
        """Of the detector's statistic: windows in a month by false alarms in a month.

        Why this keeps the promise is said in `surges`.
        """
        windows = MONTH_DAYS * self.windows_per_day
        return windows / self.false_alarms_per_topic_month
