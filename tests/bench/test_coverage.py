"""A small share of `l2-harness bench statistics`, with wide bounds."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from typer.testing import CliRunner

from l2_harness.bench.coverage import (
    ASSOCIATIONS,
    PAIRED,
    association_cell,
    family_cell,
    paired_cells,
)
from l2_harness.bench.coverage_cell import Coverage
from l2_harness.bench.verdicts import MARGIN, SUITES, simulate
from l2_harness.cli.app import app


def check(cell: Coverage) -> None:
    """Within four Monte-Carlo errors of what is wanted."""
    wide = 4 * math.sqrt(0.05 * 0.95 / cell.runs)
    assert math.isnan(cell.coverage) or cell.coverage >= 0.93 - wide, cell
    assert math.isnan(cell.type_one) or cell.type_one <= 0.06 + wide, cell


@pytest.mark.parametrize("data", PAIRED)
@pytest.mark.parametrize("questions", [30, 100])
def test_means_and_differences(data: str, questions: int) -> None:
    for cell in paired_cells(data, questions, 300):
        check(cell)
        assert cell.questions == questions
        # what covers everything says nothing
        assert cell.coverage < 0.999


def test_a_family_of_methods() -> None:
    check(family_cell(100, 40))


@pytest.mark.parametrize("data", SUITES)
def test_verdicts(data: str) -> None:
    """Few suites hold a wrong verdict, and what does not differ is told."""
    none = simulate(data, 300, 0.0, 60)
    assert none.wrong <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 60)
    assert none.told["abstain"] > 0.5
    many = simulate(data, 6000, 0.0, 8)
    assert many.told["equivalent"] > 0.9
    at_the_margin = simulate(data, 3000, MARGIN, 8)
    assert at_the_margin.told.get("worse", 0) == 0
    # arms among one another do not differ: a third of the comparisons
    assert at_the_margin.told.get("equivalent", 0) <= 6 / 18


def test_a_rule_without_correction_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation can fail: read off intervals of each comparison alone, verdicts err."""
    from dataclasses import replace

    from l2_harness.bench import verdicts

    told = verdicts.verdict

    def alone(found: Any, margin: float) -> str:
        own = replace(found, low=found.pointwise_low, high=found.pointwise_high)
        return told(own, margin)

    monkeypatch.setattr(verdicts, "verdict", alone)
    assert simulate("8 samples", 300, 0.0, 60).wrong > 0.2


@pytest.mark.parametrize("figure", [name for name in ASSOCIATIONS if "one response" not in name])
def test_associations(figure: str) -> None:
    check(association_cell(figure, 60, 40))


def test_a_rule_that_ignores_passages_is_found_out() -> None:
    """The simulation can fail: with every question on its own, intervals of passages are short."""
    import numpy as np

    from l2_harness.bench import coverage
    from l2_harness.statistics.design import Design
    from l2_harness.statistics.paired import Contrasts, differences

    scores = PAIRED["clusters of 5"](np.random.default_rng(0), 100, 300, coverage.GAIN)
    alone = Contrasts.of(scores.first, scores.second, Design.of(100))
    found = differences(alone, flips=100)
    held = np.mean([d.pointwise_low <= coverage.GAIN <= d.pointwise_high for d in found])
    assert held < 0.9


def test_a_cell_that_misses() -> None:
    assert not Coverage("difference", "d", 30, 0.8, 0.05, 100).meets
    assert not Coverage("difference", "d", 30, 0.95, 0.2, 100).meets
    assert Coverage("difference", "d", 30, 1.0, math.nan, 100).meets


@pytest.fixture
def one_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    from l2_harness.bench import coverage

    cells = iter([Coverage("mean", "single answers", 30, 0.95, math.nan, 20)])
    monkeypatch.setattr(coverage, "measure_coverage", lambda *_: cells)


@pytest.mark.usefixtures("one_cell")
def test_the_command() -> None:
    done = CliRunner().invoke(app, ["bench", "statistics", "--quick"])
    assert done.exit_code == 0, done.output
    assert "mean, single answers" in done.output
    assert "of 1, within two Monte-Carlo errors" in done.output


@pytest.mark.usefixtures("one_cell")
def test_json_has_null_for_no_such_figure() -> None:
    done = CliRunner().invoke(app, ["bench", "statistics", "--quick", "--json"])
    assert done.exit_code == 0, done.output
    assert "NaN" not in done.output
    assert json.loads(done.output)["costs"][0]["cells"][0]["type_one"] is None
