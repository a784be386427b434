"""What figures share, drawn: nothing is clipped, labels do not run into each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.findings import panels
from l2_harness.findings.figures import new_figure, new_grid

Faults = Callable[[Any], list[str]]


def lines(n: int, layers: int) -> list[pd.DataFrame]:
    layer = np.arange(layers)
    return [pd.DataFrame({"layer": layer, "value": np.sin(layer + i)}) for i in range(n)]


@pytest.mark.parametrize("layers", [1, 5, 30, 126])
@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize("label", ["a", "a method of a name of forty letters or so"])
def test_figures_of_any_size(layers: int, columns: int, label: str, figure_faults: Faults) -> None:
    figure, axes = new_grid("A task of a long name " * 4, columns, columns, width=3.1, height=3)
    for i, rows in enumerate(lines(9, layers)):
        for panel in axes:
            name = f"{label} {i}"
            panels.line(panel, rows, "layer", "value", panels.look_of(i), name)
            panels.layer_axis(panel)
    panels.legend(figure, axes)
    assert not figure_faults(figure)


@pytest.mark.parametrize("layers", [1, 5, 30, 126])
def test_heat_maps_of_any_size(layers: int, figure_faults: Faults) -> None:
    figure, (panel, other) = new_figure("Title", 2, width=3.1, height=3)
    values = np.arange(3.0 * layers).reshape(3, layers)
    panels.heat_map(panel, values, ["maximum", "mean", "share"], range(layers))
    panels.heat_map(other, values.T, range(layers), ["maximum", "mean", "share"])
    assert not figure_faults(figure)


def test_what_is_wrong_is_found(figure_faults: Faults) -> None:
    figure, (panel, other) = new_figure("Title", 2)
    panel.set_xticks(range(60), [f"layer {i}" for i in range(60)])
    panels.level(other, 0)
    panels.line(panel, lines(1, 60)[0], "layer", "value", panels.look_of(0), "a")
    unknown = lines(1, 9)[0].assign(value=np.nan)
    panels.line(other, unknown, "layer", "value", panels.look_of(0), "a")
    figure.text(0.9, 0.5, "a long text at the right edge of the figure")
    faults = figure_faults(figure)
    assert len(faults) == 3
    for words in ("clipped", "shows nothing", "overlap"):
        assert any(words in fault for fault in faults)
