"""Shares of adapters that threads add at the same time, and what comes of it."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from tailorbird.modeling.adapters.blocked import BlockedLora, Shares, arrange, evened
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
def test_each_adapter_adds_to_its_own_texts_alone(
    texts: tuple[list[int], list[int]], n_threads: int
) -> None:
    lengths, owners = texts
    torch.manual_seed(0)
    layers = [nn.Linear(WIDTH, OUT) for _ in range(3)]
    factors = [
        [LoraFactors(torch.randn(5, WIDTH), torch.randn(OUT, 5), 0.5) for _ in range(60)]
        for _ in layers
    ]
    shares = Shares.of(lengths, owners, n_threads)
    assert shares is not None
    assert len(shares.blocks) == n_threads
    x, wide = torch.randn(sum(lengths), WIDTH), torch.randn(sum(lengths), 3 * OUT)
    expected = wide.clone()
    owner = torch.repeat_interleave(torch.tensor(owners), torch.tensor(lengths))  # (T,)
    for part, own in zip(expected.chunk(3, 1), factors, strict=True):
        for number, one in enumerate(own):
            part[owner == number] += one.scale * x[owner == number] @ one.a.T @ one.b.T

    found = [
        BlockedLora(evened(own, one), shares) for own, one in zip(factors, layers, strict=True)
    ]
    assert found[0].adds_with(found)
    with torch.no_grad():
        found[0].add_with(found, x, wide.chunk(3, 1))

    assert (wide - expected).abs().max() < 1e-4
    assert torch.equal(wide[owner < 0], expected[owner < 0])


def test_threads_have_about_as_much_to_do(texts: tuple[list[int], list[int]]) -> None:
    shares = Shares.of(*texts, 3)
    assert shares is not None
    assert sorted(shares.order) == sorted(set(texts[1]) - {-1})
    n_tokens = [sum(block.n_tokens * block.n_adapters for block in one) for one in shares.blocks]
    assert max(n_tokens) < 1.3 * min(n_tokens)


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
