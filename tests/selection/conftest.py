"""Groups of random responses, in one call."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.signals import SIGNALS


def _make_rows(norms: np.ndarray, rng: np.random.Generator | None = None) -> ResponseRows:
    rng = rng or np.random.default_rng(len(norms))
    draws = rng.exponential(size=(4, len(norms))).astype(np.float32)
    signals = dict(zip(SIGNALS.names, [-draws[0], *draws[1:]], strict=True))
    return ResponseRows(np.asarray(norms, dtype=np.float32), signals)


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., ResponseRows]:
    """``make_rows(norms)``: the rows of a response with these norms, (T, layers)."""
    return _make_rows


@pytest.fixture(scope="session")
def random_group() -> Callable[..., list[ResponseRows]]:
    """``random_group(seed, lengths, layers)``: responses of these lengths."""

    def make(seed: int, lengths: list[int], layers: int = 3) -> list[ResponseRows]:
        rng = np.random.default_rng(seed)
        scale = rng.uniform(1, 300, layers)
        return [_make_rows(scale * rng.gamma(4.0, size=(n, layers)), rng) for n in lengths]

    return make


@pytest.fixture(scope="session")
def slow() -> Any:
    """The module with the scores written from their definitions."""
    spec = importlib.util.spec_from_file_location("slow", Path(__file__).with_name("slow.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
