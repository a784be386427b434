"""Growth, on the smallest sizes: what it counts is known; what it takes is not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from l2_harness.bench.growth import GrowthCost, Point, exponent, run_axis
from l2_harness.bench.growth_axes import AXES
from l2_harness.norms import read_traces


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


def test_responses_have_the_length_that_they_are_said_to_have(tmp_path: Path) -> None:
    done = AXES["length"].prepare(tmp_path, 300)()
    tokens = read_traces(tmp_path / "traces", columns=["tokens"])["tokens"]
    assert [len(one) for one in tokens] == [300] * 16
    assert done.tokens == 16 * 300


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
    assert [int(row["size"]) for row in rows] == [10, 100, 1000, 8, 16, 32]
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    with (tmp_path / "exponents.csv").open(newline="") as file:
        exponents = {row["name"]: row for row in csv.DictReader(file)}
    assert set(exponents) == {figure.name for figure in cost.figures}
    assert float(exponents["exponent of time (requests)"]["high"]) == pytest.approx(1)


def test_an_axis_measured_later_joins_the_others(tmp_path: Path) -> None:
    for axis, seconds in (("select", 1.0), ("requests", 1.0), ("select", 2.0)):
        GrowthCost([Point(axis, n, seconds, 0, 0, 0) for n in (8, 16, 32)]).write(tmp_path)
    with (tmp_path / "growth.csv").open(newline="") as file:
        rows = [(row["axis"], row["size"], row["seconds"]) for row in csv.DictReader(file)]
    sizes = ("8", "16", "32")
    expected = [*(("requests", n, "1.0") for n in sizes), *(("select", n, "2.0") for n in sizes)]
    assert rows == expected


def test_sizes_ascend() -> None:
    for axis in AXES.values():
        for sizes in (axis.few, axis.many):
            assert list(sizes) == sorted(set(sizes))
            assert len(sizes) > 2
