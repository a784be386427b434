"""Runs as other tools read them: evalstats, Inspect, and by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from l2_harness.cli.app import app
from l2_harness.lm_eval_files.inspect_log import inspect_log, log_name
from l2_harness.lm_eval_files.runs import Run, find_runs

LINES: list[dict[str, Any]] = [
    {
        "doc_id": doc,
        "doc": {"question": f"1 + {doc}?"},
        "target": str(doc + 1),
        "arguments": {"gen_args_0": {"arg_0": f"1 + {doc} = ", "arg_1": {"until": []}}},
        "resps": [["3", "about 4"]],
        "filtered_resps": [kept],
        "filter": name,
        "metrics": ["exact_match"],
        "exact_match": float(kept == str(doc + 1)),
        "doc_hash": f"{doc:064d}",
    }
    for doc in (2, 5)
    for name, kept in (("first", "3"), ("strict", "none"))
]
FIGURES = {
    "alias": "t",
    "exact_match,first": 0.5,
    "exact_match_stderr,first": 0.5,
    "exact_match,strict": 0.0,
    "exact_match_stderr,strict": "N/A",
}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """``folder(name, lines)``: a run of lm-eval's as its command writes it."""

    def make(name: str, lines: list[dict[str, Any]] = LINES, seed: int = 0) -> Path:
        date, own = "2026-01-02T03-04-05.6", tmp_path / name
        own.mkdir()
        right = [line["exact_match"] for line in lines if line["filter"] == "first"]
        figures = {**FIGURES, "exact_match,first": sum(right) / len(right)}
        content = {
            "results": {"t": figures},
            "configs": {"t": {"task": "t", "metric_list": [{"metric": "exact_match"}]}},
            "higher_is_better": {"t": {"exact_match": True}},
            "config": {"model": "hf", "model_args": {"pretrained": "m", "seed": seed}},
            "date": 1767323045.6,
        }
        (own / f"results_{date}.json").write_text(json.dumps(content), "utf-8")
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (own / f"samples_t_{date}.jsonl").write_text(text, "utf-8")
        return own

    return make


def run_in(folder: Path) -> Run:
    (run,) = find_runs(folder).runs
    return run


def test_nothing_of_a_sample_is_lost(folder: Callable[..., Path]) -> None:
    log = inspect_log(run_in(folder("a")), "t")
    assert log is not None
    kept = [line for one in log["samples"] for line in one["metadata"].get("lm_eval", ())]
    assert kept == LINES
    assert [(one["id"], one["epoch"]) for one in log["samples"]] == [(2, 1), (2, 2), (5, 1), (5, 2)]
    assert [one["output"]["completion"] for one in log["samples"]] == ["3", "about 4"] * 2
    first = log["samples"][0]
    assert (first["input"], first["target"]) == ("1 + 2 = ", "3")
    assert first["scores"] == {
        "exact_match,first": {"value": 1.0, "answer": "3"},
        "exact_match,strict": {"value": 0.0, "answer": "none"},
    }
    assert log["eval"]["created"] == "2026-01-02T03:04:05+00:00"


def test_multiple_choice_has_no_response(folder: Callable[..., Path]) -> None:
    line = {
        **LINES[0],
        "resps": [[[-1.0, "True"]], [[-2.0, "False"]]],
        "filtered_resps": [[-1, "True"]],
    }
    log = inspect_log(run_in(folder("a", [line])), "t")
    assert log is not None
    (sample,) = log["samples"]
    assert sample["output"]["completion"] == ""
    assert sample["metadata"]["lm_eval"][0]["resps"] == line["resps"]


def test_without_samples(folder: Callable[..., Path]) -> None:
    own = folder("a")
    next(own.glob("samples_*")).unlink()
    assert inspect_log(run_in(own), "t") is None


@pytest.fixture
def exported(folder: Callable[..., Path], tmp_path: Path) -> Path:
    better = [{**line, "exact_match": 1.0} for line in LINES]
    own = [folder("plain"), folder("better", better)]
    out = tmp_path / "out"
    arguments = ["export", *(f"{one}={one.name}" for one in own), "--out", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "1 table for evalstats, 2 logs for Inspect" in done.output
    return out


def test_evalstats_reads_the_scores(exported: Path) -> None:
    evalstats = pytest.importorskip("evalstats")
    found = evalstats.load_from(exported / "evalstats_t.csv")
    assert sorted(found._df["prompt"].unique()) == ["better", "plain"]
    means = found._df.groupby("prompt")["score"].mean()
    assert means.to_dict() == {"better": 1.0, "plain": 0.5}


def test_inspect_reads_the_logs(exported: Path) -> None:
    log_module = pytest.importorskip("inspect_ai.log", reason="needs inspect-ai, of '.[dev]'")
    listed = log_module.list_eval_logs(str(exported / "inspect"))
    assert len(listed) == 2
    for info in listed:
        log = log_module.read_eval_log(info)
        assert (log.status, log.eval.task, log.eval.model) == ("success", "t", "m")
        assert [one.output.completion for one in log.samples] == ["3", "about 4"] * 2
        assert log.samples[0].scores["exact_match,first"].answer == "3"
        assert log.results.scores[0].metrics["mean"].value in (0.5, 1.0)
        assert log.results.scores[0].metrics["stderr"].value == 0.5
        kept = [line for one in log.samples for line in one.metadata.get("lm_eval", ())]
        assert [line["doc"] for line in kept] == [line["doc"] for line in LINES]


@pytest.mark.parametrize(
    ("content", "n_logs", "told"),
    [
        (b"", 0, "is empty"),
        (json.dumps(LINES[0]).encode()[:-9], 1, "line 1 is no sample of lm-eval"),
        (b"[" * 100_000, 1, "line 1 is no sample"),
        (json.dumps({**LINES[0], "target": "\ud800"}).encode(), 1, "2 logs for Inspect"),
        (json.dumps({"doc_id": "x"}).encode() + b"\n" + json.dumps(LINES[0]).encode(), 1, "line 1"),
    ],
)
def test_damaged_samples_are_left_out(
    content: bytes,
    n_logs: int,
    told: str,
    folder: Callable[..., Path],
    tmp_path: Path,
    recwarn: pytest.WarningsRecorder,
) -> None:
    own, whole = folder("a"), folder("b")
    next(own.glob("samples_*")).write_bytes(content)
    done = CliRunner().invoke(app, ["export", str(own), str(whole), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert told in done.output + "".join(str(one.message) for one in recwarn)
    assert len(list((tmp_path / "out" / "inspect").iterdir())) == 1 + n_logs


@pytest.mark.parametrize("date", [1e300, float("nan"), "yesterday", None, [1]], ids=str)
def test_a_date_that_is_none(date: Any, folder: Callable[..., Path]) -> None:
    run = run_in(folder("a"))
    log = inspect_log(replace(run, content={**run.content, "date": date}), "t")
    assert log is not None
    assert log["eval"]["created"].startswith("20")


@pytest.mark.parametrize("task", ["../../x", "a\x00b", "t" * 5000, "\ud800", "a/b_c"])
def test_names_of_logs(task: str) -> None:
    log = {"eval": {"created": "2026-01-02T03:04:05+00:00", "task": task, "task_id": "a1"}}
    name = log_name(log)
    assert len(Path(name).parts) == 1
    assert len(name.encode()) < 200
    assert name.startswith("2026-01-02T03-04-05+00-00_")
