"""Selection by the real commands: `lm_eval` with samples and with repeats, `l2-harness select`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from l2_harness.norms import read_traces
from l2_harness.paths import tasks_dir

Run = Callable[..., Any]

LIMIT, N = 8, 4
BEST_OF = """
include: _l2_demo_yaml
task: l2_demo_best_of
repeats: 4
filter_list:
"""
FILTER = """
  - name: {name}
    filter:
      - function: {function}
      - function: regex
        regex_pattern: '####\\s*0*(\\d+)'
        group_select: -1
      - function: take_first
"""
FILTERS = {"first": "take_first_k\n        k: 1", "l2": "l2_select", "majority": "l2_majority"}


def lm_eval(run: Run, folder: Path, task: str, include: Path, model: str, args: str) -> Any:
    done = run(
        *("lm_eval", "--model", model, "--model_args", f"pretrained={args}"),
        *("--tasks", task, "--include_path", str(include), "--apply_chat_template"),
        *("--device", "cpu", "--batch_size", "64", "--limit", str(LIMIT)),
        *("--gen_kwargs", "do_sample=true,temperature=0.8,max_gen_toks=120"),
        *("--output_path", str(folder / "out"), "--log_samples"),
    )
    if done.returncode:
        return done
    (results,) = folder.glob("out/**/results_*.json")
    return json.loads(results.read_text())


@pytest.fixture(scope="module")
def sampled(run_command: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("sampled")
    args = f"demo,record=tokens,trace_dir={folder / 'traces'},num_samples={N},selection=l2,seed=1"
    return folder, lm_eval(run_command, folder, "l2_demo", tasks_dir(), "l2hf", args)


@pytest.fixture(scope="module")
def repeated(run_command: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("repeated")
    include = folder / "tasks"
    shutil.copytree(tasks_dir() / "l2_demo", include)
    filters = [FILTER.format(name=n, function=f) for n, f in FILTERS.items()]
    (include / "best_of.yaml").write_text(BEST_OF + "".join(filters))
    args = f"demo,record=tokens,trace_dir={folder / 'traces'},seed=1"
    return folder, lm_eval(run_command, folder, "l2_demo_best_of", include, "l2hf", args)


def select(run: Run, folder: Path, *words: str) -> pd.DataFrame:
    out = folder / f"selection-{len(words)}"
    done = run(
        *("l2-harness", "select", str(folder / "traces"), "--samples", str(folder / "out")),
        *("--out", str(out), "--resamples", "50", *words),
    )
    assert done.returncode == 0, done.stderr
    (table,) = out.glob("**/selectors.csv")
    found = pd.read_csv(table).set_index("selector")
    return found.assign(accuracy=found["accuracy"] / 100)


def test_the_chosen_sample_is_scored(run_command: Run, sampled: tuple[Path, Any]) -> None:
    folder, results = sampled
    traces = read_traces(folder / "traces")
    assert len(traces) == LIMIT * N
    assert traces.groupby("doc_id").chosen.sum().eq(1).all()
    info = results["config"]["l2"]
    assert (info["selection"], info["selection_on"]) == ("l2_peaks", "all")
    score = results["results"]["l2_demo"]["exact_match,number"]
    assert select(run_command, folder, "--task", "l2_demo").accuracy["l2_peaks"] == pytest.approx(
        score
    )


def test_without_a_model_or_a_task_name(run_command: Run, sampled: tuple[Path, Any]) -> None:
    folder, _ = sampled
    table = select(run_command, folder)
    assert {"random", "majority", "l2_area", "deepconf_tail", "oracle"} <= set(table.index)
    assert not any(name.startswith("coe") for name in table.index)


def test_choices_afterwards_are_those_of_the_run(
    run_command: Run, sampled: tuple[Path, Any]
) -> None:
    folder, _ = sampled
    select(run_command, folder, "--task", "l2_demo", "--seed", "2")
    (path,) = folder.glob("selection-4/choices.csv")
    found = pd.read_csv(path).set_index("question")
    traces = read_traces(folder / "traces")
    picked = traces[traces.chosen].set_index("doc_id")["sample"]
    assert list(found.index) == [f"{doc_id}/0/0" for doc_id in picked.index]
    assert found["l2_peaks"].tolist() == picked.tolist()
    assert "random" not in found


def test_filters_choose_among_repeats(run_command: Run, repeated: tuple[Path, Any]) -> None:
    folder, results = repeated
    assert isinstance(results, dict), results.stderr[-3000:]
    scores = results["results"]["l2_demo_best_of"]
    table = select(
        run_command, folder, "--task", "l2_demo_best_of", "--include-path", str(folder / "tasks")
    )
    assert table.accuracy["l2_peaks"] == pytest.approx(scores["exact_match,l2"])
    assert table.accuracy["majority"] == pytest.approx(scores["exact_match,majority"])


def test_repeats_are_the_samples_of_the_other_way(
    sampled: tuple[Path, Any], repeated: tuple[Path, Any]
) -> None:
    """The same streams, so the same choice: one way's score is the other's."""
    chosen = sampled[1]["results"]["l2_demo"]["exact_match,number"]
    assert repeated[1]["results"]["l2_demo_best_of"]["exact_match,l2"] == pytest.approx(chosen)


def test_another_model_class_carries_no_signals(
    run_command: Run, repeated: tuple[Path, Any], tmp_path: Path
) -> None:
    from l2_harness.paths import demo_model_path

    done = lm_eval(
        run_command,
        tmp_path,
        "l2_demo_best_of",
        repeated[0] / "tasks",
        "hf",
        f"{demo_model_path()},max_length=400",
    )
    assert not isinstance(done, dict)
    assert done.returncode
    assert "They need --model l2hf with record=summary or record=tokens" in done.stderr
