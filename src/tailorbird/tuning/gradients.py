"""Gradients of a batch, computed in parts that fit memory and add up to the whole.

Each part adds its share of the whole batch's loss: by rows, or by class weights where there are
any, never by the number of parts, so that unequal parts give equal gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tailorbird.data.batching import micro_batches
from tailorbird.errors import TuningError
from tailorbird.tuning.run import TuningRun
from tailorbird.tuning.tasks import EncodedExamples, Truth

_SIGNS = ("out of memory", "not enough memory", "can't allocate memory")


def add_gradients(run: TuningRun, train: EncodedExamples, rows: Sequence[int]) -> tuple[float, str]:
    """Backward through *rows*; returns their loss, and a note where memory was short.

    Where memory runs out, micro-batches become half as large, from here to the end of the run,
    and the batch is computed anew, with the same dropout as far as parts allow.

    Raises TuningError where half is still too large.
    """
    lengths = train.lengths_of(rows)
    random = RandomState(run.model.device)
    parts = micro_batches(rows, lengths, run.micro_batch_tokens)
    try:
        return _add(run, train, parts), ""
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not is_out_of_memory(error):
            raise
    # Out of the except block: the error holds the frames, and these the tensors, that must go.
    run.drop_gradients()
    random.restore()
    if run.model.device.type == "cuda":
        torch.cuda.empty_cache()
    length_of = dict(zip(rows, lengths, strict=True))
    largest = max(sum(length_of[row] for row in part) for part in parts)
    run.micro_batch_tokens = half = -(-largest // 2)
    try:
        loss = _add(run, train, micro_batches(rows, lengths, half))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise TuningError(
            f"memory is too short even for {half:,} tokens at once (step {run.step + 1})",
            where="tuning",
            cure="use --set tuning.recompute=true, fewer model.max_tokens, or a smaller backbone",
        ) from error
    return loss, f"memory ran out at {largest:,} tokens at once: {half:,} from here on"


def add_penalty(run: TuningRun) -> float:
    """Backward through the term that the way of tuning adds to the loss; returns its value."""
    if run.attachment.penalty is None:
        return 0.0
    penalty = run.attachment.penalty()
    torch.autograd.backward(penalty)
    return penalty.item()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether *error* is how torch says that memory is short, on a GPU or on the CPU.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"))
    True
    """
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(sign in said for sign in _SIGNS)


class RandomState:
    """The state of dropout's generators when this was made, to go back to."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        """Draw again what was drawn since."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)


def _add(run: TuningRun, train: EncodedExamples, parts: list[list[int]]) -> float:
    model, objective, device = run.model, run.objective, run.model.device
    whole = train.truth([row for part in parts for row in part]).to(device)
    if objective.is_joint and len(parts) > 1:
        return _add_jointly(run, train, parts, whole)
    total = 0.0
    for part in parts:
        batch, truth = train.batch(part).to(device), train.truth(part).to(device)
        pooled = [model.pool(batch) for _ in range(objective.n_passes)]  # each (U, D)
        loss = objective(model.head, pooled, truth, whole)
        loss.backward()
        total += loss.item()
    return total


def _add_jointly(
    run: TuningRun, train: EncodedExamples, parts: list[list[int]], whole: Truth
) -> float:
    """Gradients of a loss that compares all rows, with one part's activations at a time.

    First every row's pooled state without gradients; from them the loss and its gradient towards
    each state; then every part once more, with the dropout it had, to carry that gradient down.
    Source: Gao et al. 2021, section 3.3 (gradient cache).
    """
    model, objective, device = run.model, run.objective, run.model.device

    def pool(part: list[int]) -> list[Tensor]:
        batch = train.batch(part).to(device)
        return [model.pool(batch) for _ in range(objective.n_passes)]

    before: list[RandomState] = []
    states: list[list[Tensor]] = []
    with torch.no_grad():
        for part in parts:
            before.append(RandomState(device))
            states.append(pool(part))
    pooled = [torch.cat(one).requires_grad_() for one in zip(*states, strict=True)]
    loss = objective(model.head, pooled, whole, whole)
    loss.backward()
    after = RandomState(device)
    sizes = [len(some[0]) for some in states]
    gradients = [z.grad.split(sizes) for z in pooled if z.grad is not None]
    for k, part in enumerate(parts):
        before[k].restore()
        torch.autograd.backward(pool(part), [one[k] for one in gradients])
    after.restore()
    return loss.item()
