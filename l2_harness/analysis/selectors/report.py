"""A comparison of selectors on the terminal, as CSV and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.selectors.comparison import RIVALS, Comparison, SelectorRow
from l2_harness.statistics.estimate import UNKNOWN, Estimate

if TYPE_CHECKING:
    from rich.console import Console


def print_comparison(comparison: Comparison, title: str, console: Console) -> None:
    """The table of all selectors, and what is missing from it."""
    from rich.table import Table

    table = Table(
        title=f"{title}: {comparison.questions} questions × {comparison.n} samples",
        caption=(
            f"{comparison.mixed} questions have right and wrong samples; "
            f"{comparison.truncated:.1%} of the samples were cut off, and are chosen only where "
            "all are. Intervals: 95 %. Differences and their p are corrected for the number in "
            "the table. ρ length: within questions."
        ),
    )
    table.add_column("selector", no_wrap=True)
    table.add_column("accuracy %", justify="right")
    for rival in RIVALS:
        table.add_column(f"− {rival}", justify="right")
    table.add_column("ρ length", justify="right")
    table.add_column("AUROC", justify="right")
    for row in comparison.rows:
        table.add_row(*_cells(row))
    console.print(table, highlight=False)
    for name, reason in comparison.missing.items():
        console.print(f"not compared: {name}. {reason}", highlight=False, soft_wrap=True)


def write_comparison(comparison: Comparison, out: Path, settings: Mapping[str, Any]) -> list[Path]:
    """``selectors.csv``, ``curves.csv`` and ``selection.json`` in ``out``."""
    import pandas as pd

    out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([_flat(row) for row in comparison.rows]).to_csv(
        out / "selectors.csv", index=False, float_format="%.6g"
    )
    curves = [
        {"selector": row.selector.name, "n": n, "accuracy": f.value, "low": f.low, "high": f.high}
        for row in comparison.rows
        for n, f in row.curve.items()
    ]
    pd.DataFrame(curves).to_csv(out / "curves.csv", index=False, float_format="%.6g")
    content = {**settings, **asdict(comparison)}
    text = json.dumps(_finite(content), indent=1, default=str)
    (out / "selection.json").write_text(text + "\n", encoding="utf-8")
    return [out / name for name in ("selectors.csv", "curves.csv", "selection.json")]


def _cells(row: SelectorRow) -> list[str]:
    cells = [row.selector.name, _percent(row.accuracy)]
    for rival in RIVALS:
        difference = row.differences.get(rival)
        cells.append(
            f"{_percent(difference, sign='+')} p={difference.p_corrected:.2g}" if difference else ""
        )
    cells.append("" if _nan(row.length_within) else f"{row.length_within:+.2f}")
    auroc = row.auroc
    cells.append(
        "" if _nan(auroc.value) else f"{auroc.value:.2f} ({auroc.low:.2f}–{auroc.high:.2f})"
    )
    return cells


def _percent(figure: Estimate, sign: str = "") -> str:
    value, low, high = (100 * x for x in (figure.value, figure.low, figure.high))
    if _nan(low):
        return f"{value:{sign}.1f}"
    return f"{value:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def _flat(row: SelectorRow) -> dict[str, Any]:
    cells: dict[str, Any] = {"selector": row.selector.name}
    cells |= row.accuracy.columns("accuracy")
    for rival in RIVALS:
        difference = row.differences.get(rival)
        cells |= (difference or UNKNOWN).columns(f"minus_{rival}")
        cells[f"minus_{rival}_p"] = difference.p if difference else float("nan")
        cells[f"minus_{rival}_p_corrected"] = difference.p_corrected if difference else float("nan")
    cells["length_correlation"] = row.length_correlation
    cells["length_correlation_within"] = row.length_within
    return cells | row.auroc.columns("auroc_within")


def _finite(value: Any) -> Any:
    """The same with None for nan, which JSON doesn't have."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and _nan(value) else value


def _nan(value: float) -> bool:
    return value != value
