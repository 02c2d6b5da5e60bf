"""Settings of the assistants: the service desk, what is said of a company, recommendations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tailorbird.errors import ConfigError
from tailorbird.overriding import setting


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """When the service desk answers, refuses, and asks for a person."""

    min_confidence: float = setting(
        0.0,
        "Confidence from which the template of an intent is given, beside the out-of-scope "
        "threshold of the bundle; 0: that alone.",
    )
    min_support: float = setting(
        0.0,
        "Probability from which a passage is taken to answer the question; 0: the threshold of "
        "the model that judges it, else 0.5.",
    )
    min_overlap: float = setting(
        0.6,
        "Share of the question's words that a passage must have, where no model judges support.",
    )
    n_passages: int = setting(5, "Passages that are searched for a question.")
    max_sentences: int = setting(3, "Sentences of an answer from documents.")
    max_unsure: int = setting(
        2, "Messages in a row without an answer after which a person is asked; 0: never."
    )
    anger: float = setting(
        0.7, "How angry a message must be, in [0, 1], to ask for a person; 0: never."
    )
    hand_over_words: str = setting(
        "", "Further words that ask for a person, as 'Lily, the front office'."
    )
    hand_over_intents: str = setting(
        "talk_to_human, contact_human_agent, human_agent, agent, 转人工, 人工客服",
        "Intents that ask for a person.",
    )
    writer: str = setting(
        "",
        "Folder of a run of --task dialogue, or a model as smollm2: it writes answers from "
        "documents, and what no passage bears out is dropped. Empty: the documents' own sentences.",
    )
    slot_tagger: str = setting(
        "",
        "Run of --task token_classification, or its folder: what it marks fills slots of templates "
        "that rules do not find. Empty: rules alone.",
    )
    max_messages: int = setting(200, "Messages in one request of /v1/chat/completions.")


@dataclass(frozen=True, slots=True)
class OpinionSettings:
    """What is watched in public, and who is told when it turns bad."""

    window_s: int = setting(3600, "Posts are counted in windows of so many seconds.")
    false_alarms_per_topic_month: float = setting(
        1.0, "Alerts without a cause that you accept, of each topic or name in 30 days."
    )
    min_posts: int = setting(3, "Negative posts of a rise below which nobody is told.")
    channels: str = setting(
        "",
        "Who is told: NAME=URL, several by spaces, as apprise knows them, such as "
        "ops=slack://…. Addresses hold secrets: keep the file where only the service reads it.",
    )
    tagger: str = setting(
        "",
        "Run of --task token_classification, or its folder: it marks names that are not in the "
        "table of entities. Empty: those of the table alone.",
    )

    @property
    def addresses(self) -> dict[str, str]:
        """The address of each channel by its name; ConfigError, which shows none, for others.

        >>> OpinionSettings(channels="ops=json://127.0.0.1:9/ chief=mailto://a:b@c").addresses
        {'ops': 'json://127.0.0.1:9/', 'chief': 'mailto://a:b@c'}
        """
        found = {}
        for number, word in enumerate(self.channels.split(), 1):
            name, equals, url = word.partition("=")
            if not (name and equals and "://" in url) or "://" in name:
                raise ConfigError(
                    f"opinion.channels: word {number} is not NAME=URL", cure="as ops=slack://…"
                )
            found[name] = url
        return found


@dataclass(frozen=True, slots=True)
class ListSettings:
    """How lists of recommendations are made and shown."""

    n_candidates: int = setting(
        60, "Best candidates that a list is chosen from, at least twice as many as it has items."
    )
    n_history: int = setting(200, "Latest events of a user that a list is made from.")
    max_users: int = setting(20_000, "Users whose histories are held in memory.")
    diversity: float = setting(
        0.2, "How much a list is spread, in [0, 1]; 0: the best alone, one like another."
    )
    max_per: str = setting(
        "", "Most items of a list that share a tag, as 'tea=3, *=5'; * is any other tag."
    )
    explore_positions: int = setting(
        2, "Positions of a list that are drawn, to learn what else is liked; 0: none."
    )
    explore_pool: int = setting(8, "Items that such a position is drawn from.")
    explore_floor: float = setting(
        0.1, "Share of draws that give every item of the pool the same chance, in [0, 1]."
    )
    explore_days: int = setting(30, "Days for which it counts how what was drawn was answered.")
    keep_lists_days: int = setting(
        365,
        "Days after which the log of a list that was shown is deleted, at least explore_days; "
        "0: never.",
    )
    follow_s: float = setting(
        10.0, "Seconds after which a new model, and items that others wrote, are taken over."
    )

    @property
    def kept_days(self) -> int:
        """Days for which lists that were shown are kept; 0: for ever.

        >>> ListSettings(keep_lists_days=7, explore_days=30).kept_days
        30
        """
        return self.keep_lists_days and max(self.keep_lists_days, self.explore_days)

    @property
    def caps(self) -> Mapping[str, int]:
        """``max_per`` by tag; ConfigError where it cannot be read.

        >>> ListSettings(max_per="tea=3, *=5").caps
        {'tea': 3, '*': 5}
        """
        found: dict[str, int] = {}
        for part in filter(None, (one.strip() for one in self.max_per.split(","))):
            name, equals, number = part.partition("=")
            if not equals or not number.strip().isdecimal() or not int(number):
                raise ConfigError(
                    f"recommend.max_per: {part!r} is not of the form tag=number",
                    cure="write as 'tea=3, *=5'",
                )
            found[name.strip()] = int(number)
        return found
