"""Shares of adapters that threads add at the same time, and what comes of it."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch
from torch import nn

from tailorbird.modeling.adapters.segmented import (
    SegmentedLora,
    arrange,
    own_linear,
    share_out,
)
from tailorbird.modeling.adapters.weights import LoraFactors
from tailorbird.modeling.threads import in_threads

WIDTH, OUT = 12, 20


@pytest.fixture
def texts() -> tuple[list[int], list[int]]:
    """Lengths and owners of 90 texts of 60 adapters and of nobody, arranged."""
    draw = random.Random(0)
    lengths = [draw.randint(1, 30) for _ in range(90)]
    owners = [-1] * 5 + [draw.randrange(60) for _ in lengths[5:]]
    order = arrange(lengths, owners)
    return [lengths[at] for at in order], [owners[at] for at in order]


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.3)])
def test_each_adapter_adds_to_its_own_texts_alone(
    texts: tuple[list[int], list[int]], n_threads: int, dtype: torch.dtype, tolerance: float
) -> None:
    lengths, owners = texts
    torch.manual_seed(0)
    # Ranks differ, and some adapters add nothing to a layer.
    factors = [
        [
            LoraFactors(torch.randn(1 + n % 5, WIDTH), torch.randn(OUT, 1 + n % 5), 0.5)
            if n % 7 != layer
            else None
            for n in range(60)
        ]
        for layer in range(3)
    ]
    shares = share_out(lengths, owners, n_threads)
    assert len(shares) == n_threads
    x, wide = torch.randn(sum(lengths), WIDTH), torch.randn(sum(lengths), 3 * OUT)
    expected = wide.clone()
    owner = torch.repeat_interleave(torch.tensor(owners), torch.tensor(lengths))  # (T,)
    for part, own in zip(expected.chunk(3, 1), factors, strict=True):
        for number, one in enumerate(own):
            if one is not None:
                part[owner == number] += one.scale * x[owner == number] @ one.a.T @ one.b.T

    found = [SegmentedLora(own, shares) for own in factors]
    assert found[0].adds_with(found)
    wide = wide.to(dtype)
    before = wide.clone()
    with torch.no_grad():
        found[0].add_with(found, x.to(dtype), wide.chunk(3, 1))

    assert (wide.float() - expected).abs().max() < tolerance
    assert torch.equal(wide[owner < 0], before[owner < 0])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_texts_may_stand_in_any_order(n_threads: int) -> None:
    draw = random.Random(1)
    lengths = [draw.randint(1, 30) for _ in range(40)]
    owners = [draw.randrange(-1, 4) for _ in lengths]
    torch.manual_seed(0)
    factors = [LoraFactors(torch.randn(2, WIDTH), torch.randn(OUT, 2), 1.0) for _ in range(4)]
    x, layer = torch.randn(sum(lengths), WIDTH), nn.Linear(WIDTH, OUT)
    owner = torch.repeat_interleave(torch.tensor(owners), torch.tensor(lengths))
    expected = torch.zeros(len(x), OUT)
    for number, one in enumerate(factors):
        expected[owner == number] = x[owner == number] @ one.a.T @ one.b.T

    with torch.no_grad():
        found = SegmentedLora(factors, share_out(lengths, owners, n_threads))(
            x, torch.zeros(len(x), OUT), layer
        )

    assert (found - expected).abs().max() < 1e-4


def test_threads_have_about_as_much_to_do(texts: tuple[list[int], list[int]]) -> None:
    shares = share_out(*texts, 3)
    adapters = [one.adapter for share in shares for one in share]
    assert sorted(adapters) == sorted(set(texts[1]) - {-1})
    n_tokens = [sum(one.n_tokens for one in share) for share in shares]
    assert max(n_tokens) < 1.3 * min(n_tokens)


@pytest.mark.parametrize("n_runs", [1, 2, 5])
def test_heads_of_different_sizes_get_their_own_rows(n_runs: int) -> None:
    torch.manual_seed(0)
    heads = [nn.Linear(WIDTH, 1 + number) for number in range(n_runs)]
    starts = [number * (number + 1) // 2 for number in range(n_runs + 1)]  # 1, 2, 3 … rows
    runs = [slice(*cut) for cut in pairwise(starts)]
    x = torch.randn(starts[-1], WIDTH)
    with torch.no_grad():
        expected = [head(x[run]) for head, run in zip(heads, runs, strict=True)]
        found = own_linear(x, runs, [one.weight for one in heads], [one.bias for one in heads])
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_what_goes_wrong_in_a_thread_is_raised_once_all_are_done() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        assert torch.get_num_threads() == 1
        assert torch.is_inference_mode_enabled()
        if number == 1:
            raise ArithmeticError(number)
        done.append(number)
        return number

    n_threads = torch.get_num_threads()
    assert in_threads(work, [0, 2, 3]) == [0, 2, 3]
    with pytest.raises(ArithmeticError):
        in_threads(work, [0, 1, 2])
    with pytest.raises(ArithmeticError):
        in_threads(work, [1, 0, 2])
    assert sorted(done) == [0, 0, 0, 2, 2, 2, 3]
    assert torch.get_num_threads() == n_threads
