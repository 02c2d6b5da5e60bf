"""What the machine computes fastest, and that looking changes nothing."""

from __future__ import annotations

import torch

from tailorbird.hardware import compute_dtype, processor, time_product


def test_timing_a_product_leaves_the_threads_as_they_were() -> None:
    before = torch.get_num_threads()
    time_product.cache_clear()
    assert time_product(torch.float32) > 0
    assert torch.get_num_threads() == before


def test_the_faster_type_is_taken_and_the_reason_told() -> None:
    dtype, reason = compute_dtype()
    fp32, bf16 = (time_product(kind, "cpu") for kind in (torch.float32, torch.bfloat16))
    assert dtype is (torch.bfloat16 if bf16 > 1.3 * fp32 else torch.float32)
    assert f"float32 {fp32:,.0f} GFLOP/s a core" in reason


def test_what_was_set_is_not_questioned() -> None:
    assert compute_dtype("float32") == (torch.float32, "compute type: float32 (as set)")


def test_processor_names_the_flags_that_matter_alone() -> None:
    facts = processor()
    assert facts["n_cores"] >= 1
    assert set(facts["flags"]) <= {
        *("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni", "amx_int8", "neon")
    }
