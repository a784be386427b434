"""Responses judged again by their task, in the commands and alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from l2_harness.cli import main
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.judging import Answered, Judging, judge
from l2_harness.lm_eval_files.tasks import load_task
from l2_harness.norms import TraceRecord, TraceWriter
from l2_harness.report import ResponseSource, VerdictSource, load_responses
from l2_harness.selection.sampled_text import SampledText

QUESTIONS, SAMPLES = 12, 3
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
repeats: 4
filter_list:
  - name: maj@2
    filter:
      - {{function: take_first_k, k: 2}}
      - {{function: regex, regex_pattern: "(\\\\d+)"}}
      - {{function: majority_vote}}
      - {{function: take_first}}
metric_list:
  - metric: exact_match
"""
Make = Callable[..., TraceRecord]


def said(doc_id: int, sample: int) -> str:
    """Right where the sample's number is the document's, modulo the samples."""
    return f"It is {doc_id if sample == doc_id % SAMPLES else 99}."


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, make_record: Make) -> Path:
    """Traces and samples of ``voted``, which has a YAML, and of ``lost``, which has none."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "tasks").mkdir()
    docs = [{"question": f"question {i}", "answer": str(i)} for i in range(QUESTIONS)]
    data = folder / "docs.jsonl"
    data.write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (folder / "tasks" / "voted.yaml").write_text(TASK.format(name="voted", data=data))
    writer = TraceWriter(folder / "traces", "run1")
    writer.describe_run({"tokenizer": "demo"})
    (folder / "out").mkdir()
    for task in ("lost", "voted"):
        writer.write(
            [
                make_record(
                    *(i, 8 + s),
                    task=task,
                    sample=s,
                    text=said(i, s),
                    response=said(i, s),
                    chosen=s == 0,
                    confidence=[1.0] * (8 + s),
                )
                for i in range(QUESTIONS)
                for s in range(SAMPLES)
            ]
        )
        lines = [
            {
                "doc_id": i,
                "doc": doc,
                "target": doc["answer"],
                "arguments": {"gen_args_0": {"arg_0": doc["question"], "arg_1": {}}},
                "resps": [["?"] * 4],
                "filtered_resps": ["?"],
                "filter": "maj@2",
                "metrics": ["exact_match"],
                "exact_match": 0.0,
            }
            for i, doc in enumerate(docs)
        ]
        path = folder / "out" / f"samples_{task}_2026-01-05T12-34-56.789012.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def command(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["l2-harness", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def answered(text: str, doc: Any) -> Answered:
    return Answered(SampledText(text), doc, doc["question"])


def test_a_filter_of_several_responses_judges_each_alone(recorded: Path) -> None:
    task = Judging("voted", (recorded / "tasks",)).load({})
    docs = [{"question": f"question {i}", "answer": str(i)} for i in range(3)]
    found = judge(task, [answered(f"It is {i % 2}.", doc) for i, doc in enumerate(docs)])
    assert [(one.metric, one.value, one.answer) for one in found] == [
        *(("exact_match", 1.0, "0"), ("exact_match", 1.0, "1"), ("exact_match", 0.0, "0"))
    ]


@pytest.mark.parametrize("name", ["select", "analyze"])
def test_a_task_that_cannot_be_judged_stops_no_other(
    recorded: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(recorded / "traces"), "--samples", str(recorded / "out"), "--resamples", "30"]
    include = ["--include-path", str(recorded / "tasks"), "--out", str(tmp_path)]
    assert command(name, *words, *include) == 2
    told = capsys.readouterr().err
    assert "1 of 2 tasks could not be done. lost: lm-eval knows no task 'lost'" in told
    assert list((tmp_path / "voted").iterdir())
    if name == "select":
        table = pd.read_csv(
            tmp_path / "voted" / "selection" / "selectors.csv", index_col="selector"
        )
        assert table.loc["oracle", "accuracy"] == 100.0
        assert table.loc["random", "accuracy"] == pytest.approx(100 / SAMPLES)


def test_a_report_judges_what_it_can(recorded: Path) -> None:
    source = VerdictSource(recorded / "out", (recorded / "tasks",))
    with pytest.warns(UserWarning, match="task 'lost' is not judged"):
        found = load_responses(ResponseSource(recorded / "traces", source, wanted=1000))
    verdicts = {(v.task, v.doc_id, v.sample): v.verdict for v in found.views}
    for i in range(QUESTIONS):
        for s in range(SAMPLES):
            right = "correct" if s == i % SAMPLES else "wrong"
            assert (verdicts["voted", i, s], verdicts["lost", i, s]) == (right, "unjudged")


def test_a_task_that_is_nowhere_is_told_without_lm_evals_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which parses fourteen thousand files."""

    def parse(*args: object, **kwargs: object) -> None:
        pytest.fail("lm-eval parses its tasks")

    monkeypatch.setattr("lm_eval.tasks._index.load_yaml", parse)
    with pytest.raises(ConfigError, match=r"did you mean 'l2_demo'.*--include-path"):
        load_task("l2_dem")


def test_every_task_of_lm_eval_has_the_file_that_lm_eval_takes() -> None:
    """Of a few folders, one of them with tasks that inherit and whose keys are quoted."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    from l2_harness.lm_eval_files.tasks import task_files

    for name in ("gsm8k", "mmlu/default", "winogrande", "bbh/cot_fewshot"):
        folder = Path(lm_eval.__file__).parent / "tasks" / name
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        known = {task: manager.task_index[task].yaml_path for task in manager.all_subtasks}
        assert task_files(folder) == known


def test_an_error_of_the_tasks_own_code_names_the_task(recorded: Path) -> None:
    task = Judging("voted", (recorded / "tasks",)).load({})
    with pytest.raises(ConfigError, match=r"task 'voted': its scoring fails .*--filter or"):
        judge(task, [answered("It is 1.", {"question": "?"})])
    with pytest.raises(ConfigError, match=r"--filter='x' is unknown\. Allowed: maj@2"):
        judge(task, [answered("It is 1.", {"question": "?", "answer": "1"})], filter="x")
