"""The cache of frozen states: found again, shared, bounded, and whole whatever was killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tailorbird.config import ModelSettings
from tailorbird.modeling import TextModel, build_model
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.modeling.trunk_cache import TrunkCache, trunk_key
from tailorbird.modeling.trunk_file import TrunkFile
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone

FULL_DISK = Path("/dev/full")
TEXTS = ["a parcel", "my refund", "a parcel", "hi"]
N_BYTES = (9 + 10 + 4) * 32 * 4  # of the three different texts, with [CLS] and [SEP]

Change = Callable[[Path, Path], object]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    folder = write_tiny_backbone(tmp_path_factory.mktemp("tiny"))
    backbone = resolve_backbone(str(folder), cache=folder)
    return build_model(backbone, ["x", "y"], settings=ModelSettings())


@pytest.fixture
def tokens(model: TextModel) -> TokenizedTexts:
    model.backbone.freeze(1)
    return model.tokenizer(TEXTS)


class Ears:
    """Hears what a cache says, and how far it is."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.progress: list[tuple[int, int]] = []

    def cache(self, budget_bytes: int, folder: Path | None, *, mb: float = 100.0) -> TrunkCache:
        return TrunkCache(
            budget_bytes,
            folder,
            file_bytes=int(mb * 1e6),
            say=self.said.append,
            on_progress=lambda done, n_all: self.progress.append((done, n_all)),
        )


def states(model: TextModel, tokens: TokenizedTexts, cache: TrunkCache) -> torch.Tensor:
    cached = model.with_trunk(tokens, cache).states
    assert cached is not None
    return cached.take(range(len(tokens)))


def files(folder: Path) -> tuple[Path, Path]:
    (rows,), (index,) = folder.glob("*.states"), folder.glob("*.index")
    return rows, index


def test_a_later_run_finds_what_an_earlier_one_computed(
    model: TextModel, tokens: TokenizedTexts, tmp_path: Path
) -> None:
    first, second = Ears(), Ears()
    computed = states(model, tokens, first.cache(0, tmp_path))
    found = states(model, tokens, second.cache(0, tmp_path))
    assert torch.equal(found, computed)
    assert first.progress == [(23, 23)]
    assert second.progress == []
    assert second.said == ["frozen layers: states of all 3 texts were there already"]


def test_texts_of_the_same_tokens_share_one_entry(
    model: TextModel, tokens: TokenizedTexts, tmp_path: Path
) -> None:
    cached = states(model, tokens, TrunkCache(0, tmp_path))
    rows, _ = files(tmp_path)
    assert rows.stat().st_size == N_BYTES
    assert torch.equal(cached[:9], cached[19:28])


def test_the_same_tokens_as_another_part_of_a_pair_are_another_text(model: TextModel) -> None:
    model.backbone.freeze(1)
    types = [[0, 0, 0], [0, 1, 1], [0, 0, 0]]
    pairs = TokenizedTexts.from_lists([[2, 7, 8]] * 3, types=types)
    cached = states(model, pairs, TrunkCache())
    with torch.inference_mode():
        computed = model.backbone.trunk(pairs.take([0, 1, 2]))  # type: ignore[operator]
    assert torch.allclose(cached, computed, atol=1e-6)
    assert not torch.allclose(cached[:3], cached[3:6], atol=1e-3)
    assert torch.equal(cached[:3], cached[6:])


def test_new_texts_are_added_to_those_that_are_there(
    model: TextModel, tokens: TokenizedTexts, tmp_path: Path
) -> None:
    ears = Ears()
    before = states(model, tokens, TrunkCache(0, tmp_path))
    more = model.tokenizer([*TEXTS, "where is it"])
    after = states(model, more, ears.cache(0, tmp_path))
    assert torch.equal(after[: len(before)], before)
    assert ears.progress == [(11, 11)]
    assert ears.said[0].startswith("frozen layers: states of 1 texts computed once, in ")
    assert ears.said[0].endswith("; of 3 they were there)")


def test_another_trunk_finds_nothing(model: TextModel, tmp_path: Path) -> None:
    tokens = model.tokenizer(TEXTS)
    encoder = model.backbone
    keys = set()
    weight = encoder.get_parameter("layers.0.query.weight")
    for n_frozen, dtype, change in [
        (1, torch.float32, 0.0),
        (2, torch.float32, 0.0),
        (1, torch.bfloat16, 0.0),
        (1, torch.float32, 1e-3),
    ]:
        encoder.freeze(n_frozen)
        encoder.compute_dtype = dtype
        with torch.no_grad():
            weight += change
        keys.add(trunk_key(encoder))  # type: ignore[arg-type]
        states(model, tokens, TrunkCache(0, tmp_path))
        with torch.no_grad():
            weight -= change
    encoder.compute_dtype = torch.float32
    assert {path.stem for path in tmp_path.glob("*.states")} == keys
    assert len(keys) == 4


