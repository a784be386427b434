"""What a writer makes of its directory, and what it refuses."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from l2_harness.config.errors import ConfigError, StorageError
from l2_harness.norms import (
    SCHEMA_VERSION,
    TraceRecord,
    TraceWriter,
    read_run_settings,
    read_traces,
)
from l2_harness.norms import trace_files as files
from l2_harness.norms.trace_choices import Choice
from l2_harness.whole_files import host

Make = Callable[..., TraceRecord]


def test_a_part_names_run_rank_and_sequence(tmp_path: Path, make_record: Make) -> None:
    writer = TraceWriter(tmp_path / "new" / "folder", "run-r1", rank=3)
    first = writer.write([make_record(0, run_id="run-r1")])
    second = writer.write([make_record(1, run_id="run-r1")])
    assert first is not None
    assert second is not None
    assert files.parse_part_name(first.name) == ("run-r1", 3, 0)
    assert files.parse_part_name(second.name) == ("run-r1", 3, 1)
    assert sorted(os.listdir(first.parent)) == sorted([first.name, second.name])
    metadata = pq.read_schema(first).metadata
    assert metadata[b"l2_harness.schema_version"] == str(SCHEMA_VERSION).encode()


def test_a_rerun_overwrites_nothing(tmp_path: Path, make_record: Make) -> None:
    paths = {TraceWriter(tmp_path, "run1").write([make_record(i)]) for i in range(5)}
    assert len(paths) == 5
    assert len(read_traces(tmp_path)) == 5


def test_a_part_is_on_disk_before_it_has_its_name(
    tmp_path: Path, make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = TraceWriter(tmp_path, "run1")
    steps: list[str] = []
    rename = os.replace

    def sync(descriptor: int) -> None:
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")

    def replace(source: Path, target: Path) -> None:
        steps.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    writer.write([make_record(0)])
    assert steps == ["sync file", "rename", "sync folder"]


def test_no_records_make_no_part(tmp_path: Path) -> None:
    assert TraceWriter(tmp_path, "run1").write([]) is None
    assert not os.listdir(tmp_path)


def test_records_of_another_run_or_twice_the_same(tmp_path: Path, make_record: Make) -> None:
    writer = TraceWriter(tmp_path, "run1")
    with pytest.raises(ValueError, match="run_id='run2'"):
        writer.write([make_record(0, run_id="run2")])
    with pytest.raises(ValueError, match="twice"):
        writer.write([make_record(0), make_record(0)])
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("trace_dir", ["", "  "])
def test_an_empty_folder_name(trace_dir: str) -> None:
    with pytest.raises(ConfigError, match=r"trace_dir=.*empty: pass trace_dir=DIR"):
        TraceWriter(trace_dir, "run1")


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_the_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises((ConfigError, StorageError), match=r"pass trace_dir=DIR"):
        TraceWriter(tmp_path / "file" / below, "run1")
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(("run_id", "rank"), [("a/b", 0), ("", 0), ("run", -1)])
def test_a_name_unfit_for_files(tmp_path: Path, run_id: str, rank: int) -> None:
    with pytest.raises(ValueError, match=r"run_id=|rank="):
        TraceWriter(tmp_path, run_id, rank)


def test_a_folder_that_cant_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(os, "geteuid") and os.geteuid():
        tmp_path.chmod(0o555)
    else:  # the superuser may write anywhere

        def refuse(self: Path, data: bytes) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StorageError, match=r"Permission denied.*pass trace_dir=DIR") as caught:
        TraceWriter(tmp_path, "run1")
    assert caught.value.filename == str(tmp_path)
    tmp_path.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on a file's size there")
@pytest.mark.process
def test_a_full_disk_leaves_no_half_part(tmp_path: Path, make_record: Make) -> None:
    """A limit on the size of files makes the write itself fail, as a full disk does."""
    TraceWriter(tmp_path, "run1").write([make_record(0)])
    code = """
        import resource, sys
        import numpy as np
        from l2_harness.norms import TraceRecord, TraceWriter
        record = TraceRecord(
            run_id="run1", task="gsm8k", doc_id=1, request_type="generate_until",
            prompt_hash="00", request_hash="00", prompt_tokens=1, finish_reason="eos",
            tokens=range(5000), text="", layers=range(4),
            norms=np.random.default_rng(0).normal(size=(5000, 4)),
        )
        writer = TraceWriter(sys.argv[1], "run1")
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            writer.write([record])
        except OSError as error:
            print(error)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "earlier parts stand" in ran.stdout
    assert str(tmp_path) in ran.stdout
    assert len(os.listdir(tmp_path)) == 1
    assert read_traces(tmp_path)["doc_id"].tolist() == [0]


def test_a_folder_that_vanishes(tmp_path: Path, make_record: Make) -> None:
    writer = TraceWriter(tmp_path / "gone", "run1")
    (tmp_path / "gone").rmdir()
    record = make_record(0)
    with pytest.raises(StorageError, match=r"can't write traces.*is gone.*the same command again"):
        writer.write([record])
    with pytest.raises(StorageError, match=r"can't write traces.*is gone"):
        writer.write_choices({record.resume_key: Choice({}, True)})


@pytest.mark.process
def test_leftovers_of_dead_processes_are_cleared(tmp_path: Path, make_record: Make) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = host()
    part = files.new_part_name("run1", 0, 0)
    other = files.new_part_name("run2", 0, 0)
    stale = tmp_path / f".{part}.{here}-{dead.pid}.tmp"
    kept = {
        tmp_path / f".{part}.{here}-{os.getpid()}.tmp",
        tmp_path / f".{part}.00000000-{dead.pid}.tmp",
        tmp_path / f".{other}.{here}-{dead.pid}.tmp",
        tmp_path / ".mine.tmp",
    }
    for path in (stale, *kept):
        path.write_bytes(b"PAR1")
    TraceWriter(tmp_path, "run1")
    assert set(tmp_path.iterdir()) == kept


def test_run_settings(tmp_path: Path) -> None:
    settings = {"layers": [20, 21], "versions": {"torch": "2.1"}, "trace_dir": tmp_path}
    for rank in range(2):
        path = TraceWriter(tmp_path, "run1", rank).describe_run(settings)
    assert path.name == "run-run1.json"
    assert read_run_settings(tmp_path, "run1") == {**settings, "trace_dir": str(tmp_path)}
    with pytest.raises(ValueError, match=re.escape("versions.torch: '2.1' → '2.2'")):
        TraceWriter(tmp_path, "run1").describe_run({**settings, "versions": {"torch": "2.2"}})
    with pytest.raises(FileNotFoundError, match="run2"):
        read_run_settings(tmp_path, "run2")
    path.write_text("[]")
    with pytest.raises(ValueError, match="delete it"):
        read_run_settings(tmp_path, "run1")
