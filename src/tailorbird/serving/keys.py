"""API keys of a workspace: who has one, and whose is the one that was sent."""

from __future__ import annotations

import hashlib
import re
import secrets
import shlex
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select

from tailorbird.errors import ConflictError, NotFoundError, RequestError
from tailorbird.serving.persons import RESERVED, Person, role_of
from tailorbird.store import Workspace
from tailorbird.store.tables import KeyRow, Role, utc_now

ID_BYTES = 6
SECRET_BYTES = 24
KEY = re.compile(r"tb_([0-9a-f]{12})_([0-9a-f]{48})")
MAX_NAME_CHARS = 80
FRESH_S = 2.0
"""How long what was read of the table counts: so long a revoked key may live in other processes."""
REMEMBER_S = 600.0
"""How long a key that was found right is not hashed again."""


class Hasher(Protocol):
    """The slow hash of a secret, as argon2-cffi has it."""

    def hash(self, secret: str, /) -> str:
        """A salted hash that says how it was made."""

    def verify(self, kept: str, secret: str, /) -> bool:
        """Raises VerificationError where *secret* is not what was hashed."""


def slow_hasher() -> PasswordHasher:
    """Argon2id (RFC 9106) with 19 MiB, two passes and one lane a hash.

    A secret here has 192 random bits, which nobody guesses; the hash is slow for whoever steals
    the database, and small so that many wrong keys at once do not take the memory of the machine.
    """
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Keys:
    """The keys of *workspace*, written as ``tb_<id>_<secret>``; thread safe.

    Only a slow hash of the secret is kept. Whose key it is takes one such hash at first; for ten
    minutes afterwards it is known from memory, while the table is looked at every two seconds: a
    revoked key stops at once in this process and within two seconds in others. An unknown or
    revoked key costs the same hash as a right one.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: Callable[[], float] = time.monotonic,
        hasher: Hasher | None = None,
        max_remembered: int = 1024,
    ) -> None:
        self.workspace = workspace
        self._clock = clock
        self._hasher: Hasher = hasher or slow_hasher()
        self._max_remembered = max_remembered
        self._pepper = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._rows: dict[str, KeyRow] = {}
        self._read_s = -FRESH_S
        # digest of a right key -> (its id, the hash it was right for, until when)
        self._right: OrderedDict[bytes, tuple[str, str, float]] = OrderedDict()
        self._nobodys = self._hasher.hash(secrets.token_hex(SECRET_BYTES))
        self.reload()

    def create(self, name: str, role: Role) -> str:
        """A new key for *name*, which is shown this once and cannot be found out again.

        The name of a revoked key may be given again. Raises RequestError for a name or role that
        cannot be, ConflictError where the name has a key.
        """
        name = _checked_name(name)
        key_id, secret = secrets.token_hex(ID_BYTES), secrets.token_hex(SECRET_BYTES)
        row = KeyRow(id=key_id, name=name, role=role_of(role), hash=self._hasher.hash(secret))
        with self.workspace.writing() as session:
            earlier = session.scalars(select(KeyRow).where(KeyRow.name == name)).first()
            if earlier is not None and earlier.revoked is None:
                cure = f"revoke it first: tailorbird keys revoke {shlex.quote(name)}"
                raise ConflictError(f"there is already a key of {name!r}", where="name", cure=cure)
            if earlier is not None:
                session.delete(earlier)
                session.flush()  # the name is unique
            session.add(row)
        self.reload()
        return f"tb_{key_id}_{secret}"

    def revoke(self, name: str) -> None:
        """Let the key of *name* be worth nothing; NotFoundError where there is none."""
        with self.workspace.writing() as session:
            row = session.scalars(select(KeyRow).where(KeyRow.name == name)).first()
            if row is None or row.revoked is not None:
                names = session.scalars(select(KeyRow.name).where(KeyRow.revoked.is_(None))).all()
                cure = f"known: {', '.join(sorted(names))}" if names else "there are no keys"
                raise NotFoundError(f"there is no key of {name!r}", where="name", cure=cure)
            row.revoked = utc_now()
        self.reload()

    def list(self) -> tuple[KeyRow, ...]:
        """All keys, oldest first, revoked ones too."""
        with self.workspace.sessions() as session:
            return tuple(session.scalars(select(KeyRow).order_by(KeyRow.created, KeyRow.name)))

    @property
    def is_any(self) -> bool:
        """Whether there has ever been a key: with the last one revoked the door stays shut."""
        self._look()
        return bool(self._rows)

    @property
    def is_any_live(self) -> bool:
        """Whether somebody has a key that was not revoked."""
        self._look()
        return any(row.revoked is None for row in self._rows.values())

    @property
    def is_fresh(self) -> bool:
        """Whether the table was looked at in the last two seconds, so that nothing need wait."""
        return self._clock() - self._read_s < FRESH_S

    def person_of(self, key: str) -> Person | None:
        """Whose *key* it is; None where it is nobody's. Takes a slow hash at first."""
        if known := self.remembered(key):
            return known
        match = KEY.fullmatch(key)
        if match is None:
            return None
        key_id, secret = match.groups()
        if key_id not in self._rows:  # made a moment ago, perhaps by another process
            self.reload()
        row = self._rows.get(key_id)
        is_right = self._verify(row.hash if row else self._nobodys, secret)
        if row is None or row.revoked is not None or not is_right:
            return None
        with self._lock:
            self._right[self._digest(key)] = (row.id, row.hash, self._clock() + REMEMBER_S)
            while len(self._right) > self._max_remembered:
                self._right.popitem(last=False)
        return _person(row)

    def remembered(self, key: str) -> Person | None:
        """Whose *key* it is, where that was found out lately; never takes a slow hash."""
        self._look()
        digest = self._digest(key)
        with self._lock:
            key_id, right_hash, until_s = self._right.get(digest, ("", "", 0.0))
            row = self._rows.get(key_id)
            if row is None:
                return None
            if row.revoked is not None or row.hash != right_hash or self._clock() > until_s:
                del self._right[digest]
                return None
            self._right.move_to_end(digest)
            return _person(row)

    def holder(self, key_id: str) -> Person | None:
        """Who has the key with this id; None where it was revoked or never was."""
        self._look()
        row = self._rows.get(key_id)
        return _person(row) if row is not None and row.revoked is None else None

    def reload(self) -> None:
        """Look at the table now."""
        self._read_s = self._clock()  # first: whoever comes meanwhile does not read it as well
        self._rows = {row.id: row for row in self.list()}

    def _look(self) -> None:
        if not self.is_fresh:
            self.reload()

    def _verify(self, right_hash: str, secret: str) -> bool:
        try:
            return self._hasher.verify(right_hash, secret)
        except (VerificationError, InvalidHashError):
            return False

    def _digest(self, key: str) -> bytes:
        """What a key is remembered by, so that no memory dump shows one."""
        text = key.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._pepper, digest_size=32).digest()


def key_id_of(key: str) -> str:
    """The first part of a key, by which its row is found; empty where it is no key of ours.

    >>> key_id_of("tb_00ff00ff00ff_" + "0" * 48), key_id_of("sesame")
    ('00ff00ff00ff', '')
    """
    match = KEY.fullmatch(key)
    return match[1] if match else ""


def _person(row: KeyRow) -> Person:
    return Person(row.name, role_of(row.role))


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise RequestError(
            "is not a name for a key",
            where="name",
            cure=f"1 to {MAX_NAME_CHARS} letters on one line, as 'ada'",
        )
    if name.lower() in RESERVED:
        raise RequestError(
            f"{name!r} is what the service calls others", where="name", cure="choose another"
        )
    return name
