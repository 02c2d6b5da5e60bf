"""A store whose writer is killed, or whose disk is full, is as it was before that write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tailorbird.bundle import AdapterStore
from tailorbird.errors import StoreError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and signals")

WRITE = '''
import itertools, os, sys
from pathlib import Path
import torch
from tailorbird.bundle import AdapterStore, adapter_store
from tailorbird.config import MethodSettings
from tailorbird.errors import StoreError
from tailorbird.modeling.adapters.weights import AdapterWeights

torch.set_num_threads(1)
adapter_store.SEGMENT_BYTES = 300_000

def version(user, number):
    """All numbers of one version are alike, so that a mixed one is seen."""
    tensors = {f"layers.0.{name}.adapter.{part}": torch.full((8, 400), float(number))
               for name in ("query", "key", "value") for part in "ab"}
    facts = {"number": number}
    return AdapterWeights(MethodSettings(name="lora"), 0, tensors, {}, (user,), "", facts)
'''
ADD_FOR_EVER = (
    WRITE
    + """
store = None
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        store = AdapterStore(Path(sys.argv[1]))
        for number in itertools.count(int(line)):
            store.add(f"user {number % 7}", version(f"user {number % 7}", number))
            if number == int(line):
                print("adding", flush=True)
            if number % 11 == 10:
                store.remove("user 0")
    print(child, flush=True)
    os.waitpid(child, 0)
    print("killed", flush=True)
"""
)
FILL_A_SMALL_DISK = (
    WRITE
    + """
import subprocess
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
with AdapterStore(folder / "adapters") as store:
    number = 0
    try:
        for number in range(1000):
            store.add(f"user {number}", version(f"user {number}", number))
    except StoreError as error:
        print(error)
    assert len(store) == number > 3, (len(store), number)
    for user in range(number):
        assert store.get(f"user {user}").facts == {"number": user}
    assert store.get(f"user {number}") is None
    store.add("user 0", version("user 1", 1))  # its bytes are there: no room is needed
    assert store.get("user 0").hash == store.hash_of("user 1")
    store.remove("user 1", "user 2", "user 3")
with AdapterStore(folder / "adapters") as store:
    store.add("another", version("another", 5))
    print("users", len(store), number - 3 + 1)
"""
)


def test_a_writer_that_is_killed_leaves_whole_versions_only(tmp_path: Path) -> None:
    folder = tmp_path / "adapters"
    AdapterStore(folder).close()
    newest = 0
    with subprocess.Popen(
        [sys.executable, "-c", ADD_FOR_EVER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for round_ in range(10):
            parent.stdin.write(f"{1000 * round_}\n")
            parent.stdin.flush()
            first, second = parent.stdout.readline(), parent.stdout.readline()
            child = int(first) if first.strip().isdecimal() else int(second)
            time.sleep(0.004 * round_)
            os.kill(child, 9)
            assert parent.stdout.readline() == "killed\n"
            with AdapterStore(folder) as store:
                for user in store.users():
                    found = store.get(user)
                    assert found is not None
                    number = found.facts["number"]
                    assert found.labels == (user,)
                    assert all((tensor == number).all() for tensor in found.tensors.values())
                    newest = max(newest, number)
        parent.stdin.close()
    assert newest > 8_000, "no version of the last rounds arrived"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_bytes_that_find_no_room_leave_the_store_as_it_was(tmp_path: Path) -> None:
    from .test_adapter_store import weights_of

    with AdapterStore(tmp_path) as store:
        store.add("a", weights_of(1))
        path = tmp_path / "000001.segment"
        path.rename(tmp_path / "kept")
        path.symlink_to("/dev/full")
        with pytest.raises(StoreError, match=r"No space left on device.*free some space"):
            store.add("a", weights_of(2))
        path.unlink()
        (tmp_path / "kept").rename(path)
        assert store.get("a").hash == weights_of(1).hash  # type: ignore[union-attr]
        store.add("a", weights_of(2))
        assert store.get("a").hash == weights_of(2).hash  # type: ignore[union-attr]


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="may not make a small disk of its own")
def test_a_disk_that_fills_up_leaves_every_adapter_that_was_added(tmp_path: Path) -> None:
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", FILL_A_SMALL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    refusal, users = done.stdout.splitlines()
    assert "free some space" in refusal
    assert users.split()[1] == users.split()[2]
