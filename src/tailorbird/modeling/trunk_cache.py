"""The states that frozen layers make of texts, computed once and found again by later runs.

A state is kept under the hash of its text's tokens and the hash of its trunk: the weights of the
embeddings and of the frozen layers, how many are frozen, and what they compute in. It is always
fp32, as the residual stream is: half of that would not give the losses of a run without a cache.

Shape letters: N texts, T tokens, D width.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tailorbird import __version__
from tailorbird.modeling.backbones import PackedBackbone
from tailorbird.modeling.packing import TokenizedTexts, inference_batches
from tailorbird.modeling.states import Place, StoredStates
from tailorbird.modeling.trunk_file import TrunkFile

WRITE_BYTES = 2**25
"""States are handed to the disk in pieces of about this size."""


class _Text(NamedTuple):
    """A text that has no states yet: its hash, and where it first stands among the N."""

    name: bytes
    at: int


class TrunkCache:
    """States of frozen layers: in a file for later runs, and in memory up to a budget.

    Args:
        budget_bytes: memory for states. They are read from there as far as it goes, and from the
            mapped file beyond it. It holds the states of one trunk at a time.
        folder: where files are kept, one trunk a file; None: memory alone.
        file_bytes: what the files of all trunks may take; those used longest ago go first.
        say: hears in a sentence what was computed and what was found.
        on_progress: hears tokens done and tokens to do, after each batch while states are computed.
    """

    def __init__(
        self,
        budget_bytes: int = 2**30,
        folder: Path | None = None,
        *,
        file_bytes: int = 2**32,
        say: Callable[[str], None] = lambda _: None,
        on_progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self.budget_bytes = budget_bytes
        self.folder = folder if file_bytes > 0 else None
        self.file_bytes = file_bytes
        self.say = say
        self.on_progress = on_progress
        self.memory = _Memory("")

    def states(self, encoder: PackedBackbone, tokens: TokenizedTexts) -> StoredStates | None:
        """The states of *tokens* below the first tuned layer; what is missing is computed.

        None where they fit neither the memory nor the disk that is allowed: `say` has heard it.
        """
        key = trunk_key(encoder)
        if key != self.memory.key:
            self.memory = _Memory(key)
        names = text_names(tokens)
        first: dict[bytes, int] = {}
        for index, name in enumerate(names):
            first.setdefault(name, index)
        with ExitStack() as stack:
            file = self._open(stack, key, encoder.width)
            known = self.memory.places.keys() | (file.entries.keys() if file else set())
            missing = [_Text(name, index) for name, index in first.items() if name not in known]
            if missing:
                filling = _Filling(self, encoder, file)
                if not filling.fill(tokens, missing, n_found=len(first) - len(missing)):
                    return None
            elif names:
                self.say(f"frozen layers: states of all {len(first):,} texts were there already")
            if file is not None:
                self._load(file, first)
            return self._gather(names, file)

    def _open(self, stack: ExitStack, key: str, width: int) -> TrunkFile | None:
        if self.folder is None:
            return None
        try:
            return stack.enter_context(TrunkFile(self.folder, key, width))
        except (OSError, NotImplementedError) as error:  # the second: no locks on this disk
            self.say(f"frozen layers: no file of states ({error}); in memory alone")
            self.folder = None
            return None

    def _load(self, file: TrunkFile, names: dict[bytes, int]) -> None:
        """Copy states from the file into memory, as far as the budget goes."""
        room = self.budget_bytes - self.memory.n_bytes
        chosen: list[tuple[bytes, int]] = []
        parts: list[NDArray[np.float32]] = []
        rows = file.rows()
        for name in names:
            start, n_tokens = file.entries.get(name, (0, 0))
            if n_tokens and name not in self.memory.places and n_tokens * file.row_bytes <= room:
                room -= n_tokens * file.row_bytes
                chosen.append((name, n_tokens))
                parts.append(rows[start : start + n_tokens])
        if parts:
            self.memory.add(chosen, np.concatenate(parts))

    def _gather(self, names: Sequence[bytes], file: TrunkFile | None) -> StoredStates:
        blocks, places = list(self.memory.blocks), dict(self.memory.places)
        if file is not None:
            for name in set(names) - places.keys():
                places[name] = Place(len(blocks), *file.entries[name])
            blocks.append(file.rows())
        return StoredStates(blocks, [places[name] for name in names])


class _Memory:
    """States of one trunk in memory."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.n_bytes = 0
        self.blocks: list[NDArray[np.float32]] = []
        self.places: dict[bytes, Place] = {}

    def add(self, texts: Sequence[tuple[bytes, int]], states: NDArray[np.float32]) -> None:
        """Keep *states* (T, D) of texts, each a hash and its number of tokens."""
        start = 0
        for name, n_tokens in texts:
            self.places[name] = Place(len(self.blocks), start, n_tokens)
            start += n_tokens
        self.blocks.append(states)
        self.n_bytes += states.nbytes


