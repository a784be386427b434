from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2_harness.norms.quantile_sketch import QuantileSketch
from l2_harness.norms.row_norms import finite_row_norms, row_norms
from l2_harness.norms.running_quantiles import RunningQuantiles

QUANTILES = (0.25, 0.4, 0.5, 0.75)
Make = Callable[[np.random.Generator, int], np.ndarray]


def _tokens(rng: np.random.Generator, n: int) -> np.ndarray:
    """As norms look: a level that wanders, and bursts."""
    level = 60 + np.cumsum(rng.normal(0, 0.4, n))
    return level * rng.lognormal(0, 0.15, n) * np.where(rng.random(n) < 0.05, 3, 1)


SEQUENCES: dict[str, Make] = {
    "tokens": _tokens,
    "heavy-tailed": lambda rng, n: rng.pareto(0.8, n) + 1,
    "rising": lambda rng, n: np.linspace(1, 900, n) + rng.normal(0, 3, n),
    "falling": lambda rng, n: 1000 - np.linspace(1, 900, n),
    "exponential growth": lambda rng, n: 1.01 ** np.minimum(np.arange(n), 4000),
    "constant": lambda rng, n: np.full(n, 37.25),
    "duplicates": lambda rng, n: rng.integers(1, 4, n).astype(float),
    "two levels": lambda rng, n: np.where(rng.random(n) < 0.5, 10.0, 1000.0),
    "attention sink": lambda rng, n: np.concatenate([[3e4], rng.normal(50, 2, n - 1)]),
}


def _running(n_slots: int, capacity: int = 64) -> RunningQuantiles:
    """One group of sequences, none of which has a value."""
    running = RunningQuantiles(n_slots, QUANTILES, capacity=capacity)
    running.add_group()
    return running


def _add(
    running: RunningQuantiles, values: np.ndarray, slots: np.ndarray | slice = slice(None)
) -> None:
    """One value a sequence; the quantiles that were foretold are those that come."""
    tensor = torch.from_numpy(values.astype(np.float32))[None]
    foretold = running.next().of(tensor)
    running.add(tensor, slots)
    enters = tensor < torch.inf
    assert torch.equal(foretold[:, enters], running.read()[:, enters])


def _read(running: RunningQuantiles) -> torch.Tensor:
    return running.read()[:, 0]


@pytest.mark.parametrize("name", SEQUENCES)
def test_quartiles_equal_numpy_at_every_step(name: str) -> None:
    """Through several doublings of the buffers, of sequences side by side."""
    rng = np.random.default_rng(1)
    values = np.stack([SEQUENCES[name](rng, 300) for _ in range(3)], axis=1).astype(np.float32)
    running = _running(3, capacity=4)
    for t in range(300):
        _add(running, values[t])
        expected = np.quantile(values[: t + 1].astype(np.float64), QUANTILES, axis=0)
        np.testing.assert_allclose(_read(running).numpy(), expected, rtol=3e-7)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_sequences_with_gaps(data: st.DataObject) -> None:
    """Slots left out and values that are not finite do not enter."""
    number = st.one_of(
        st.floats(0, 1e6, width=32), st.just(float("inf")), st.sampled_from([1.0, 2.0])
    )
    steps = data.draw(st.lists(st.tuples(number, number), min_size=1, max_size=40))
    running = _running(2, capacity=1)
    kept: list[list[float]] = [[], []]
    for step in steps:
        _add(running, np.array(step))
        for slot in range(2):
            kept[slot] += [step[slot]] if np.isfinite(step[slot]) else []
        found = _read(running)
        for slot in range(2):
            if kept[slot]:
                expected = np.quantile(kept[slot], QUANTILES)
                np.testing.assert_allclose(found[:, slot].numpy(), expected, 1e-6, 1e-30)
            else:
                assert found[:, slot].isnan().all()


def test_many_at_once_and_one_by_one_are_the_same() -> None:
    rng = np.random.default_rng(0)
    one, many = _running(2, capacity=2), _running(2)
    for length in (3, 1, 50):
        values = rng.lognormal(4, 1, (length, 2)).astype(np.float32)
        values[0, 1] = np.inf
        many.add_many(0, torch.from_numpy(values), np.array([length, length]))
        for step in values:
            _add(one, step)
        assert torch.equal(_read(one), _read(many))


