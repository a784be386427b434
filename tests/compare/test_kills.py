"""A suite killed at random moments, over and over, comes to what an uninterrupted run comes to.

One helper process has imported everything and forks the runs, so that each is at work within a
second. More kills of a larger suite, by hand: ``python tests/compare/test_kills.py 100 12``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.process, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

KILLS = 20
PROBLEMS = 4
SEED = 5

HELPER = '''
import functools, json, os, random, signal, sys, time
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"
import torch
import lm_eval.models.huggingface, lm_eval.tasks, lm_eval.loggers, datasets, pyarrow.parquet, scipy
import l2_harness.models.hf.l2hf, l2_harness.compare.evaluation, l2_harness.compare.cell_cost
from l2_harness.compare import runner, suite_checks, sharing, progress
from l2_harness.compare.suite_reader import parse_suite
from l2_harness.paths import demo_model_path
from torch.utils import collect_env
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(1)
# lm-eval asks pip what is installed for each result file, which takes longer than a cell does
collect_env.get_pretty_env_info = functools.cache(collect_env.get_pretty_env_info)
collect_env.get_pretty_env_info()
out, kills, problems, seed = Path(sys.argv[1]), *map(int, sys.argv[2:])
SUITE = parse_suite(f"""
models:
  # in float64 a response is the same whatever batch a rerun puts it into
  demo: {{args: {{pretrained: demo, dtype: float64}}}}
tasks: [l2_demo]
apply_chat_template: true
limit: {problems}
batch_size: 2
device: cpu
gen_kwargs: {{max_gen_toks: 24}}
methods:
  plain: {{role: plain}}
  alrr: {{args: {{recursion: norm, threshold_warmup: 4}}}}
  best:
    gen_kwargs: {{do_sample: true, temperature: 3.0}}
    args: {{num_samples: 2, selection: l2}}
  most: {{extends: best, args: {{num_samples: 3, selection: majority}}}}
  hf: {{class: hf}}
""")

# what a run imports late, imported before the forks; no tensor is computed here
suite_checks.check_suite(SUITE)
AutoModelForCausalLM.from_pretrained(demo_model_path())
AutoTokenizer.from_pretrained(demo_model_path())


class Told(progress.Silent):
    """A byte on the pipe when a cell begins, and one when all are done."""

    def __init__(self, pipe):
        self.pipe = pipe

    def started(self, planned, record):
        os.write(self.pipe, b"s")


def what_came_out(outcomes):
    cost = lambda c: [c.tokens, c.samples, c.extra_layer_passes, c.layers]
    return [[o.model, o.task, o.method, o.seed, o.role, o.metric, dict(o.scores), cost(o.cost),
             o.error] for o in outcomes]


def fork(folder):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    os.close(reader)
    status = 1
    try:
        outcomes = runner.run_suite(SUITE, folder, progress=Told(writer))
        (folder / "outcomes.json").write_text(json.dumps(what_came_out(outcomes)))
        status = 0
    finally:
        os._exit(status)


def attempt(folder, early, later):
    """Run; kill it ``early`` seconds after the fork, or ``later`` seconds after its first cell."""
    began = time.monotonic()
    pid, reader = fork(folder)
    if early is None:
        os.read(reader, 1)
    start = time.monotonic() - began
    end = time.monotonic() + (early if early is not None else later)
    killed = False
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end and not killed:
            os.kill(pid, signal.SIGKILL)
            killed = True
        time.sleep(0.005)
    os.close(reader)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "a run failed by itself"
    return os.WIFSIGNALED(status), start, time.monotonic() - began - start


_, start, work = attempt(out / "whole", None, 1e9)
def written(folder):
    return sum(1 for pattern in ("part-*", "results_*") for _ in folder.rglob(pattern))


rng = random.Random(seed)
killed, longest, folders = 0, work / kills, []
while killed < kills:  # one folder has enough of them, but for where the machine has got faster
    folder = out / f"killed{len(folders)}"
    folders.append(folder.name)
    was_killed = True
    while was_killed:
        before = written(folder)
        early = rng.uniform(0, start) if rng.random() < 0.2 else None
        was_killed, *_ = attempt(folder, early, rng.uniform(0, longest))
        killed += was_killed
        # it may have got slower, and let nothing be finished in time
        longest *= 1.25 if written(folder) == before else 1.0
read = lambda name: json.loads((out / name / "outcomes.json").read_text())
print(json.dumps({"kills": killed, "outcomes": {name: read(name) for name in ["whole", *folders]},
                  "seconds": [start, work]}))
'''


def kill_and_resume(out: Path, kills: int, problems: int, seed: int) -> dict[str, Any]:
    arguments = [str(out), *map(str, (kills, problems, seed))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", HELPER, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=3000,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def lm_evals_lines(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Cell → the lines of its sample file, which lm-eval gives no dates."""
    found = {}
    for path in sorted(out.glob("cells/**/samples_*.jsonl")):
        key = path.parent.relative_to(out).as_posix()
        assert key not in found, "a cell has one sample file a task"
        found[key] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return found


def traced(out: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Trace folder → every response in it; a response that is there twice shows."""
    import warnings

    from l2_harness.norms import read_traces

    found = {}
    for folder in sorted(out.glob("**/traces")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a part that a kill cut off
            traces = read_traces(folder)
        columns = ("doc_id", "sample", "text", "chosen")
        rows = sorted(zip(*(traces[name] for name in columns), strict=True))
        found[folder.relative_to(out).as_posix()] = rows
    return found


def check(out: Path, found: dict[str, Any]) -> None:
    whole = found["outcomes"].pop("whole")
    lines, responses = lm_evals_lines(out / "whole"), traced(out / "whole")
    assert len(whole) == len(lines) == 5
    assert len(responses) == 5  # hf has none, and there is one of the samples
    for name, outcomes in found["outcomes"].items():
        assert outcomes == whole
        assert lm_evals_lines(out / name) == lines
        assert traced(out / name) == responses


def test_killed_at_random_moments(tmp_path: Path) -> None:
    found = kill_and_resume(tmp_path, KILLS, PROBLEMS, SEED)
    assert found["kills"] >= KILLS
    check(tmp_path, found)


if __name__ == "__main__":
    import tempfile

    wanted, limit = (int(word) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        result = kill_and_resume(Path(folder), wanted, limit, SEED)
        check(Path(folder), result)
        print(
            f"{result['kills']} kills, equal outcomes; seconds to start, to work: "
            f"{result['seconds']}"
        )
