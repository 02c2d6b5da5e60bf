"""Which column holds what: named by the settings, else guessed from common names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailorbird.config import ReadingSettings
from tailorbird.data.rows import Note
from tailorbird.data.values import (
    Scale,
    feedback_value,
    is_missing,
    kind_of,
    name_value,
    scale_of,
    split_value,
    text_value,
    time_value,
)
from tailorbird.errors import DataError, RowError
from tailorbird.records import Interaction, SplitName

# For each field the usual names, best first. Names of one row are equally good: where a log has
# two of them for its text or label, only its owner knows which is meant.
NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "text": (
        ("text", "utterance", "user_text", "文本"),
        ("query", "question", "user_message", "user_input", "问题", "提问", "用户输入"),
        ("message", "msg", "消息", "留言"),
        ("content", "review", "comment", "sentence", "body", "内容", "评论", "评价内容"),
        ("prompt", "instruction"),
        ("input", "request"),
        ("headline", "headlines", "title", "标题"),
    ),
    "label": (
        ("intent", "label_text", "label_name", "意图"),
        ("label", "labels", "标签"),
        ("category", "class", "sentiment", "topic", "类别", "分类", "情感"),
        ("tag", "target", "label_id"),
    ),
    "user": (
        ("user_id", "user", "uid", "userid", "用户", "用户id", "用户名"),
        ("customer_id", "customer", "member_id", "client_id", "客户", "客户id", "会员"),
        ("username", "user_name", "author"),
    ),
    "time": (
        ("time", "timestamp", "datetime", "时间"),
        ("created_at", "created", "create_time", "date", "ts", "sent_at", "日期", "创建时间"),
    ),
    "reply": (
        ("reply", "answer", "response", "回复", "回答", "答案", "答复"),
        ("assistant", "bot_reply", "agent_reply", "assistant_message", "completion", "output"),
    ),
    "split": (("split", "数据集划分"), ("subset", "partition", "fold", "set")),
    "feedback": (
        ("feedback", "反馈", "满意度"),
        ("rating", "stars", "score", "overall", "评分", "星级", "打分"),
    ),
    "id": (("id", "interaction_id", "message_id", "编号"),),
}

_OPTIONS = ("text", "label", "user", "time", "reply")
_RATING_NAMES = {"rating", "stars", "overall", "评分", "星级", "打分"}


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of each field; empty where a log has none."""

    text: str = ""
    label: str = ""
    user: str = ""
    time: str = ""
    reply: str = ""
    split: str = ""
    feedback: str = ""
    id: str = ""
    scale: Scale = "-1 to 1"
    """What the numbers of *feedback* mean."""

    def interaction(
        self, row: Mapping[str, Any], where: str, split: SplitName | None
    ) -> Interaction:
        """The interaction in a flat *row*; RowError says which column cannot be used."""
        if self.text not in row:
            found = ", ".join(map(repr, list(row)[:8])) or "nothing"
            raise RowError(f"has no {self.text!r}; it has {found}", cure="name every field alike")
        reply = row.get(self.reply) if self.reply else None
        common = self.common(row, split)
        own_id = common.pop("id")
        return Interaction(
            id=own_id or where,
            text=text_value(row[self.text], self.text),
            reply=None if is_missing(reply) else text_value(reply, self.reply),
            source=where,
            **common,
        )

    def common(self, row: Mapping[str, Any], split: SplitName | None) -> dict[str, Any]:
        """The fields that a flat row and a conversation both may have, ready for a record."""
        return {
            "id": name_value(row.get(self.id), self.id) if self.id else None,
            "label": name_value(row.get(self.label), self.label) if self.label else None,
            "user": name_value(row.get(self.user), self.user) if self.user else None,
            "time": time_value(row.get(self.time), self.time) if self.time else None,
            "split": split
            or (split_value(row.get(self.split), self.split) if self.split else None),
            "feedback": feedback_value(row.get(self.feedback), self.scale, self.feedback)
            if self.feedback
            else None,
        }


