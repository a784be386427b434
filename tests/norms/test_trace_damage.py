"""Directories in any state: what can be read is read, and the rest is named."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2_harness.norms import (
    SCHEMA_VERSION,
    TraceRecord,
    TraceWarning,
    TraceWriter,
    read_trace_table,
    read_traces,
)
from l2_harness.norms import trace_files as files
from l2_harness.norms.trace_schema import TraceKey, trace_schema
from l2_harness.norms.trace_writer import records_to_table

Make = Callable[..., TraceRecord]


@pytest.fixture
def part(tmp_path: Path, make_record: Make) -> Path:
    """The second of two parts; the first one holds document 0."""
    writer = TraceWriter(tmp_path, "run1")
    writer.write([make_record(0)])
    path = writer.write([make_record(1), make_record(2)])
    assert path is not None
    return path


def read_warned(folder: Path, *about: str, **arguments: Any) -> list[int]:
    """The doc_ids read, and one warning for each of the texts in ``about``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = read_traces(folder, **arguments)
    messages = [str(w.message) for w in caught if issubclass(w.category, TraceWarning)]
    assert len(messages) == len(about), messages
    for message, text in zip(sorted(messages), sorted(about), strict=True):
        assert text in message
    doc_ids: list[int] = frame["doc_id"].tolist()
    return doc_ids


def rewritten(path: Path, table: pa.Table, **metadata: str) -> None:
    """The part with other content or another header."""
    full = {f"l2_harness.{name}": value for name, value in metadata.items()}
    pq.write_table(table.replace_schema_metadata(full), path)


def test_nothing_wrong_nothing_said(part: Path) -> None:
    assert read_warned(part.parent) == [0, 1, 2]


def test_an_empty_part(part: Path) -> None:
    part.write_bytes(b"")
    assert read_warned(part.parent, f"{part}: damaged or cut off (an empty file)") == [0]


@pytest.mark.parametrize("kept", [1, 4, 8, 0.3, 0.9, -1])
def test_a_truncated_part(part: Path, kept: float) -> None:
    content = part.read_bytes()
    part.write_bytes(content[: int(kept * len(content)) if 0 < kept < 1 else int(kept)])
    assert read_warned(part.parent, f"{part}: damaged or cut off") == [0]


def test_garbage(part: Path) -> None:
    for content in (b"PAR1" + bytes(1000) + b"PAR1", random.Random(0).randbytes(2000), b"{}"):
        part.write_bytes(content)
        assert read_warned(part.parent, f"{part}: damaged or cut off") == [0]


def test_damaged_pages_are_noticed(part: Path) -> None:
    """Bytes changed within a column leave a file that opens: its checksums tell."""
    metadata = pq.read_metadata(part)
    names = metadata.schema.to_arrow_schema().names
    column = metadata.row_group(0).column(names.index("norms"))
    content = bytearray(part.read_bytes())
    end = column.data_page_offset + column.total_compressed_size
    content[end - 3] ^= 0xFF
    part.write_bytes(bytes(content))
    assert read_warned(part.parent, f"{part}: damaged or cut off") == [0]


def test_no_damage_stops_the_reading(part: Path) -> None:
    """Any bytes changed anywhere: the other part is read, and nothing but a warning comes."""
    content, rng = part.read_bytes(), random.Random(0)
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        part.write_bytes(bytes(damaged))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TraceWarning)
            assert 0 in read_traces(part.parent)["doc_id"].tolist()


def test_a_leftover_temporary(part: Path) -> None:
    temporary = part.with_name(f".{part.name}.0123abcd-77.tmp")
    part.rename(temporary)
    assert read_warned(part.parent, f"{temporary}: an unfinished part") == [0]
    other = part.with_name(f".{files.new_part_name('run2', 0, 0)}.0123abcd-77.tmp")
    temporary.rename(other)
    assert read_warned(part.parent, run_id="run1") == [0]


