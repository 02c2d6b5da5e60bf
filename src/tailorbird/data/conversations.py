"""Conversations of messages (OpenAI, ShareGPT) → one interaction for each turn of the person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from tailorbird.data.columns import Columns, usual_name
from tailorbird.data.rows import checked_text
from tailorbird.data.values import feedback_value, is_missing, kind_of, name_value, time_value
from tailorbird.errors import ConfigError, RowError
from tailorbird.records import Interaction, Message, SplitName

Role = Literal["system", "user", "assistant"]

MESSAGE_KEYS = ("messages", "conversations", "conversation")

# Names that mean the same everywhere; any other is the owner's to map with --roles.
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}
_PEOPLE = {"customer", "visitor", "client", "buyer", "guest", "caller", "用户", "客户", "顾客"}
_TOOL_ROLES = {"tool", "function", "function_call", "observation"}


def parse_roles(mapping: str) -> dict[str, Role]:
    """All known role names, with those of the setting ``reading.roles``.

    >>> parse_roles("bot=assistant, customer=user")["bot"]
    'assistant'
    """
    roles = dict(_ROLES)
    for pair in filter(None, (part.strip() for part in mapping.split(","))):
        foreign, equals, own = (part.strip() for part in pair.partition("="))
        if not equals or not foreign or own not in get_args(Role):
            raise ConfigError(
                f"reading.roles has {pair!r}, which maps to none of system, user, assistant",
                cure="write it as bot=assistant,customer=user",
            )
        roles[foreign] = cast(Role, own)
    return roles


def messages_key(row: Mapping[str, Any]) -> str:
    """The key under which a row keeps its messages; empty for a flat row."""
    return next((key for key in MESSAGE_KEYS if key in row), "")


@dataclass(slots=True)
class _Turn:
    """A message of the person, what came before it, and what was answered."""

    text: str
    history: tuple[Message, ...]
    label: str | None
    time: Any
    feedback: float | None
    replies: list[str] = field(default_factory=list)


def read_conversation(
    row: Mapping[str, Any],
    columns: Columns,
    roles: Mapping[str, Role],
    where: str,
    split: SplitName | None,
) -> list[Interaction]:
    """One interaction a user turn, with its reply and the earlier turns as history.

    A label of the conversation belongs to its first user turn, a label of a message to its own.
    Messages of tools are not part of what was said. RowError names the message that is wrong.
    """
    key = messages_key(row)
    turns = _turns(row[key], key, roles)
    if not turns:
        raise RowError("no message is from the user", cure="map foreign roles with --roles")
    common = columns.common(row, split)
    base = common.pop("id") or where
    label, time, feedback = (common.pop(name) for name in ("label", "time", "feedback"))
    return [
        Interaction(
            id=base if len(turns) == 1 else f"{base}:{number}",
            text=turn.text,
            reply="\n".join(turn.replies) or None,
            label=turn.label or (label if number == 1 else None),
            time=turn.time or time,
            feedback=feedback if turn.feedback is None else turn.feedback,
            history=turn.history,
            source=where,
            **common,
        )
        for number, turn in enumerate(turns, 1)
    ]


def read_messages(
    messages: Any, key: str, roles: Mapping[str, Role]
) -> Iterator[tuple[Mapping[str, Any], Message, str]]:
    """Each message that says something, as it lies there, as ours, and what to call it.

    Messages of tools, and of an assistant that only called one, are passed over. RowError names
    the message that is wrong.
    """
    if not isinstance(messages, list):
        raise RowError(f"{key} is {kind_of(messages)}, not a list", cure=f'write "{key}": [{{…}}]')
    if not messages:
        raise RowError(f"{key} is empty", cure="leave the row out or give it its messages")
    for index, message in enumerate(messages):
        what = f"{key}[{index}]"
        if not isinstance(message, dict):
            raise RowError(
                f"{what} is {kind_of(message)}, not an object",
                cure='write it as {"role": "user", "content": …}',
            )
        role = _role(message, what, roles)
        if role is None:
            continue
        content = _content(message, what, role)
        if content is not None:
            yield message, Message(role, content), what


def _turns(messages: Any, key: str, roles: Mapping[str, Role]) -> list[_Turn]:
    turns: list[_Turn] = []
    said: list[Message] = []
    for raw, message, what in read_messages(messages, key, roles):
        if message.role == "user":
            turns.append(
                _Turn(
                    message.content,
                    tuple(said),
                    label=_own(raw, "label", what),
                    time=time_value(_field(raw, "time"), f"{what}.time"),
                    feedback=_feedback(raw, what),
                )
            )
        elif message.role == "assistant" and turns:
            turns[-1].replies.append(message.content)
            if turns[-1].feedback is None:
                turns[-1].feedback = _feedback(raw, what)
        said.append(message)
    return turns


def _role(message: Mapping[str, Any], what: str, roles: Mapping[str, Role]) -> Role | None:
    """The role in our words; None for tools, which say nothing to anybody."""
    name = message.get("role", message.get("from"))
    if name is None:
        raise RowError(f"{what} has no role", cure='write "role": "user" or "assistant"')
    if isinstance(name, str):
        if name in roles:
            return roles[name]
        if name.casefold() in roles:
            return roles[name.casefold()]
        if name in _TOOL_ROLES:
            return None
    raise RowError(
        f"role {name!r} is not one of system, user, assistant",
        cure=f"map it with --roles {name}={_likely_role(name)}",
    )


def _likely_role(name: Any) -> Role:
    return "user" if str(name).casefold() in _PEOPLE else "assistant"


def _content(message: Mapping[str, Any], what: str, role: Role) -> str | None:
    """The words of a message; None for an assistant that only called a tool."""
    content = message.get("content", message.get("value"))
    if content is None and role == "assistant" and message.get("tool_calls"):
        return None
    if isinstance(content, list):
        parts = [part["text"] for part in content if _is_text_part(part)]
        if not parts:
            raise RowError(f"{what} has no part of type text", cure="leave such messages out")
        content = "\n".join(parts)
    if content is None:
        raise RowError(f"{what} has no content", cure='write "content": "…"')
    if not isinstance(content, str):
        raise RowError(
            f"{what}.content is {kind_of(content)}, not a string", cure="write it in quotes"
        )
    return checked_text(content, f"{what}.content")


def _is_text_part(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and part.get("type", "text") == "text"
        and isinstance(part.get("text"), str)
    )


def _field(message: Mapping[str, Any], name: str) -> Any:
    key = usual_name(name, message)
    return message[key] if key else None


def _own(message: Mapping[str, Any], name: str, what: str) -> str | None:
    return name_value(_field(message, name), f"{what}.{name}")


def _feedback(message: Mapping[str, Any], what: str) -> float | None:
    value = _field(message, "feedback")
    if is_missing(value):
        return None
    return feedback_value(value, "-1 to 1", f"{what}.feedback")
