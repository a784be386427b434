from __future__ import annotations

import numpy as np
import pytest

from l2_harness.analysis.norms.course import Course
from l2_harness.analysis.norms.trace_rows import RowBlock
from l2_harness.statistics.ratios import ratios

LAYERS = (2, 5)


def block_of(norms: list[np.ndarray]) -> RowBlock:
    lengths = np.array([len(one) for one in norms])
    rows = int(lengths.sum())
    return RowBlock(
        members=np.arange(len(norms)),
        lengths=lengths,
        sizes=np.ones(len(norms), dtype=int),
        norms=np.concatenate(norms).astype(np.float32),
        tokens=np.zeros(rows, dtype=np.int32),
        signals={},
        row=np.concatenate([np.arange(n) for n in lengths]),
    )


def test_bins_by_hand() -> None:
    """Four bins: of 4 rows each has one, of 2 rows the second and the fourth, of 8 two each."""
    norms = [np.array([[1, 10], [2, 20], [3, 30], [4, 40]]), np.array([[5, 50], [7, 70]])]
    norms.append(np.repeat([[1, 1], [3, 3], [5, 5], [7, 7]], 2, axis=0))
    course = Course(np.array([1, 2]), bins=4, first_rows=3)
    course.add(block_of(norms[:2]), np.array([0, 1]))
    course.add(block_of(norms[2:]), np.array([1]))
    table = course.table(LAYERS).set_index(["layer", "start"])
    assert table["norm"][2].tolist() == [1, (2 + 5 + 3) / 3, 4, (4 + 7 + 7) / 3]
    assert table["norm"][5].tolist() == [5.5, (20 + 50 + 3) / 3, 17.5, (40 + 70 + 7) / 3]
    assert table["responses"][2].tolist() == [2, 3, 2, 3]
    mean = (2 + 10 + 8 + 18) / 10
    assert table["ratio"][2, 0.5] == pytest.approx(4 / mean)
    first = course.first_table(LAYERS).set_index(["layer", "row"])
    assert first["norm"][2].tolist() == [(1 + 5 + 1) / 3, (2 + 7 + 1) / 3, 3]
    assert first["responses"][5].tolist() == [3, 3, 2]


def test_bands_and_trend_are_those_of_questions() -> None:
    rng = np.random.default_rng(0)
    norms = [rng.gamma(4, 5, (10, 2)) for _ in range(30)]
    for one in norms:
        one[-3:, 1] *= 2
    question = np.repeat(np.arange(15), 2)
    course = Course(np.full(15, 2), bins=10)
    course.add(block_of(norms), question)
    table = course.table(LAYERS).query("layer == 5 and start == 0.9")
    last = np.array([one[9, 1] for one in norms])
    found = ratios([last.reshape(15, 2).sum(axis=1)], [np.full(15, 2.0)])
    assert table["norm"].item() == pytest.approx(float(found.value), rel=1e-6)
    for end, wanted in (("norm_low", found.low), ("norm_high", found.high)):
        assert table[end].item() == pytest.approx(float(wanted), rel=1e-6)
    trend = course.trend(LAYERS).set_index("layer")
    ratio = [np.mean([n[-3:, i].mean() for n in norms]) for i in range(2)]
    ratio = [r / np.mean([n[:3, i].mean() for n in norms]) for i, r in enumerate(ratio)]
    np.testing.assert_allclose(trend["ratio"], ratio, rtol=1e-6)
    assert trend["p_holm"][5] < 0.001 < 0.05 < trend["p_holm"][2]
