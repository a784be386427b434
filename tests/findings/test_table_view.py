from __future__ import annotations

import numpy as np
import pandas as pd

from l2_harness.findings.section import Table
from l2_harness.findings.table_view import FOLDED_ROWS, TableView, table_view


def test_a_value_and_its_ends_become_one_column() -> None:
    frame = pd.DataFrame(
        {
            "rho_low": [-0.1, np.nan],
            "layer": [3, 4],
            "rho": [0.2, np.nan],
            "rho_high": [0.5, np.nan],
            "other_low": [1, 2],
        }
    )
    view = table_view(Table("t", "T", frame, meanings={"rho": "Spearman"}))
    # the place is the value's own; ends without a value stay as they are
    assert [column.name for column in view.columns] == ["layer", "rho", "other_low"]
    assert [column.interval for column in view.columns] == [False, True, False]
    first, second = view.columns[1].cells
    assert (first.text, first.interval, first.sort) == ("0.20", "(−0.10 to 0.50)", 0.2)
    assert (second.text, second.interval, second.sort) == ("–", "", None)
    assert [column.name for column in view.meanings] == ["rho"]
    assert [[cell.text for cell in row] for row in view.rows] == [
        ["3", "0.20", "1"],
        ["4", "–", "2"],
    ]


def test_texts_and_truths() -> None:
    frame = pd.DataFrame({"name": ["a", None], "ok": [True, False], "long": ["x" * 40, "y"]})
    view = table_view(Table("t", "T", frame))
    assert [cell.text for cell in view.columns[0].cells] == ["a", "–"]
    assert [cell.text for cell in view.columns[1].cells] == ["yes", "no"]
    assert [column.numeric for column in view.columns] == [False, False, False]
    assert [column.wide for column in view.columns] == [False, False, True]


def test_whole_numbers_with_gaps_stay_whole() -> None:
    view = table_view(Table("t", "T", pd.DataFrame({"rank": [1, np.nan, 3]})))
    assert [cell.text for cell in view.columns[0].cells] == ["1", "–", "3"]


def test_long_tables_are_folded_and_very_long_ones_cut() -> None:
    assert not table_view(Table("t", "T", pd.DataFrame({"n": range(FOLDED_ROWS)}))).folded
    assert table_view(Table("t", "T", pd.DataFrame({"n": range(FOLDED_ROWS + 1)}))).folded
    view = table_view(Table("t", "T", pd.DataFrame({"n": range(50)})), most_rows=20)
    assert (len(view.rows), view.total) == (20, 50)


def test_intervals_stand_below_where_a_row_is_full() -> None:
    def view(n: int) -> TableView:
        named = {f"x{i}{end}": [0.5] for i in range(n) for end in ("", "_low", "_high")}
        return table_view(Table("t", "T", pd.DataFrame(named)))

    assert [view(n).stacked for n in (1, 3, 6)] == [False, False, True]


def test_an_empty_table() -> None:
    view = table_view(Table("t", "T", pd.DataFrame({"a": [], "a_low": [], "a_high": []})))
    assert (view.total, list(view.rows)) == (0, [])