def test_tuned_layers_and_the_head_are_no_part_of_the_trunk(model: TextModel) -> None:
    encoder = model.backbone
    encoder.freeze(1)
    key = trunk_key(encoder)  # type: ignore[arg-type]
    with torch.no_grad():
        encoder.get_parameter("layers.1.query.weight").add_(1.0)
    assert trunk_key(encoder) == key  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "n_found"),
    [
        pytest.param(lambda rows, index: cut(index, 1), 2, id="half an entry"),
        pytest.param(lambda rows, index: cut(index, 32), 2, id="rows without an entry"),
        pytest.param(lambda rows, index: cut(rows, 1), 2, id="an entry without its rows"),
        pytest.param(lambda rows, index: add(rows, b"x" * 130), 3, id="more rows"),
        pytest.param(lambda rows, index: add(index, b"x" * 40), 3, id="a foreign entry"),
        pytest.param(lambda rows, index: cut(index, 0, flip=30), 0, id="a damaged entry"),
        pytest.param(lambda rows, index: cut(index, 0, flip=0), 0, id="another form"),
        pytest.param(lambda rows, index: index.unlink(), 0, id="no index"),
        pytest.param(lambda rows, index: rows.unlink(), 0, id="no rows"),
    ],
)
def test_after_a_killed_run_the_valid_part_is_used_and_the_rest_made_again(
    change: Change, n_found: int, model: TextModel, tokens: TokenizedTexts, tmp_path: Path
) -> None:
    computed = states(model, tokens, TrunkCache(0, tmp_path))
    rows, index = files(tmp_path)
    whole = rows.stat().st_size, index.stat().st_size
    change(rows, index)
    ears = Ears()
    assert torch.allclose(states(model, tokens, ears.cache(0, tmp_path)), computed, atol=1e-6)
    expected = "all 3 texts were there" if n_found == 3 else f"of {3 - n_found} texts computed"
    assert expected in ears.said[0]
    states(model, model.tokenizer(["one more"]), TrunkCache(0, tmp_path))
    assert rows.stat().st_size == whole[0] + 9 * 128
    assert index.stat().st_size == whole[1] + 32


def cut(path: Path, n_bytes: int, *, flip: int | None = None) -> None:
    content = bytearray(path.read_bytes())
    if flip is not None:
        content[flip] ^= 1
    path.write_bytes(content[: len(content) - n_bytes])


def add(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


def test_two_runs_fill_one_file(tmp_path: Path) -> None:
    one, two, both = (np.full((n, 4), n, np.float32) for n in (1, 2, 3))
    with TrunkFile(tmp_path, "k", 4) as mine, TrunkFile(tmp_path, "k", 4) as theirs:
        mine.append([(b"a" * 16, 1)], one)
        theirs.append([(b"b" * 16, 2)], two)
        mine.append([(b"b" * 16, 2), (b"a" * 16, 1)], both)  # both are there already
        assert mine.entries == theirs.entries == {b"a" * 16: (0, 1), b"b" * 16: (1, 2)}
        rows = mine.rows()
    assert rows[:, 0].tolist() == [1.0, 2.0, 2.0]


def test_the_files_used_longest_ago_go_first(tmp_path: Path) -> None:
    for age, key in enumerate(["new", "old", "older"]):
        with TrunkFile(tmp_path, key, 4) as file:
            file.append([(b"a" * 16, 10)], np.zeros((10, 4), np.float32))
        os.utime(tmp_path / f"{key}.states", (10_000 - age, 10_000 - age))
    with TrunkFile(tmp_path, "mine", 4) as file:
        assert file.make_room(100, limit_bytes=600) == 100
        assert len([*tmp_path.glob("*.states")]) == 4
        assert file.make_room(100, limit_bytes=500) == 100
        assert {path.stem for path in tmp_path.glob("*.index")} == {"new", "old", "mine"}
        assert file.make_room(1000, limit_bytes=500) == 500
        assert {path.stem for path in tmp_path.glob("*.states")} == {"mine"}


def test_where_there_is_no_place_it_says_so_and_nothing_is_cached(
    model: TextModel, tokens: TokenizedTexts, tmp_path: Path
) -> None:
    ears = Ears()
    cache = ears.cache(1000, tmp_path, mb=0.001)
    assert model.with_trunk(tokens, cache).states is None
    assert ears.progress == []
    assert ears.said == [
        "frozen layers: computed in every epoch; their states need 0 MB, and 0 MB are free for "
        "them (model.trunk_cache_mb in memory, model.trunk_file_mb on disk)"
    ]


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("budget_bytes", [N_BYTES, N_BYTES - 1])
def test_where_the_disk_is_full_memory_is_taken_or_nothing(
    budget_bytes: int, model: TextModel, tokens: TokenizedTexts, tmp_path: Path
) -> None:
    ears = Ears()
    (tmp_path / f"{trunk_key(model.backbone)}.states").symlink_to(FULL_DISK)  # type: ignore[arg-type]
    cached = model.with_trunk(tokens, ears.cache(budget_bytes, tmp_path))
    assert (cached.states is not None) == (budget_bytes == N_BYTES)
    assert "the file of states ends here ([Errno 28] No space left on device)" in ears.said[0]


def test_a_folder_that_cannot_be_made_leaves_the_memory(
    model: TextModel, tokens: TokenizedTexts, tmp_path: Path
) -> None:
    ears = Ears()
    (tmp_path / "file").write_text("no folder")
    states(model, tokens, ears.cache(N_BYTES, tmp_path / "file"))
    assert ears.said[0].startswith("frozen layers: no file of states (")
    assert ears.said[0].endswith("); in memory alone")


def test_memory_holds_one_trunk_at_a_time(model: TextModel, tokens: TokenizedTexts) -> None:
    ears = Ears()
    cache = ears.cache(N_BYTES, None)
    states(model, tokens, cache)
    states(model, tokens, cache)
    assert ears.said[1] == "frozen layers: states of all 3 texts were there already"
    model.backbone.freeze(2)
    states(model, tokens, cache)
    assert cache.memory.n_bytes == N_BYTES
