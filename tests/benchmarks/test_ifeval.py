"""IFEval's checks see what follows the thinking, and nothing of thinking that never ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from l2_harness.benchmarks.check import load_task
from l2_harness.benchmarks.ifeval import instruction_accuracy, process_results
from l2_harness.config.errors import ConfigError
from l2_harness.paths import tasks_dir


def test_thinking_is_cut_off_before_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def score(doc: Any, results: list[str]) -> dict[str, Any]:
        seen.append(results)
        return {"prompt_level_strict_acc": True}

    stand_in = ModuleType("lm_eval.tasks.ifeval.utils")
    stand_in.process_results = score  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lm_eval.tasks.ifeval.utils", stand_in)
    assert process_results({}, ["<think>no commas, please</think>\n\nFine"]) == {
        "prompt_level_strict_acc": True
    }
    process_results({}, ["<think>no commas, please"])
    assert seen == [["Fine"], [""]]


def test_instruction_accuracy_is_over_instructions() -> None:
    assert instruction_accuracy([[True, False], [True, True, True]]) == 0.8


def test_local_rows_stand_in_for_the_hub(tmp_path: Path) -> None:
    pytest.importorskip("langdetect", reason="IFEval's checks need lm-eval[ifeval]")
    rows = [
        {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
        {
            "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
            "kwargs": [{}, {"relation": "at least", "num_words": 3}],
        },
    ]
    (tmp_path / "ifeval").mkdir()
    lines = [json.dumps({"key": i, "prompt": f"Say {i}.", **row}) for i, row in enumerate(rows)]
    (tmp_path / "ifeval" / "train.jsonl").write_text("\n".join(lines))
    task = load_task("l2_ifeval", tmp_path)
    first, second = task.test_docs()
    assert task.doc_to_text(second) == "Say 1."
    said = "<think>one, two</think>one two"
    assert task.process_results(first, [said])["prompt_level_strict_acc"] is True
    assert task.process_results(second, [said])["inst_level_strict_acc"] == [True, False]


def test_a_missing_local_file_is_one_line_of_the_stock_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ifeval/train\.jsonl does not exist"):
        load_task("l2_ifeval", tmp_path)
    arguments = ["--model", "dummy", "--tasks", "l2_ifeval", "--include_path", str(tasks_dir())]
    done = subprocess.run(
        [sys.executable, "-m", "lm_eval", *arguments, "--metadata", f"l2_data={tmp_path}"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/ifeval/train.jsonl")
