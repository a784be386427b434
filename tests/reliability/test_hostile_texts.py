"""Texts that turn terminals, spreadsheets and files against their readers, through what is written.

The report in a browser is tests/report's.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import pandas as pd
import pytest
from rich.console import Console

from l2_harness.findings.csv_files import read_csv, write_csv
from l2_harness.findings.section import Section, Table, read_section, write_section
from l2_harness.findings.terminal import show
from l2_harness.norms import TraceRecord, TraceWriter, read_traces

TEXTS = [
    *hostile.NASTY,
    "x" * 2**20,
    *('=HYPERLINK("http://x")', "@SUM(1)", "'=already", "-a", "\t=1"),
]
#: What a file in UTF-8 can hold of them.
HELD = [text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in TEXTS]


def test_no_cell_of_a_csv_is_a_formula_and_all_come_back(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": HELD, "=x": 1.5})
    write_csv(frame, tmp_path / "t.csv")
    csv.field_size_limit(2**21)
    content = (tmp_path / "t.csv").read_text("utf-8")
    for row in csv.reader(io.StringIO(content, newline="")):
        for cell in row:
            is_number = cell.replace(".", "").lstrip("+-").isdecimal()
            formula = cell[:1] in tuple("=+-@\t\r") and cell != ""
            assert not formula or is_number or cell in ("-", "--", "-inf", "-0", "+")
    back = read_csv(tmp_path / "t.csv")
    assert list(back) == ["text", "=x"]
    for wrote, read in zip(HELD, back["text"], strict=True):
        # what CSV itself has no word for: nothing at all, and one kind of line end
        same = str(read if isinstance(read, str) else "")
        assert same.replace("\r", "\n") == wrote.replace("\r\n", "\n").replace("\r", "\n")


@pytest.fixture
def section(tmp_path: Path) -> Section:
    plain = [text for text in HELD if len(text) < 1000]
    table = Table("one", plain[3], pd.DataFrame({"name": plain, "x": 1.0}), brief=("name", "x"))
    made = Section(
        name="hostile",
        title="\x1b[31mred",
        findings=[*plain[:3], "\x1b]0;t\x07[bold]x[/nope]"],
        caveats=plain,
        settings={"a": plain},
        tables=[table],
    )
    write_section(made, tmp_path)
    return read_section(tmp_path / "hostile")


def test_a_section_comes_back_and_a_terminal_shows_no_escapes(
    section: Section, tmp_path: Path
) -> None:
    out = io.StringIO()
    show([section], tmp_path, ["\x1b[2J"], Console(file=out, width=100), ["\x9b31m", "\u202eabc"])
    shown = out.getvalue()
    assert not any(char in shown for char in "\x1b\x07\x9b\x00\u202e\r")
    assert "[bold]x[/nope]" in shown
    assert section.title == "\x1b[31mred"


def test_traces_hold_every_text(make_record: Callable[..., TraceRecord], tmp_path: Path) -> None:
    records = [make_record(n, text=text, response=text) for n, text in enumerate(TEXTS)]
    TraceWriter(tmp_path, "run1").write(records)
    assert read_traces(tmp_path)["text"].tolist() == HELD


def test_lines_of_samples_end_at_line_feeds_alone(tmp_path: Path) -> None:
    """U+2028 and its like end a line for ``str.splitlines``, and not in JSON."""
    from l2_harness.analysis.selectors.from_jsonl import load_jsonl

    lines: list[dict[str, Any]] = [
        {"problem": "p", "correct": n % 2, "response": f"a{end}b"}
        for n, end in enumerate(("\u2028", "\u0085", "\x1c", "\x0b", "\r"))
    ]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (tmp_path / "x.jsonl").write_text(text, "utf-8")
    assert load_jsonl(tmp_path / "x.jsonl").n == len(lines)


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a/b", "..", "a\x00b", "-x", ".hidden", ""])
def test_names_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    from l2_harness.compare.suite_reader import parse_suite
    from l2_harness.config.errors import ConfigError

    with pytest.raises(ValueError, match="name"):
        Section(name=name, title="t")
    with pytest.raises(ValueError, match="run_id"):
        TraceWriter(tmp_path, name)
    if name in ("-x", ".hidden", "a\x00b"):  # a folder may be called so, or YAML has no such text
        return
    rows = ("models: {%s: {}}\ntasks: [t]", "models: {m: {}}\ntasks: [{task: t, name: %s}]")
    for row in rows:
        text = row % json.dumps(name) + "\nmethods: {plain: {role: plain}}"
        with pytest.raises(ConfigError, match=r"would name a folder|is empty"):
            parse_suite(text)
