"""Growth, on the smallest sizes: what it counts is known; what it takes is not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from l2_harness.bench.growth import GrowthCost, Point, exponent, run_axis
from l2_harness.bench.growth_axes import AXES


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_exponent_of_a_power(power: float) -> None:
    sizes = [10.0, 100.0, 1000.0, 10_000.0]
    found = exponent(sizes, [3 * size**power for size in sizes])
    assert found.median == pytest.approx(power, abs=1e-9)
    assert found.high - found.low < 1e-6


def test_the_interval_holds_the_true_exponent_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    drawn = [sizes**1.2 * np.exp(rng.normal(0, 0.3, 5)) for _ in range(400)]
    found = [exponent(sizes.tolist(), values.tolist()) for values in drawn]
    assert 0.92 < np.mean([one.low <= 1.2 <= one.high for one in found]) < 0.98


@pytest.mark.parametrize("axis", ["requests", "layers"])
def test_decoding(axis: str) -> None:
    points = run_axis(axis, [2, 3])
    assert [point.size for point in points] == [2, 3]
    assert all(point.seconds > 0 and point.file_bytes > 0 for point in points)
    tokens = {"requests": [2 * 64, 3 * 64], "layers": [16 * 64] * 2}
    assert [point.tokens for point in points] == tokens[axis]


@pytest.mark.parametrize("axis", ["select", "report", "analyze", "compare --from", "recorder"])
def test_reading_and_writing(axis: str) -> None:
    (point,) = run_axis(axis, [80])
    assert point.seconds > 0
    assert (point.file_bytes > 0) is (axis != "compare --from")


def test_what_is_written(tmp_path: Path) -> None:
    points = [Point("requests", n, n / 10, n << 20, 100 * n, n) for n in (8, 16, 32)]
    points += [Point("length", n, n**2 / 1e4, 0, 0, n) for n in (10, 100, 1000)]
    cost = GrowthCost(points)
    figures = {figure.name: figure for figure in cost.figures}
    assert figures["exponent of time (requests)"].value == pytest.approx(1)
    assert figures["exponent of memory (requests)"].value == pytest.approx(1)
    assert figures["exponent of time, attention in it (length)"].value == pytest.approx(2)
    assert figures["exponent of memory (length)"].value == 0
    assert figures["traces, bytes a token"].value == 100
    cost.write(tmp_path)
    with (tmp_path / "growth.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["size"]) for row in rows] == [8, 16, 32, 10, 100, 1000]
    assert (tmp_path / "growth.png").stat().st_size > 10_000


def test_sizes_ascend() -> None:
    for axis in AXES.values():
        for sizes in (axis.few, axis.many):
            assert list(sizes) == sorted(set(sizes))
            assert len(sizes) > 2
