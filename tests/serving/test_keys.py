"""Keys: shown once, kept as a slow hash, worth nothing once revoked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailorbird.errors import ConflictError, NotFoundError, RequestError
from tailorbird.serving.access import Keys, Person
from tailorbird.serving.keys import FRESH_S, REMEMBER_S, key_id_of, slow_hasher
from tailorbird.store import Workspace

from .conftest import UNKNOWN, Clock, CountingHasher


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(workspace: Workspace, hasher: CountingHasher, clock: Clock) -> Keys:
    return Keys(workspace, clock=clock, hasher=hasher)


def test_a_key_is_its_persons_and_only_a_hash_of_it_is_kept(
    keys: Keys, workspace: Workspace
) -> None:
    key = keys.create("ada", "agent")
    assert re.fullmatch(r"tb_[0-9a-f]{12}_[0-9a-f]{48}", key)
    assert keys.person_of(key) == Person("ada", "agent")
    (row,) = keys.list()
    assert row.id == key_id_of(key)
    assert row.hash.startswith("$argon2id$")
    workspace.engine.dispose()
    secret = key.rpartition("_")[2].encode()
    for path in workspace.path.glob("tailorbird.db*"):
        assert secret not in path.read_bytes()


def test_the_hash_is_slow_argon2id() -> None:
    parameters = slow_hasher()
    assert parameters.hash("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "k",
        "tb_",
        UNKNOWN,
        UNKNOWN + "0",
        UNKNOWN.upper(),
        "tb_密钥_密钥",
        "\ud800",
        "x" * 10**6,
    ],
)
def test_what_is_no_key_is_nobodys(keys: Keys, key: str) -> None:
    keys.create("ada", "agent")
    assert keys.person_of(key) is None


def test_a_wrong_key_costs_what_a_right_one_costs(keys: Keys, hasher: CountingHasher) -> None:
    key = keys.create("ada", "agent")
    keys.create("bo", "agent")
    keys.revoke("bo")
    costs = []
    for tried in (key, key[:-1] + ("0" if key[-1] != "0" else "1"), UNKNOWN):
        before = hasher.n_verified
        keys.person_of(tried)
        costs.append(hasher.n_verified - before)
    assert costs == [1, 1, 1]


def test_a_revoked_key_costs_a_hash_as_well(keys: Keys, hasher: CountingHasher) -> None:
    key = keys.create("bo", "admin")
    keys.revoke("bo")
    assert keys.person_of(key) is None
    assert hasher.n_verified == 1


def test_a_right_key_is_hashed_once_in_ten_minutes(
    keys: Keys, hasher: CountingHasher, clock: Clock
) -> None:
    key = keys.create("ada", "agent")
    for _ in range(5):
        assert keys.person_of(key) is not None
        clock.now_s += 100
    assert hasher.n_verified == 1
    assert keys.remembered(key) == Person("ada", "agent")
    clock.now_s += REMEMBER_S
    assert keys.remembered(key) is None
    assert keys.person_of(key) is not None
    assert hasher.n_verified == 2


def test_a_revoked_key_stops_at_once_here_and_within_seconds_elsewhere(
    keys: Keys, workspace: Workspace, hasher: CountingHasher, clock: Clock
) -> None:
    key = keys.create("ada", "agent")
    elsewhere = Keys(workspace, clock=clock, hasher=hasher)
    assert elsewhere.person_of(key) is not None
    assert keys.person_of(key) is not None
    keys.revoke("ada")
    assert keys.person_of(key) is None
    assert elsewhere.person_of(key) is not None  # not yet
    clock.now_s += FRESH_S
    assert elsewhere.person_of(key) is None
    assert elsewhere.holder(key_id_of(key)) is None


def test_a_key_made_by_another_process_counts_at_once(
    keys: Keys, workspace: Workspace, hasher: CountingHasher, clock: Clock
) -> None:
    assert not keys.is_any
    key = Keys(workspace, clock=clock, hasher=hasher).create("ada", "visitor")
    assert keys.person_of(key) == Person("ada", "visitor")


def test_what_is_remembered_is_bounded(
    workspace: Workspace, hasher: CountingHasher, clock: Clock
) -> None:
    keys = Keys(workspace, clock=clock, hasher=hasher, max_remembered=2)
    made = [keys.create(name, "visitor") for name in ("a", "b", "c")]
    for key in made:
        keys.person_of(key)
    assert [keys.remembered(key) is not None for key in made] == [False, True, True]


def test_with_the_last_key_revoked_the_door_stays_shut(keys: Keys) -> None:
    assert (keys.is_any, keys.is_any_live) == (False, False)
    keys.create("ada", "agent")
    assert (keys.is_any, keys.is_any_live) == (True, True)
    keys.revoke("ada")
    assert (keys.is_any, keys.is_any_live) == (True, False)


def test_a_name_has_one_key_and_may_get_another_once_it_is_revoked(keys: Keys) -> None:
    first = keys.create("ada", "agent")
    with pytest.raises(ConflictError, match="already a key of 'ada'"):
        keys.create(" ada ", "admin")
    keys.revoke("ada")
    second = keys.create("ada", "admin")
    assert keys.person_of(first) is None
    assert keys.person_of(second) == Person("ada", "admin")
    assert len(keys.list()) == 1


@pytest.mark.parametrize(
    "name", ["", "  ", "a\nb", "x" * 81, "\ud800", "local", "API_KEY", "system"]
)
def test_a_name_that_would_mislead_is_refused(keys: Keys, name: str) -> None:
    with pytest.raises(RequestError):
        keys.create(name, "agent")
    assert keys.list() == ()


def test_an_unknown_role_is_refused_with_the_known_ones(keys: Keys) -> None:
    with pytest.raises(RequestError, match="one of visitor, agent, admin"):
        keys.create("ada", "owner")  # type: ignore[arg-type]


def test_revoking_what_is_not_there_names_what_is(keys: Keys) -> None:
    with pytest.raises(NotFoundError, match="there are no keys"):
        keys.revoke("ada")
    keys.create("bo", "agent")
    with pytest.raises(NotFoundError, match="known: bo"):
        keys.revoke("ada")
