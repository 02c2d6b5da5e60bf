"""What the engine does on a GPU is what it does on a CPU, to rounding: `make test-gpu`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tailorbird.config import Settings, override_settings
from tailorbird.hardware import compute_dtype
from tailorbird.jobs import run_jobs
from tailorbird.jobs.job import Job
from tailorbird.modeling import build_model
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.modeling.word_loss import word_nll
from tailorbird.records import Example, StepReport
from tailorbird.tuning import TuningRun, plan_tuning, tune
from tailorbird.tuning.tasks import encode_examples
from tailorbird.weights import resolve_backbone

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

WORDS = ("parcel", "refund", "hello", "invoice")
ROWS = [Example(f"{word} number {k} please", word) for k in range(12) for word in WORDS]

Begin = Callable[..., TuningRun]


@pytest.fixture
def begin(tiny_backbone: Path) -> Begin:
    def start(device: str, *overrides: str) -> TuningRun:
        usual = ("tuning.dtype=float32", "tuning.n_epochs=3", "tuning.batch_size=8")
        settings = override_settings(Settings(), [*usual, "model.dropout=0", *overrides])
        torch.manual_seed(0)
        backbone = resolve_backbone(str(tiny_backbone), cache=tiny_backbone)
        model = build_model(backbone, sorted(WORDS), settings=settings.model).to(device)
        return TuningRun(model, plan_tuning(model, len(ROWS), settings)[0])

    return start


def losses(run: TuningRun, cache: TrunkCache | None = None) -> list[float]:
    """Of every step and validation, the head started from features."""
    rows = encode_examples(run.model, ROWS)
    if cache is not None:
        rows = run.with_trunk(rows, cache)
        assert rows.tokens.states is not None
    run.start_head(rows)
    return [report.loss for report in tune(run, rows, rows)]


@pytest.mark.parametrize("method", ["full", "lora", "adalora", "bottleneck", "prefix", "prompt"])
def test_losses_are_those_of_a_cpu(begin: Begin, method: str) -> None:
    there, here = (losses(begin(device, f"method.name={method}")) for device in ("cuda", "cpu"))
    assert there == pytest.approx(here, rel=1e-3)
    assert there[-1] < there[0]


def test_states_of_frozen_layers_may_be_kept(begin: Begin) -> None:
    wanted = ("method.name=lora", "model.freeze_layers=1")
    kept = losses(begin("cuda", *wanted), TrunkCache())
    assert kept == pytest.approx(losses(begin("cuda", *wanted)), rel=1e-4)


def test_products_run_in_half_precision_where_it_is_faster() -> None:
    dtype, reason = compute_dtype(device="cuda")
    assert "a core" not in reason
    if torch.cuda.get_device_capability() >= (8, 0):
        assert dtype is torch.bfloat16


def test_the_loss_over_words_is_that_of_a_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    states, weight = (torch.randn(n, 16, generator=generator) for n in (3000, 500))
    targets = torch.arange(3000) % 500
    found = []
    for device in ("cpu", "cuda"):
        z = states.detach().to(device).requires_grad_()
        loss = word_nll(z, weight.to(device), None, targets.to(device))
        loss.backward()
        assert z.grad is not None
        found.append((loss.item(), z.grad.cpu()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert (found[0][1] - found[1][1]).abs().max() < 1e-6


def test_jobs_that_share_steps_end_where_each_ends_alone(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    base = resolve_backbone(str(tiny_backbone), cache=tiny_backbone)
    usual = ("tuning.dtype=float32", "method.name=lora", "tuning.n_epochs=2", "tuning.batch_size=8")
    jobs = []
    for k in range(32):
        own = (f"tuning.seed={k}", f"method.rank={1 + k % 5}", "model.freeze_layers=1")
        rows = [row for row in range(len(ROWS)) if row % 4 < 2 + k % 3][: 8 + k % 9]
        jobs.append(Job(f"j{k}", rows, rows, override_settings(Settings(), [*usual, *own])))
    said: list[str] = []
    together = list(run_jobs(base, ROWS, jobs, tmp_path / "all", say=said.append))
    assert "32 jobs share their steps on the GPU" in said
    assert all(result.status == "done" for result in together)
    for job in jobs[::8]:
        (alone,) = run_jobs(base, ROWS, [job], tmp_path / job.name)
        mine = next(result for result in together if result.name == job.name)
        assert mine.loss == pytest.approx(alone.loss, rel=1e-3)
        assert mine.n_steps == alone.n_steps


def test_a_run_that_is_left_goes_on_to_the_same_losses(begin: Begin) -> None:
    whole = losses(begin("cuda"))
    run = begin("cuda")
    rows = encode_examples(run.model, ROWS)
    run.start_head(rows)
    first: list[StepReport] = []
    for report in tune(run, rows, rows):
        first.append(report)
        if report.step == 7:
            break
    tensors = {name: tensor.clone() for name, tensor in run.tensors().items()}
    later = begin("cuda")
    later.restore(tensors, run.facts())
    rest = [report.loss for report in tune(later, rows, rows)]
    assert [*(report.loss for report in first), *rest] == pytest.approx(whole, rel=1e-3)