def test_a_slot_that_begins_anew_forgets() -> None:
    running = _running(2, capacity=2)
    for value in (5.0, 6.0, 7.0):
        _add(running, np.array([value, 2 * value]))
    running.reset(np.array([0]))
    assert _read(running)[:, 0].isnan().all()
    assert _read(running)[2, 1] == 12
    _add(running, np.array([9.0, np.inf]), np.array([0]))
    assert _read(running).tolist() == [[9, 11], [9, pytest.approx(11.6)], [9, 12], [9, 13]]


def test_groups_are_told_apart() -> None:
    """One that joins later, and one that takes a value alone."""
    rng = np.random.default_rng(5)
    running, alone = _running(3, capacity=2), [_running(3), _running(3)]
    for step in range(200):
        values = rng.lognormal(4, 1, (2, 3)).astype(np.float32)
        if step == 20:
            assert running.add_group() == 1
        if step < 20 or step % 3 == 0:
            running.add(torch.from_numpy(values[0]), group=0)
            _add(alone[0], values[0])
        else:
            running.add(torch.from_numpy(values))
            for one, own in zip(alone, values, strict=True):
                _add(one, own)
    assert torch.equal(running.read(), torch.stack([_read(one) for one in alone], dim=1))
    running.reset(np.array([1]))
    assert running.read()[:, :, 1].isnan().all()
    assert torch.equal(running.read()[:, 1, 2], _read(alone[1])[:, 2])


def _rank_error(values: np.ndarray, found: float, quantile: float) -> float:
    """How far, as a share of all values, from a rank that the quantile may have."""
    low, high = np.mean(values < found), np.mean(values <= found)
    return float(max(low - quantile, quantile - high, 0))


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("name", SEQUENCES)
def test_sketch_is_within_two_percent_in_rank(name: str, batch: int) -> None:
    values = SEQUENCES[name](np.random.default_rng(2), 40_000).astype(np.float32)
    sketch = QuantileSketch(QUANTILES, size=1024)
    for start in range(0, len(values), batch):
        sketch.add(torch.from_numpy(values[start : start + batch]))
        n = min(start + batch, len(values))
        if start % (97 * batch) == 0 and n >= 100:
            for quantile, found in zip(QUANTILES, sketch.read().tolist(), strict=True):
                assert _rank_error(values[:n], found, quantile) <= 0.02 + 1 / n


def test_sketch_is_exact_while_it_holds_all() -> None:
    values = SEQUENCES["heavy-tailed"](np.random.default_rng(3), 900).astype(np.float32)
    sketch = QuantileSketch(QUANTILES, size=1024)
    for start in range(0, 900, 30):
        sketch.add(torch.from_numpy(values[start : start + 30]))
        sketch.add(torch.full((2,), torch.inf))
        expected = np.quantile(values[: start + 30].astype(np.float64), QUANTILES)
        np.testing.assert_allclose(sketch.read().numpy(), expected, rtol=1e-6)


def test_sketch_memory_grows_with_the_logarithm() -> None:
    sketch = QuantileSketch((0.5,), size=64)
    for _ in range(200):
        sketch.add(torch.rand(500))
    held = sum(part.numel() for level in sketch._levels for part in level)
    assert held < 64 * 15


def test_sketch_without_a_finite_value() -> None:
    sketch = QuantileSketch(QUANTILES)
    assert sketch.read().isnan().all()
    sketch.add(torch.full((3,), torch.inf))
    assert sketch.read().isnan().all()
    sketch.add(torch.tensor([2.0]))
    assert sketch.read().tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_norms_are_float32(dtype: torch.dtype) -> None:
    states = torch.randn(5, 4096, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = row_norms(states)
    assert found.dtype == torch.float32
    expected = states.double().square().sum(1).sqrt()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_norms_that_are_not_finite_are_infinite() -> None:
    states = torch.tensor([[3.0, 4.0], [torch.nan, 1], [-torch.inf, 1], [1e200, 1]]).double()
    assert finite_row_norms(states).tolist() == [5, torch.inf, torch.inf, torch.inf]
