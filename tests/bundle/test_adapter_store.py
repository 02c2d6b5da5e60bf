"""The store of users' adapters: what is put in comes out, whole, and what is removed is gone."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird.bundle import AdapterStore
from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError, StoreError
from tailorbird.modeling.adapters.weights import AdapterWeights

LORA = MethodSettings(name="lora", rank=2)


def weights_of(seed: int, **facts: Any) -> AdapterWeights:
    random = torch.Generator().manual_seed(seed)
    tensors = {
        f"layers.1.{name}.adapter.{part}": torch.randn(2, 8, generator=random)
        for name in ("query", "value")
        for part in "ab"
    }
    head = {"linear.weight": torch.randn(3, 8, generator=random), "count": torch.tensor(seed)}
    return AdapterWeights(LORA, 1, tensors, head, ("a", "b", "退款"), "trunk", facts)


def bytes_of(weights: AdapterWeights) -> bytes:
    """Bytes that no other adapter has."""
    return weights.head["linear.weight"].numpy().tobytes()


def holds(folder: Path, content: bytes) -> bool:
    return any(content in path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with AdapterStore(tmp_path / "adapters") as opened:
        yield opened


def test_an_adapter_comes_back_as_it_was_added(store: AdapterStore) -> None:
    given = weights_of(1, n_rows=64, score=0.5)
    name = store.add("李雷", given)
    found = store.get("李雷")
    assert found is not None
    assert name == given.hash == found.hash == store.hash_of("李雷")
    assert (found.labels, found.trunk, found.n_frozen) == (("a", "b", "退款"), "trunk", 1)
    assert (found.settings, found.facts) == (LORA, {"n_rows": 64, "score": 0.5})
    assert all(torch.equal(found.named()[key], value) for key, value in given.named().items())


def test_who_has_no_adapter_is_told_so(store: AdapterStore) -> None:
    assert (store.get("nobody"), store.hash_of("nobody"), len(store)) == (None, "", 0)
    assert store.remove("nobody") == 0
    with pytest.raises(StoreError, match="'nobody' has no adapter"):
        store.export("nobody", store.folder / "x", None)
    with pytest.raises(StoreError, match="empty"):
        store.add("", weights_of(1))


def test_another_process_sees_what_was_added(store: AdapterStore) -> None:
    with AdapterStore(store.folder) as other:
        before = other.stamp
        store.add("a", weights_of(1))
        assert other.stamp != before
        assert other.users() == ["a"]
        assert other.get("a").hash == weights_of(1).hash  # type: ignore[union-attr]
        assert other.stamp == other.stamp


def test_equal_adapters_share_their_bytes_but_not_their_facts(store: AdapterStore) -> None:
    store.add("a", weights_of(1, score=0.1))
    size = (store.folder / "000001.segment").stat().st_size
    store.add("b", weights_of(1, score=0.9))
    assert (store.folder / "000001.segment").stat().st_size == size
    assert store.get("a").facts == {"score": 0.1}  # type: ignore[union-attr]
    assert store.get("b").facts == {"score": 0.9}  # type: ignore[union-attr]
    store.remove("a")
    assert store.get("b").hash == weights_of(1).hash  # type: ignore[union-attr]


def test_a_new_version_takes_the_place_of_the_old_one_and_old_views_stay(
    store: AdapterStore,
) -> None:
    store.add("a", weights_of(1))
    old = store.get("a")
    assert old is not None
    store.add("a", weights_of(2))
    assert (store.hash_of("a"), len(store)) == (weights_of(2).hash, 1)
    assert store.compact() > 0
    assert not holds(store.folder, bytes_of(weights_of(1)))
    assert torch.equal(old.head["linear.weight"], weights_of(1).head["linear.weight"])
    store.add("a", weights_of(1))
    assert store.hash_of("a") == old.hash


def test_going_back_to_an_earlier_version_needs_no_new_bytes(store: AdapterStore) -> None:
    for seed in (1, 2, 1):
        store.add("a", weights_of(seed))
    assert store.get("a").hash == weights_of(1).hash  # type: ignore[union-attr]
    records = sqlite3.connect(store.folder / "index.db").execute("SELECT count(*) FROM record")
    assert records.fetchone() == (2,)


def test_a_removed_user_leaves_no_byte_in_the_folder(store: AdapterStore) -> None:
    with AdapterStore(store.folder) as reader:
        for seed in range(20):
            store.add(f"user-number-{seed}", weights_of(seed))
        store.add("user-number-7", weights_of(107))  # so that 7 has an old version, too
        store.flush()
        assert reader.get("user-number-7") is not None
        assert holds(store.folder, b"user-number-7")
        assert store.remove("user-number-7", "unknown") == 1
        assert not holds(store.folder, b"user-number-7")
        for seed in (7, 107):
            assert not holds(store.folder, bytes_of(weights_of(seed)))
        assert reader.get("user-number-7") is None
        assert len(reader) == 19
        for seed in set(range(20)) - {7}:
            found = reader.get(f"user-number-{seed}")
            assert found is not None
            assert found.hash == weights_of(seed).hash


def test_a_user_is_named_in_no_file_name(store: AdapterStore) -> None:
    store.add("alice@example.org", weights_of(1))
    names = {path.name for path in store.folder.iterdir()}
    assert names <= {"index.db", "index.db-wal", "index.db-shm", "000001.segment"}


def test_compaction_rewrites_only_segments_with_something_to_give_back(
    tmp_path: Path,
) -> None:
    store = AdapterStore(tmp_path, segment_bytes=4000)
    for seed in range(12):
        store.add(str(seed), weights_of(seed))
    before = {path.name: path.stat().st_ino for path in store.folder.glob("*.segment")}
    assert len(before) > 3
    store.remove("0")
    assert {p.name: p.stat().st_ino for p in store.folder.glob("*.segment")} == before
    assert store.compact() > 0
    after = {path.name: path.stat().st_ino for path in store.folder.glob("*.segment")}
    assert len(before.items() - after.items()) == 1
    assert [store.get(str(seed)).hash for seed in range(1, 12)] == [  # type: ignore[union-attr]
        weights_of(seed).hash for seed in range(1, 12)
    ]
    assert store.compact() == 0


def test_a_removal_that_was_cut_off_before_its_bytes_went_is_finished_at_the_next_opening(
    tmp_path: Path,
) -> None:
    class CutOff(AdapterStore):
        def _settle(self) -> None:
            """The process ended here."""

    with CutOff(tmp_path) as store:
        store.add("a", weights_of(1))
        store.add("b", weights_of(2))
        store.remove("a")
    assert holds(tmp_path, bytes_of(weights_of(1)))
    with AdapterStore(tmp_path) as store:
        assert not holds(tmp_path, bytes_of(weights_of(1)))
        assert store.get("b").hash == weights_of(2).hash  # type: ignore[union-attr]


def test_a_damaged_record_is_named_with_what_to_do_and_the_others_are_read(
    store: AdapterStore,
) -> None:
    store.add("a", weights_of(1))
    store.add("b", weights_of(2))
    path = store.folder / "000001.segment"
    content = bytearray(path.read_bytes())
    content[content.index(bytes_of(weights_of(1)))] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"000001\.segment: is damaged between .* personalise"):
        store.get("a")
    assert store.get("b").hash == weights_of(2).hash  # type: ignore[union-attr]
    store.add("a", weights_of(1))  # the cure
    assert store.get("a").hash == weights_of(1).hash  # type: ignore[union-attr]
    assert store.get("b").hash == weights_of(2).hash  # type: ignore[union-attr]


def test_a_segment_that_is_short_or_gone_is_an_error_and_its_users_can_be_removed(
    store: AdapterStore,
) -> None:
    store.add("a", weights_of(1))
    store.add("b", weights_of(2))
    path = store.folder / "000001.segment"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match="ends at byte"):
        store.get("b")
    path.unlink()
    with AdapterStore(store.folder) as other, pytest.raises(StoreError, match="is gone"):
        other.get("b")
    assert store.remove("b") == 1
    assert store.users() == ["a"]
    store.add("a", weights_of(1))
    assert store.get("a").hash == weights_of(1).hash  # type: ignore[union-attr]


def test_a_damaged_index_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"this is no database" * 300)
    with pytest.raises(StoreError, match=r"index\.db: index: .* put the folder back"):
        AdapterStore(tmp_path)


def test_an_index_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    AdapterStore(tmp_path).close()
    with sqlite3.connect(tmp_path / "index.db") as index:
        index.execute("PRAGMA user_version = 7")
    with pytest.raises(StoreError, match="form 7, this version knows up to 1"):
        AdapterStore(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        AdapterStore(tmp_path / "file" / "adapters")


def test_readers_go_on_while_a_writer_adds_replaces_and_removes(store: AdapterStore) -> None:
    known = {weights_of(seed).hash for seed in range(10)}
    store.add("steady", weights_of(0))
    n_read, problems = 0, []
    is_over = threading.Event()

    def read() -> None:
        nonlocal n_read
        with AdapterStore(store.folder) as reader:
            while not is_over.is_set():
                for user in ("steady", "changing"):
                    found = reader.get(user)
                    fresh = None if found is None else AdapterWeights(**vars_of(found)).hash
                    is_lost = user == "steady" and found is None
                    is_wrong = fresh is not None and fresh not in known
                    if is_wrong and found is not None and user == "changing":
                        # What was removed since it was read has become zeros, as it should.
                        is_wrong = reader.hash_of(user) == found.hash
                    if is_lost or is_wrong:
                        problems.append((user, fresh))
                n_read += 1

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for round_ in range(40):
            store.add("changing", weights_of(round_ % 10))
            if round_ % 10 == 9:
                store.remove("changing")
    finally:
        is_over.set()
        thread.join()
    assert problems == []
    assert n_read > 1


def vars_of(weights: AdapterWeights) -> dict[str, Any]:
    names = ("settings", "n_frozen", "tensors", "head", "labels", "trunk")
    return {name: getattr(weights, name) for name in names}


def test_an_adapter_that_peft_does_not_know_is_not_exported(store: AdapterStore) -> None:
    prefix = AdapterWeights(MethodSettings(name="prefix"), 0, {}, {}, ("a",))
    store.add("a", prefix)
    with pytest.raises(ConfigError, match="prefix has no PEFT form"):
        store.export("a", store.folder / "x", None)