class _Filling:
    """Computing states, and bringing them to the file or, where that is full, into memory."""

    def __init__(self, cache: TrunkCache, encoder: PackedBackbone, file: TrunkFile | None) -> None:
        self.cache = cache
        self.encoder = encoder
        self.file = file
        self.file_room = 0
        self.waiting: list[tuple[list[tuple[bytes, int]], NDArray[np.float32]]] = []
        self.n_waiting_bytes = 0

    def fill(self, tokens: TokenizedTexts, missing: Sequence[_Text], *, n_found: int) -> bool:
        """Compute the states of *missing*; whether all found a place."""
        cache, started_s = self.cache, time.perf_counter()
        lengths_of_all = tokens.lengths
        lengths = [lengths_of_all[text.at] for text in missing]
        n_tokens = sum(lengths)
        n_bytes = n_tokens * self.encoder.width * 4
        self._make_room(n_bytes)
        if n_bytes > self.file_room + self._memory_room():
            return self._give_up(n_bytes)
        n_done = 0
        for places in inference_batches(lengths):
            states = self._compute(tokens, [missing[place].at for place in places])
            texts = [(missing[place].name, lengths[place]) for place in places]
            self.waiting.append((texts, states))
            self.n_waiting_bytes += states.nbytes
            n_done += len(states)
            if (self.n_waiting_bytes >= WRITE_BYTES or n_done == n_tokens) and not self._store():
                return self._give_up(n_bytes)
            cache.on_progress(n_done, n_tokens)
        found = f"; of {n_found:,} they were there" if n_found else ""
        cache.say(
            f"frozen layers: states of {len(missing):,} texts computed once, in "
            f"{time.perf_counter() - started_s:.1f} s ({n_bytes / 1e6:,.0f} MB{found})"
        )
        return True

    def _make_room(self, n_bytes: int) -> None:
        """Find out what the file takes; others are evicted only where it is then enough."""
        if self.file is None:
            return
        limit_bytes = self.cache.file_bytes
        most = min(n_bytes, limit_bytes - self.file.n_bytes)
        if most > 0 and n_bytes <= most + self._memory_room():
            self.file_room = self.file.make_room(most, limit_bytes=limit_bytes)

    def _memory_room(self) -> int:
        return self.cache.budget_bytes - self.cache.memory.n_bytes

    @torch.inference_mode()
    def _compute(self, tokens: TokenizedTexts, texts: Sequence[int]) -> NDArray[np.float32]:
        """(T, D) on the CPU; a batch at a time goes to the device of the weights and back."""
        batch = tokens.take(texts).to(self.encoder.words.weight.device)
        states: NDArray[np.float32] = self.encoder.trunk(batch).float().cpu().numpy()
        return states

    def _store(self) -> bool:
        """Bring what waits to the file, and what it does not take into memory; whether all fits."""
        texts = [text for part, _ in self.waiting for text in part]
        states = np.concatenate([part for _, part in self.waiting])
        self.waiting, self.n_waiting_bytes = [], 0
        ends = np.cumsum([n_tokens for _, n_tokens in texts]) * self.encoder.width * 4
        n_texts = int(np.searchsorted(ends, self.file_room, side="right"))
        if self.file is not None and n_texts:
            n_tokens = sum(n for _, n in texts[:n_texts])
            try:
                self.file.append(texts[:n_texts], states[:n_tokens])
            except OSError as error:
                self.cache.say(f"frozen layers: the file of states ends here ({error})")
                self.file_room = 0
            else:
                self.file_room -= states[:n_tokens].nbytes
                texts, states = texts[n_texts:], states[n_tokens:].copy()
        if states.nbytes > self._memory_room():
            return False
        if texts:
            self.cache.memory.add(texts, states)
        return True

    def _give_up(self, n_bytes: int) -> bool:
        allowed = max(0, self.file_room) + max(0, self._memory_room())
        self.cache.say(
            f"frozen layers: computed in every epoch; their states need {n_bytes / 1e6:,.0f} MB, "
            f"and {allowed / 1e6:,.0f} MB are free for them (model.trunk_cache_mb in memory, "
            "model.trunk_file_mb on disk)"
        )
        return False


def text_names(tokens: TokenizedTexts) -> list[bytes]:
    """A hash of the tokens and segment types of each text: texts of the same share one.

    >>> names = text_names(TokenizedTexts.from_lists([[5, 6], [7], [5, 6]]))
    >>> names[0] == names[2] != names[1]
    True
    """
    flat, offsets = tokens.flat.to(torch.int32).numpy(), tokens.offsets.tolist()
    types = None if tokens.types is None else tokens.types.to(torch.int8).numpy()
    names = []
    for start, end in pairwise(offsets):
        digest = hashlib.blake2b(flat[start:end].tobytes(), digest_size=16)
        if types is not None and types[start:end].any():  # without, all are 0
            digest.update(b"types" + types[start:end].tobytes())
        names.append(digest.digest())
    return names


def trunk_key(encoder: PackedBackbone) -> str:
    """A hash of all that the states below the first tuned layer depend on, but for the text."""
    device = encoder.words.weight.device.type  # another device rounds otherwise
    config = {key: value for key, value in encoder.config.items() if not key.startswith("_")}
    facts = [__version__, config, encoder.n_frozen, str(encoder.compute_dtype), device]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    tuned = tuple(f"layers.{k}." for k in range(encoder.n_frozen, encoder.n_layers))
    for name, tensor in encoder.state_dict().items():
        if not name.startswith((*tuned, "prompt.")):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]
