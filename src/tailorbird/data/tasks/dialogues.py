"""Interactions back to conversations: each once, with all of its answers, to learn them from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tailorbird.config import Settings
from tailorbird.data.cleaning import clean
from tailorbird.data.reading import read
from tailorbird.data.rows import Reject
from tailorbird.data.tasks.rows import TaskRows
from tailorbird.data.tasks.splitting import divide_examples
from tailorbird.records import Example, Interaction, Message

_Key = tuple[str, str]  # the row it was read from; the conversation's id, where no row is known


def to_dialogues(
    interactions: Iterable[Interaction], *, system: str = ""
) -> list[tuple[Message, ...]]:
    """The conversations that *interactions* are turns of, in the order of their first turns.

    A turn whose words another turn of the same conversation has in its history is not repeated.
    Each conversation begins with the person (after its system message, *system* where it has none
    and that is not empty), ends with the last answer, and has the two in turn: what one of them
    wrote in several messages is one, and a greeting that nobody asked for is left out, as most chat
    templates know no other form. Conversations without any answer are left out.

    >>> turns = [
    ...     Interaction("a:1", "Hi", "Hello!", source="log:1"),
    ...     Interaction("a:2", "Bye", "Bye!", source="log:1",
    ...         history=(Message("user", "Hi"), Message("assistant", "Hello!"))),
    ... ]
    >>> [[message.content for message in dialogue] for dialogue in to_dialogues(turns)]
    [['Hi', 'Hello!', 'Bye', 'Bye!']]
    """
    by_conversation: dict[_Key, list[tuple[Message, ...]]] = {}
    for interaction in interactions:
        spoken = list(interaction.history)
        spoken.append(Message("user", interaction.text))
        if interaction.reply:
            spoken.append(Message("assistant", interaction.reply))
        dialogue = _in_turn(spoken)
        if dialogue:
            by_conversation.setdefault(_key(interaction), []).append(dialogue)
    return [
        (Message("system", system), *dialogue)
        if system and dialogue[0].role != "system"
        else dialogue
        for dialogues in by_conversation.values()
        for dialogue in _not_contained(dialogues)
    ]


def load_dialogues(
    source: str,
    settings: Settings,
    *,
    on_reject: Callable[[Reject], None] | None = None,
) -> TaskRows:
    """The conversations of any logs that a build reads, cleaned turn by turn, divided by seed.

    No turn is dropped as a duplicate: what is said often is what an assistant must know.
    """
    reading = read(source, settings.reading, on_reject=on_reject)
    kept = replace(settings.cleaning, drop_duplicates=False, near_duplicate=0.0)
    cleaned = clean(reading, kept)
    dialogues = to_dialogues(cleaned.interactions)
    examples = [
        Example(next(m.content for m in dialogue if m.role == "user"), messages=dialogue)
        for dialogue in dialogues
    ]
    decisions = [*reading.decisions, *cleaned.report.decisions]
    decisions.append(f"{len(examples):,} conversations with an answer")
    splits = divide_examples(examples, "dialogue", settings.split, note=decisions.append)
    return TaskRows(splits, False, tuple(decisions), reading.n_rows, reading.n_rejected)


def _key(interaction: Interaction) -> _Key:
    """What the turns of one conversation share: see `read_conversation`."""
    if interaction.source:
        return interaction.source, ""
    base, _, number = interaction.id.rpartition(":")
    return "", base if base and number.isdecimal() else interaction.id


def _not_contained(dialogues: Sequence[tuple[Message, ...]]) -> list[tuple[Message, ...]]:
    """Those that no longer one begins with, each once, in their order."""
    each = list(dict.fromkeys(dialogues))
    return [
        dialogue
        for dialogue in each
        if not any(other[: len(dialogue)] == dialogue for other in each if other is not dialogue)
    ]


def _in_turn(messages: Iterable[Message]) -> tuple[Message, ...]:
    """System, then user and assistant in turn, up to the last answer; empty where there is none."""
    said: list[Message] = []
    for message in messages:
        is_greeting = message.role == "assistant" and not any(m.role == "user" for m in said)
        if is_greeting or not message.content.strip():
            continue
        if said and said[-1].role == message.role:
            said[-1] = Message(message.role, f"{said[-1].content}\n{message.content}")
        else:
            said.append(message)
    while said and said[-1].role != "assistant":
        said.pop()
    return tuple(said)