def test_a_part_that_goes_while_reading(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = files.part_files(part.parent)
    part.unlink()
    monkeypatch.setattr(files, "part_files", lambda *_: listed)
    assert read_warned(part.parent, f"{part}: gone while") == [0]


def test_a_newer_schema(part: Path, make_record: Make) -> None:
    rewritten(part, records_to_table([make_record(1)]), schema_version=str(SCHEMA_VERSION + 6))
    about = f"version {SCHEMA_VERSION + 6}, and this l2_harness reads up to version"
    assert read_warned(part.parent, f"{about} {SCHEMA_VERSION}") == [0]


def test_an_older_schema_has_nulls_for_what_it_lacked(part: Path, make_record: Make) -> None:
    table = records_to_table([make_record(1)]).drop_columns(["window", "norm_mean", "chosen"])
    table = table.set_column(0, "run_id", table["run_id"].cast(pa.large_string()))
    rewritten(part, table, schema_version="0")
    assert read_warned(part.parent) == [0, 1]
    read = read_trace_table(part.parent)
    assert read.schema.equals(trace_schema())
    assert read["norm_mean"].is_valid().to_pylist() == [True, False]
    assert read["chosen"].to_pylist() == [True, None]
    assert read["window"].to_pylist() == [0, None]


def test_a_column_of_another_type(part: Path, make_record: Make) -> None:
    table = records_to_table([make_record(1)])
    table = table.set_column(table.column_names.index("norms"), "norms", pa.array(["high"]))
    rewritten(part, table, schema_version=str(SCHEMA_VERSION))
    assert read_warned(part.parent, "column norms") == [0]


def test_other_files_in_the_folder(part: Path) -> None:
    foreign = part.with_name("results.parquet")
    pq.write_table(pa.table({"x": [1]}), foreign)
    (part.parent / "run-run1.json").write_text("{}")
    (part.parent / "notes.txt").write_text("hello")
    assert read_warned(part.parent, f"{foreign}: a Parquet file, but no trace") == [0, 1, 2]


def test_a_renamed_part_counts(part: Path) -> None:
    part.rename(part.with_name("copied.parquet"))
    assert read_warned(part.parent) == [0, 1, 2]
    assert read_warned(part.parent, run_id="run1") == [0, 1, 2]


def test_duplicates_keep_the_first_written(tmp_path: Path, make_record: Make) -> None:
    # The later writer's part may sort before the earlier one's by name.
    for text in ("first", "second", "third"):
        writer = TraceWriter(tmp_path, "run1", rank=9 if text == "first" else 0)
        writer.write([make_record(0, text=text), make_record({"first": 1}.get(text, 2))])
    about = "run 'run1': 3 duplicate responses dropped, the first written kept"
    assert read_warned(tmp_path, about) == [0, 1, 2]
    with pytest.warns(TraceWarning):
        assert read_traces(tmp_path)["text"][0] == "first"


def test_duplicates_that_answer_other_requests(tmp_path: Path, make_record: Make) -> None:
    writer = TraceWriter(tmp_path, "run1")
    writer.write([make_record(0)])
    writer.write([make_record(0, request_hash="abc")])
    assert read_warned(tmp_path, "1 of them answered another request") == [0]


@pytest.mark.parametrize("field", TraceKey._fields)
def test_responses_that_differ_in_one_key_are_no_duplicates(
    tmp_path: Path, make_record: Make, field: str
) -> None:
    other: dict[str, Any] = {"run_id": "run2", "task": "aime", "request_type": "loglikelihood"}
    changed = {field: other.get(field, 1)}
    if field == "request_type":
        changed["finish_reason"] = None
    TraceWriter(tmp_path, "run1").write([make_record(0)])
    TraceWriter(tmp_path, str(changed.get("run_id", "run1"))).write([make_record(**changed)])
    about = ["2 runs"] if field == "run_id" else []
    assert len(read_warned(tmp_path, *about)) == 2


def test_several_runs_are_named(part: Path, make_record: Make) -> None:
    TraceWriter(part.parent, "run2").write([make_record(0, run_id="run2")])
    assert read_warned(part.parent, "2 runs, all of them returned: run1, run2") == [0, 1, 2, 0]
    assert read_warned(part.parent, run_id="run2") == [0]


def test_no_traces_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"doesn't exist.*record=tokens"):
        read_traces(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no trace parts.*record=tokens"):
        read_traces(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file"):
        read_traces(tmp_path / "file")


def test_nothing_readable(tmp_path: Path) -> None:
    (tmp_path / files.new_part_name("run1", 0, 0)).write_bytes(b"")
    with (
        pytest.warns(TraceWarning, match="an empty file"),
        pytest.raises(ValueError, match="none of the trace parts could be read"),
    ):
        read_traces(tmp_path)


def test_a_run_or_a_task_that_isnt_there(part: Path) -> None:
    with pytest.raises(ValueError, match=r"no run 'run9'. Its runs: run1"):
        read_traces(part.parent, run_id="run9")
    with pytest.raises(ValueError, match=r"task 'gsm8'; did you mean 'gsm8k'\?"):
        read_traces(part.parent, task="gsm8")