def find_columns(
    rows: Sequence[Mapping[str, Any]],
    settings: ReadingSettings,
    *,
    name: str,
    note: Note,
    is_conversation: bool = False,
) -> Columns:
    """The columns of a source called *name*, judged by its first *rows*.

    Whatever is guessed goes to *note*. A guessed time, split or feedback column whose values are
    nothing of the kind is left out. Raises DataError where no text column can be told, or two
    equally good ones are there; the message lists the columns and names the option.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row if isinstance(key, str)))
    found: dict[str, str] = {}
    for field in NAMES:
        wanted = getattr(settings, field) if field in _OPTIONS else ""
        if is_conversation and field in ("text", "reply"):
            continue
        if wanted:
            found[field] = _named(wanted, field, columns, name)
            continue
        free = [column for column in columns if column not in found.values()]
        if guess := _guess(field, free, name):
            found[field] = guess
    if "text" not in found and not is_conversation:
        raise _no_text(columns, name, rows)
    scale = _drop_misguesses(found, rows, settings, note)
    for field, column in found.items():
        if field != "id" and not (field in _OPTIONS and getattr(settings, field)):
            how = f"; {scale} becomes -1 to 1" if field == "feedback" and scale != "-1 to 1" else ""
            note(f"{field}: column {column!r} (guessed from its name{how})")
    return Columns(**found, scale=scale)


def usual_name(field: str, columns: Iterable[str]) -> str:
    """The column that most likely holds *field*; empty where none is called so.

    >>> usual_name("label", ["cat", "label", "review"])
    'label'
    """
    by_name = {plain_name(column): column for column in reversed(list(columns))}
    for names in NAMES[field]:
        for name in names:
            if name in by_name:
                return by_name[name]
    return ""


def _named(wanted: str, field: str, columns: list[str], name: str) -> str:
    if wanted in columns:
        return wanted
    near = difflib.get_close_matches(wanted, columns, n=1)
    cure = f"did you mean --{field} {near[0]!r}?" if near else f"name one of them with --{field}"
    raise DataError(f"has no column {wanted!r}; it has {listed(columns)}", where=name, cure=cure)


def _guess(field: str, columns: list[str], name: str) -> str:
    for names in NAMES[field]:
        matches = [column for column in columns if plain_name(column) in names]
        if len(matches) > 1 and field in ("text", "label"):
            both = " and ".join(map(repr, matches))
            meaning = "the person's words" if field == "text" else "the label"
            raise DataError(
                f"columns {both} could each hold {meaning}",
                where=name,
                cure=f"choose with --{field} {matches[0]!r} (found: {listed(columns)})",
            )
        if matches:
            return min(matches, key=lambda column: names.index(plain_name(column)))
    return ""


def plain_name(column: str) -> str:
    """A column's name without case and spaces, as `NAMES` has it.

    >>> plain_name("User ID")
    'user_id'
    """
    return re.sub(r"[\s\-.]+", "_", column.strip()).casefold()


def listed(columns: list[str]) -> str:
    """The names of columns for a message, the first twenty of them.

    >>> listed(["a", "b"])
    "'a', 'b'"
    """
    more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
    return ", ".join(map(repr, columns[:20])) + more if columns else "no columns"


def _no_text(columns: list[str], name: str, rows: Sequence[Mapping[str, Any]]) -> DataError:
    cure = "name it with --text COLUMN (a CSV file needs a first line with the column names)"
    if turns := next((c for c in columns if any(_is_turns(row.get(c)) for row in rows)), ""):
        cure = (
            f"if {turns!r} is a conversation, write it as "
            '"messages": [{"role": "user", "content": "…"}, …]'
        )
    return DataError(
        f"no column looks like the person's words; it has {listed(columns)}",
        where=name,
        cure=cure,
    )


def _is_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict | list)


def _drop_misguesses(
    found: dict[str, str],
    rows: Sequence[Mapping[str, Any]],
    settings: ReadingSettings,
    note: Note,
) -> Scale:
    """Forget guessed columns whose first values do not fit their names; return the scale."""
    scale: Scale | None = "-1 to 1"
    for field, check in (("time", time_value), ("split", split_value), ("feedback", None)):
        column = found.get(field)
        if column is None or (field == "time" and settings.time):
            continue
        values = [value for row in rows if not is_missing(value := row.get(column))]
        if check is None:
            scale = scale_of(values, is_rating=plain_name(column) in _RATING_NAMES)
            fits = scale is not None
        else:
            n_good = sum(_accepts(check, value) for value in values)
            fits = n_good * 2 >= len(values)
        if not fits:
            del found[field]
            shown = values[0] if isinstance(values[0], str | int | float) else kind_of(values[0])
            note(f"{field}: column {column!r} left out, its values (as {shown!r}) are no {field}")
    return scale or "-1 to 1"


def _accepts(check: Any, value: Any) -> bool:
    try:
        check(value, "")
    except RowError:
        return False
    return True
