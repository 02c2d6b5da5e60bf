"""What may be recommended, in memory, as the table of items has it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select

from tailorbird.assistants.recommend.seam import Item
from tailorbird.data import mask_pii
from tailorbird.store import Workspace
from tailorbird.store.tables import ItemRow

N_TOGETHER = 500
"""So many ids are asked for in one query."""


@dataclass(frozen=True, slots=True)
class Change:
    """What came of putting items on the shelf."""

    n_new: int = 0
    n_changed: int = 0
    n_unchanged: int = 0
    n_without_text: int = 0
    """They can only be recommended by what people do with them."""


@dataclass(frozen=True, slots=True)
class _Stock:
    items: dict[str, Item] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()


class Shelf:
    """The items of a workspace; may be used by several threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._stock = _Stock()

    @property
    def withdrawn(self) -> frozenset[str]:
        """Ids of what is recommended no more."""
        return self._stock.withdrawn

    @property
    def items(self) -> dict[str, Item]:
        """Everything by its id, what was withdrawn, too; not to be changed."""
        return self._stock.items

    def title(self, item: str) -> str:
        """What *item* is called; its id where that is not known.

        Items may be without a title, too.
        """
        known = self._stock.items.get(item)
        return (known.title if known else "") or item

    def read(self) -> list[Item]:
        """Read the table; what is new on it, or has changed, since it was read last."""
        with self._lock:
            before = self._stock.items
            with self._workspace.sessions() as session:
                rows = session.scalars(select(ItemRow)).all()
            items = {row.id: item_of(row) for row in rows}
            withdrawn = frozenset(row.id for row in rows if row.is_withdrawn)
            self._stock = _Stock(items, withdrawn)
            return [item for key, item in items.items() if before.get(key) != item]

    def put(self, items: Sequence[Item]) -> Change:
        """Add or change *items*; those that were withdrawn are back. Of one id the last counts."""
        wanted = {item.id: _masked(item) for item in items}
        n_new = n_changed = 0
        with self._workspace.writing() as session:
            known: dict[str, ItemRow] = {}
            for ids in _parts(list(wanted)):
                rows = session.scalars(select(ItemRow).where(ItemRow.id.in_(ids)))
                known |= {row.id: row for row in rows}
            for item in wanted.values():
                row = known.get(item.id)
                if row is None:
                    n_new += 1
                    session.add(_row_of(item))
                elif row.is_withdrawn or _facts(item_of(row)) != _facts(item):
                    n_changed += 1
                    _fill(row, item)
        n_bare = sum(not has_text(item) for item in wanted.values())
        return Change(n_new, n_changed, len(wanted) - n_new - n_changed, n_bare)

    def withdraw(self, ids: Iterable[str]) -> list[str]:
        """Recommend these no more; those of them that were on the shelf until now."""
        found: list[str] = []
        with self._workspace.writing() as session:
            for part in _parts(sorted(set(ids))):
                known = select(ItemRow).where(ItemRow.id.in_(part), ~ItemRow.is_withdrawn)
                for row in session.scalars(known):
                    row.is_withdrawn = True
                    found.append(row.id)
        return found


def has_text(item: Item) -> bool:
    """Whether anything about *item* can be read.

    >>> has_text(Item("a", "")), has_text(Item("a", "", tags=("tea",)))
    (False, True)
    """
    return any(part.strip() for part in (item.title, item.description, *item.tags))


def item_of(row: ItemRow) -> Item:
    """The item that *row* keeps."""
    return Item(
        row.id, row.title, row.description, tuple(row.tags), dict(row.features), row.created
    )


def _row_of(item: Item) -> ItemRow:
    row = ItemRow(id=item.id, title=item.title)
    _fill(row, item)
    return row


def _fill(row: ItemRow, item: Item) -> None:
    row.title, row.description = item.title, item.description
    row.tags, row.features = list(item.tags), dict(item.features)
    row.is_withdrawn = False
    if item.created is not None:
        row.created = item.created


def _masked(item: Item) -> Item:
    """*item* without the phone numbers and addresses that sellers write into descriptions."""
    title, description = mask_pii(item.title), mask_pii(item.description)
    return replace(item, title=title, description=description)


def _facts(item: Item) -> tuple[Any, ...]:
    """All but the moment, which the shelf gives where the sender does not."""
    return item.title, item.description, item.tags, dict(item.features)


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + N_TOGETHER] for start in range(0, len(ids), N_TOGETHER))
