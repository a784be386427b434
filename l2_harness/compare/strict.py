"""Arithmetic that gives the same numbers again: float32, without shortcuts, in a fixed order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from l2_harness.compare.suite import Cell, Suite
from l2_harness.config.errors import ConfigError
from l2_harness.models.capabilities import capabilities

#: What a strict run computes in.
DTYPE = "float32"


@contextmanager
def strict_arithmetic(wanted: bool) -> Iterator[None]:
    """No TF32, and deterministic kernels where torch has them; it warns where it has none."""
    import torch

    if not wanted:
        yield
        return
    # cuBLAS reads it when it starts
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_deterministic_debug_mode(), torch.get_float32_matmul_precision()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before[0])
        torch.set_float32_matmul_precision(before[1])


def check_strict(suite: Suite, cell: Cell) -> None:
    """Whether a cell of a strict suite computes in float32 at a batch size that is fixed.

    Raises:
        ConfigError: it does not.
    """
    if not suite.strict:
        return
    dtype = str(cell.args.get("dtype", "auto")).removeprefix("torch.")
    sizes = (cell.method.batch_size, cell.model.batch_size, suite.batch_size)
    size = next(one for one in sizes if one is not None)
    wrong = f"dtype={dtype}" if dtype != DTYPE else ""
    if isinstance(size, str):
        wrong = f"batch_size={size}"
    remedy = f"Pass dtype={DTYPE} and a number"
    if capabilities(cell.model_class).pool != "hf":
        wrong = f"class {cell.model_class}, which makes batches of its own"
        remedy = "Take hf or l2hf"
    if wrong:
        raise ConfigError(
            f"method {cell.method.name!r}: a strict run computes in float32 at a fixed batch size, "
            f"and this has {wrong}. {remedy}, or leave strict out."
        )
