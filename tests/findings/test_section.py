from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from l2_harness.findings.figures import new_figure
from l2_harness.findings.section import (
    Figure,
    Section,
    SectionError,
    Table,
    find_sections,
    read_section,
    write_section,
)


def _section(name: str = "norms", order: int = 5, figures: tuple[str, ...] = ("line",)) -> Section:
    drawing, (axes,) = new_figure("a line")
    axes.plot([0, 1], [2, 3])
    frame = pd.DataFrame(
        {"layer": [0, 1], "x": [0.123456789012345, np.nan], "text": ["null", "ℓ2"]}
    )
    return Section(
        name=name,
        title="Norms & <truth>",
        order=order,
        findings=["None."],
        caveats=["All."],
        settings={"n": np.int64(3), "rate": np.float32("nan"), "path": Path("a"), "list": (1, 2)},
        command="l2-harness analyze x",
        tables=[Table("by_layer", "By layer", frame, "caption", {"x": "a value"})],
        figures=[Figure(f, "Line", "caption", "a rising line", drawing) for f in figures],
    )


def test_a_section_reads_back(tmp_path: Path) -> None:
    written = _section()
    folder = write_section(written, tmp_path)
    back = read_section(folder)
    assert back.findings == ["None."]
    assert back.settings == {"n": 3, "rate": None, "path": "a", "list": [1, 2]}
    pd.testing.assert_frame_equal(back.tables[0].frame, written.tables[0].frame)
    assert back.tables[0].meanings == {"x": "a value"}
    assert (folder / "line.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (folder / "line.svg").read_text("utf-8")


def test_the_same_data_give_the_same_files(tmp_path: Path) -> None:
    folders = [write_section(_section(), tmp_path / n) for n in ("a", "b")]
    for name in ("section.json", "line.png", "line.svg", "by_layer.csv"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_an_earlier_section_leaves_nothing_and_other_files_stay(tmp_path: Path) -> None:
    folder = write_section(_section(figures=("old", "kept")), tmp_path)
    (folder / "notes.txt").write_text("mine")
    write_section(_section(figures=("kept",)), tmp_path)
    files = {path.name for path in folder.iterdir()}
    assert files == {"section.json", "by_layer.csv", "kept.png", "kept.svg", "notes.txt"}


def test_sections_come_in_order(tmp_path: Path) -> None:
    for name, order in (("z", 1), ("b", 7), ("a", 7)):
        write_section(_section(name, order), tmp_path / "deep")
    assert [section.name for section in find_sections(tmp_path)] == ["z", "a", "b"]


def test_what_is_no_section_is_named(tmp_path: Path) -> None:
    with pytest.raises(SectionError, match="l2-harness analyze"):
        find_sections(tmp_path)
    folder = write_section(_section(), tmp_path)
    (folder / "by_layer.csv").unlink()
    with pytest.raises(SectionError, match=r"by_layer\.csv is missing"):
        read_section(folder)
    path = folder / "section.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"schema": 99}))
    with pytest.raises(SectionError, match="newer version"):
        read_section(folder)
    path.write_text("{")
    with pytest.raises(SectionError, match=r"section\.json"):
        read_section(folder)


@pytest.mark.parametrize("name", ["", "a/b", "../a", "A", "a b"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="names a file"):
        _section(name)


def test_two_parts_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two parts named line"):
        _section(figures=("line", "line"))
