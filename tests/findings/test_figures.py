"""Figures are written as matplotlib writes them, which lays them out again for each file."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

from l2_harness.findings.figures import new_grid, save_figure


def drawn() -> Figure:
    figure, panels = new_grid("A title", 3, 2, width=3, height=2)
    for panel in panels[:2]:
        panel.plot([0, 1, 2], [10.0, 2000.0, 3.0], label="a line")
    figure.colorbar(panels[2].imshow([[0.0, 1.0], [2.0, 3.0]]), ax=panels, label="values")
    figure.legend(loc="outside lower center")
    return figure


@pytest.mark.parametrize("formats", [("png", "svg"), ("svg",), ("svg", "png")])
def test_files_are_those_of_figures_laid_out_alone(
    formats: tuple[str, ...], tmp_path: Path
) -> None:
    for path in save_figure(drawn(), tmp_path / "ours", formats):
        alone = path.with_stem("alone")
        metadata = {"Date": None} if alone.suffix == ".svg" else {"Software": None}
        figure = drawn()
        figure.savefig(tmp_path / "first.png", dpi=150)  # which lays it out
        with matplotlib.rc_context({"svg.hashsalt": "l2-harness", "svg.fonttype": "path"}):
            figure.set_layout_engine("none")
            figure.savefig(alone, dpi=150, metadata=metadata)
        assert path.read_bytes() == alone.read_bytes()
