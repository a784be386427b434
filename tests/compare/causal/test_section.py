from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.compare.causal.arms import Arm, standard_arms
from l2_harness.compare.causal.section import analyse, causal_section
from l2_harness.findings.numbers import fixed
from l2_harness.findings.section import Section, read_section, write_section


def whole_table(make_rows: Any, harm: dict[str, float], n: int = 200, task: str = "t") -> Any:
    """All standard arms; ``harm`` is the share that an arm's edit costs, by name or by place."""
    rng = np.random.default_rng(5)
    plain = (rng.random(n) < 0.7).astype(float)
    parts = []
    for arm in standard_arms():
        share = harm.get(arm.name, harm.get(str(arm.where), 0.0)) * (1 - arm.factor)
        lost = rng.random(n) < share
        parts.append(
            make_rows(
                arm,
                np.where(lost, 0.0, plain),
                task,
                edits=2 if arm.where else 0,
                left=0,
                change=1.8,
                places=60,
                tokens=100 + 20 * lost,
                truncated=0,
                changed=lost,
                edits_at_layer_9=1.0,
            )
        )
    return pd.concat(parts, ignore_index=True)


def section_of(table: pd.DataFrame) -> Section:
    return causal_section(analyse(table), settings={})


def row_of(section: Section, table: str, **wanted: str) -> pd.Series:
    """The one row of a table with these values."""
    frame = next(t.frame for t in section.tables if t.name == table)
    (row,) = (row for _, row in frame.iterrows() if all(row[k] == v for k, v in wanted.items()))
    return row


def test_written_and_read_back(make_rows: Any, figure_faults: Any, tmp_path: Path) -> None:
    table = whole_table(make_rows, {"peaks": 0.5, "random": 0.1})
    both = pd.concat([table, whole_table(make_rows, {}, task="u")])
    section = causal_section(
        analyse(both), settings={"model": "demo"}, command="x", notes=["An arm."]
    )
    back = read_section(write_section(section, tmp_path))
    assert (back.order, back.settings) == (40, {"model": "demo"})
    assert back.caveats[0] == "An arm."
    frames = {table.name: table.frame for table in back.tables}
    assert list(frames) == ["arms", "controls", "edits", "layers", "per_edit", "doses", "trends"]
    assert len(frames["arms"]) == 2 * (1 + 21)
    assert len(frames["controls"]) == 2 * (2 * 7 + 1)
    assert len(frames["edits"]) == 2 * 22
    assert len(frames["doses"]) == 2 * 3 * 6
    assert len(frames["trends"]) == 2 * 5
    for table in back.tables:
        assert set(table.meanings) <= set(table.frame)
    assert not any(figure_faults(figure.drawing) for figure in section.figures)
    for figure in back.figures:
        assert (back.folder / f"{figure.name}.png").stat().st_size > 10_000  # type: ignore[operator]
    assert len(back.findings) == 3
    assert " on t" in back.findings[0]
    assert " on u" in back.findings[0]
    assert "of 2 tasks" in back.findings[1]


def test_claims_follow_the_truth(make_rows: Any) -> None:
    section = section_of(whole_table(make_rows, {"peaks": 0.6, "random": 0.05}))
    points = row_of(section, "arms", arm="peaks-scale-0.1")["difference"]
    assert fixed(points, 1) in section.findings[0]
    assert "p < 0.001" in section.findings[0]
    assert "costs more than the same edit of random states" in section.findings[1]
    section = section_of(whole_table(make_rows, {"peaks": 0.05, "random": 0.6}))
    assert "costs less than the same edit of random states" in section.findings[1]


def test_equal_arms_make_no_claim(make_rows: Any) -> None:
    section = section_of(whole_table(make_rows, {}))
    arms = section.tables[0].frame
    assert not arms["claimed"].fillna(False).any()
    assert "too few responses changed to tell" in section.findings[0]
    assert "costs" not in section.findings[1]


def test_direction_and_magnitude(make_rows: Any) -> None:
    for direction, norm, said in (
        (0.6, 0.05, "costs more than"),
        (0.05, 0.6, "costs less than"),
        (0.5, 0.5, "is not shown to cost more or less than"),
    ):
        harm = {"peaks-angle-0": direction, "peaks-norm-0": norm}
        assert said in section_of(whole_table(make_rows, harm)).findings[2]


def test_a_sham_that_changes_something_is_told_first(make_rows: Any) -> None:
    section = section_of(whole_table(make_rows, {"peaks-scale-1": 1.0}).assign(changed=1.0))
    assert "no finding here can be trusted" in section.findings[0]
    assert len(section.findings) == 3


@pytest.mark.parametrize("n", [1, 2, 9])
def test_of_few_questions_nothing_is_claimed(make_rows: Any, n: int) -> None:
    section = section_of(whole_table(make_rows, {"peaks": 1.0}, n=n))
    assert "at least 10 questions are needed" in section.findings[0]
    assert "costs" not in section.findings[1]
    for table in section.tables:
        ends = [name for name in table.frame if name.endswith(("_low", "_high")) or name == "p"]
        assert table.frame[ends].isna().all(axis=None)


def test_scores_alone_are_enough(make_rows: Any) -> None:
    """A table that somebody else wrote: plain and one arm, no edits, no lengths."""
    rng = np.random.default_rng(0)
    plain = (rng.random(120) < 0.7).astype(float)
    arm = Arm.editing("peaks", "scale", 0.1)
    lost = np.where(rng.random(120) < 0.4, 0.0, plain)
    table = pd.concat([make_rows(Arm("plain"), plain), make_rows(arm, lost)])
    section = causal_section(analyse(table.drop(columns="task")), settings={})
    assert "−" in section.findings[0]
    assert "no difference is shown" not in section.findings[0]
    assert section.tables[0].name == "arms"
