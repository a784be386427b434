"""Strict runs: what they refuse, and that a rerun gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from l2_harness.compare.runner import run_suite
from l2_harness.compare.strict import check_strict, strict_arithmetic
from l2_harness.compare.suite import Overrides, Suite, cells_of
from l2_harness.compare.suite_checks import check_suite
from l2_harness.config.errors import ConfigError
from l2_harness.norms import read_traces


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("half: {args: {dtype: bfloat16}}", "'half': a strict run .* this has dtype=bfloat16"),
        ("auto: {batch_size: auto}", "'auto': a strict run .* this has batch_size=auto"),
    ],
)
def test_what_is_not_strict(suite_of: Callable[..., Suite], method: str, message: str) -> None:
    of = Overrides(strict=True).applied(suite_of(method))
    with pytest.raises(ConfigError, match=message):
        check_suite(of)
    check_suite(suite_of(method))


def test_an_engine_that_makes_its_own_batches_is_not_strict(
    suite_of: Callable[..., Suite],
) -> None:
    of = Overrides(strict=True).applied(suite_of("fast: {class: l2vllm}"))
    plain, fast = cells_of(of)
    check_strict(of, plain)
    with pytest.raises(ConfigError, match="this has class l2vllm, which makes batches of its own"):
        check_strict(of, fast)


def test_it_computes_in_float32(suite_of: Callable[..., Suite]) -> None:
    asked = Overrides(model_args={"dtype": "bfloat16"}, strict=True).applied(suite_of())
    assert asked.models[0].args["dtype"] == "float32"
    assert asked.strict


def test_the_settings_end_with_the_run() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with strict_arithmetic(True):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.get_float32_matmul_precision() == "high"
        with strict_arithmetic(False):
            assert not torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True, warn_only=True)
        with strict_arithmetic(True):
            pass
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision("highest")


def test_a_rerun_is_the_same(suite_of: Callable[..., Suite], tmp_path: Path) -> None:
    of = Overrides(strict=True).applied(suite_of())
    norms = []
    for name in ("a", "b"):
        run_suite(of, tmp_path / name)
        folder = tmp_path / name / "cells" / "demo" / "l2_demo" / "plain" / "seed0" / "traces"
        traces = read_traces(folder).sort_values("doc_id")
        norms.append([one.tobytes() for one in traces["norms"]])
    assert norms[0] == norms[1]
