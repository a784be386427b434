from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from l2_harness.compare.causal.arms import Arm, standard_arms
from l2_harness.compare.causal.section import analyse, causal_section
from l2_harness.findings.section import read_section, write_section


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
                tokens=100 + 20 * lost,
                truncated=0,
                changed=lost,
                edits_at_layer_9=1.0,
            )
        )
    return pd.concat(parts, ignore_index=True)


def words_of(table: pd.DataFrame) -> str:
    return " ".join(causal_section(analyse(table), settings={}).findings)


def test_written_and_read_back(make_rows: Any, tmp_path: Path) -> None:
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
    for figure in back.figures:
        assert (back.folder / f"{figure.name}.png").stat().st_size > 10_000  # type: ignore[operator]
    assert {text.split(":")[0] for text in back.findings} == {"t", "u"}


def test_claims_follow_the_truth(make_rows: Any) -> None:
    text = words_of(whole_table(make_rows, {"peaks": 0.6, "random": 0.05}))
    assert "With the peaks scaled to 0.1, accuracy falls:" in text
    assert "So editing the peaks costs more than editing random states that are no peaks." in text
    assert "changed no response" in text
    text = words_of(whole_table(make_rows, {"peaks": 0.05, "random": 0.6}))
    assert "So editing the peaks costs less than editing random states" in text


def test_equal_arms_make_no_claim(make_rows: Any) -> None:
    text = words_of(whole_table(make_rows, {}))
    assert "costs more" not in text
    assert "costs less" not in text
    assert "falls:" not in text
    assert "Too few responses changed to say anything" in text
    assert "Too few responses changed to tell direction from magnitude." in text


def test_direction_and_magnitude(make_rows: Any) -> None:
    harm = {"peaks-angle-0": 0.6, "peaks-norm-0": 0.05}
    assert "the direction more than the norm" in words_of(whole_table(make_rows, harm))
    harm = {"peaks-angle-0": 0.05, "peaks-norm-0": 0.6}
    assert "the norm more than the direction" in words_of(whole_table(make_rows, harm))
    harm = {"peaks-angle-0": 0.5, "peaks-norm-0": 0.5}
    assert "On its own each matters; that one matters more" in words_of(
        whole_table(make_rows, harm)
    )


def test_a_sham_that_changes_something_is_told(make_rows: Any) -> None:
    text = words_of(whole_table(make_rows, {"peaks-scale-1": 1.0}).assign(changed=1.0))
    assert "no finding here can be trusted" in text


def test_scores_alone_are_enough(make_rows: Any) -> None:
    """A table that somebody else wrote: plain and one arm, no edits, no lengths."""
    rng = np.random.default_rng(0)
    plain = (rng.random(120) < 0.7).astype(float)
    arm = Arm.editing("peaks", "scale", 0.1)
    lost = np.where(rng.random(120) < 0.4, 0.0, plain)
    table = pd.concat([make_rows(Arm("plain"), plain), make_rows(arm, lost)])
    section = causal_section(analyse(table.drop(columns="task")), settings={})
    assert "accuracy falls" in " ".join(section.findings)
    assert section.tables[0].name == "arms"
