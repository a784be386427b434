"""Writers that are killed, and writers that share a directory.

One helper process forks the writers: it has imported everything, so that a writer is at work at
once and dozens of them can be killed within seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import pytest

from l2_harness.norms import TraceWarning, TraceWriter, read_traces
from l2_harness.norms.trace_files import part_files, unfinished_parts

pytestmark = [pytest.mark.process, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

KILLS = 24
BATCH = 4

FORKED_WRITER = """
    import json, os, random, signal, sys, tempfile, time
    import numpy as np
    from l2_harness.norms import TraceRecord, TraceWriter

    def record(run_id, doc_id):
        rng = np.random.default_rng(doc_id)
        return TraceRecord(
            run_id=run_id, task="gsm8k", doc_id=doc_id, request_type="generate_until",
            prompt_hash="00", request_hash="00", prompt_tokens=1, finish_reason="eos",
            tokens=range(50), text="t", layers=range(4), norms=rng.normal(size=(50, 4)),
        )

    with tempfile.TemporaryDirectory() as warm:  # what the first part imports, before any fork
        TraceWriter(warm, "warm").write([record("warm", 0)])

    def fork_writer(folder, run_id, first, parts, batch):
        # One byte on the pipe for each part that write() has confirmed.
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            return pid, reader
        os.close(reader)
        traces = TraceWriter(folder, run_id)
        for part in range(parts):
            start = first + part * batch
            traces.write([record(run_id, i) for i in range(start, start + batch)])
            os.write(writer, b".")
        os._exit(0)

    def confirmed(pid, reader):
        os.waitpid(pid, 0)
        parts = b""
        while chunk := os.read(reader, 65536):
            parts += chunk
        os.close(reader)
        return len(parts)
"""


def run_helper(code: str, *arguments: object) -> Any:
    source = textwrap.dedent(FORKED_WRITER) + textwrap.dedent(code)
    ran = subprocess.run(
        [sys.executable, "-c", source, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(ran.stdout)


def test_a_kill_loses_at_most_the_batch_in_flight(tmp_path: Path) -> None:
    code = """
        folder, kills, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
        random.seed(0)
        done = []
        for kill in range(kills):
            pid, reader = fork_writer(folder, f"run{kill}", 0, 10**6, batch)
            # On a busy machine a writer starts late: most are killed after their first part.
            at_work = len(os.read(reader, 1)) if kill % 4 else 0
            time.sleep(random.uniform(0, 0.04))
            os.kill(pid, signal.SIGKILL)
            done.append(at_work + confirmed(pid, reader))
        print(json.dumps(done))
    """
    confirmed = run_helper(code, tmp_path, KILLS, BATCH)
    assert sum(n > 0 for n in confirmed) >= KILLS // 2, "most kills should hit a writer at work"
    for kill, parts in enumerate(confirmed):
        # The last part may be complete although the writer was killed before it could say so.
        written = len(part_files(tmp_path, f"run{kill}"))
        assert written in (parts, parts + 1)
        if written:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                frame = read_traces(tmp_path, run_id=f"run{kill}")
            left = unfinished_parts(tmp_path, f"run{kill}")
            expected = [f"{path}: an unfinished part" for path in left]
            assert [str(w.message)[: len(e)] for w, e in zip(caught, expected, strict=True)] == (
                expected
            )
            assert frame["doc_id"].tolist() == list(range(written * BATCH))
            assert {norms.shape for norms in frame["norms"]} == {(50, 4)}
        TraceWriter(tmp_path, f"run{kill}")  # what a rerun begins with
        assert not unfinished_parts(tmp_path, f"run{kill}")


def test_writers_at_the_same_time(tmp_path: Path) -> None:
    code = """
        folder = sys.argv[1]
        writers = [fork_writer(folder, "run1", 1000 * w, 8, 2) for w in range(4)]
        print(json.dumps([confirmed(*writer) for writer in writers]))
    """
    assert run_helper(code, tmp_path) == [8] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error", TraceWarning)
        frame = read_traces(tmp_path)
    assert frame["doc_id"].tolist() == [1000 * w + i for w in range(4) for i in range(16)]
