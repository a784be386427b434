from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.config.errors import ConfigError
from l2_harness.demo.tokenizer import build_tokenizer
from l2_harness.norms import TraceEvent, TraceRecord, TraceWriter, hash_prompt, hash_request
from l2_harness.report import ResponseSource, ResponseView, VerdictSource, load_responses

LAYERS = (3, 7)
Write = Callable[..., Path]


def record(doc_id: int, text: str = "4 + 4 = 8.", **changes: Any) -> TraceRecord:
    tokens = build_tokenizer()(text)["input_ids"]
    rng = np.random.default_rng(doc_id)
    defaults: dict[str, Any] = {
        "run_id": "run1",
        "task": "l2_demo",
        "doc_id": doc_id,
        "request_type": "generate_until",
        "prompt_hash": hash_prompt(f"question {doc_id}"),
        "request_hash": hash_request("generate_until", f"question {doc_id}", {}),
        "prompt_tokens": 3,
        "tokens": tokens,
        "text": text,
        "response": text,
        "finish_reason": "eos",
        "layers": LAYERS,
        "norms": rng.uniform(50, 200, (len(tokens), 2)).astype(np.float32),
    }
    return TraceRecord(**{**defaults, **changes})


def write(folder: Path, records: Sequence[TraceRecord], **settings: Any) -> Path:
    run = records[0].run_id
    writer = TraceWriter(folder, run)
    writer.describe_run({"tokenizer": "demo", **settings})
    writer.write(records)
    return folder


def log(
    folder: Path, answers: dict[int, tuple[str, float]], resps: int = 1, doc: Any = None
) -> Path:
    """A sample file that says of each document: what was extracted, and the score."""
    folder.mkdir()
    lines = [
        {
            "doc_id": doc_id,
            "doc": {"question": f"<b>{doc_id}</b>", "answer": 8, **(doc or {})},
            "target": "8",
            "arguments": {"gen_args_0": {"arg_0": f"question {doc_id}", "arg_1": {}}},
            "resps": [["?"] * resps],
            "filtered_resps": [said],
            "filter": "number",
            "metrics": ["exact_match"],
            "exact_match": score,
        }
        for doc_id, (said, score) in answers.items()
    ]
    path = folder / "samples_l2_demo_2026-01-05T12-34-56.789012.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_a_run_with_verdicts(tmp_path: Path) -> None:
    event = TraceEvent(1, 7, "recursion", 1.0, "{}")
    traces = write(tmp_path / "t", [record(0, events=[event]), record(1), record(2)])
    samples = log(tmp_path / "s", {0: ("8", 1.0), 1: ("9", 0.0)})
    with pytest.warns(UserWarning, match="1 of 3 responses has no line"):
        found = load_responses(ResponseSource(traces, VerdictSource(samples)))
    assert (found.run_id, list(found.layers)) == ("run1", [3, 7])
    assert [v.verdict for v in found.views] == ["correct", "wrong", "unjudged"]
    first = found.views[0]
    assert "".join(first.pieces) == "4 + 4 = 8."
    assert (first.question, first.prompt, first.reference) == ("<b>0</b>", "question 0", "8")
    assert (first.extracted, first.metric) == ("8", "exact_match 1")
    assert first.events[0]["kind"] == "recursion"
    assert found.views[2].question is None


@pytest.mark.parametrize(("kind", "extracted"), [({"kind": "math"}, "8"), ({}, None)])
def test_a_filter_that_leaves_the_response_as_it_is_extracts_nothing(
    tmp_path: Path, kind: dict[str, str], extracted: str | None
) -> None:
    """As of this project's benchmarks, whose scoring reads the answer."""
    traces = write(tmp_path / "t", [record(0, "So 4 + 4 = 8\n#### 8")])
    samples = log(tmp_path / "s", {0: ("So 4 + 4 = 8\n#### 8", 1.0)}, doc=kind)
    (view,) = load_responses(ResponseSource(traces, VerdictSource(samples))).views
    assert (view.extracted, view.verdict) == (extracted, "correct")


def test_thresholds_are_of_all_responses_to_a_prompt(tmp_path: Path) -> None:
    records = [record(0, sample=i, norms=None if i == 2 else norms(i)) for i in range(3)]
    found = load_responses(ResponseSource(write(tmp_path, records)))
    together = np.concatenate([norms(0), norms(1)])
    low, high = np.quantile(together, [0.25, 0.75], axis=0)
    for view in found.views:
        np.testing.assert_allclose(view.tau, high + 1.5 * (high - low), rtol=1e-6)
    assert "up to 3 responses" in found.threshold


def norms(seed: int) -> np.ndarray:
    rows = len(build_tokenizer()("4 + 4 = 8.")["input_ids"])
    return np.random.default_rng(seed).uniform(50, 200, (rows, 2)).astype(np.float32)


def test_fixed_thresholds_are_the_runs_own(tmp_path: Path) -> None:
    traces = write(tmp_path, [record(0)], thresholds={"3": 61.5, "7": 80})
    found = load_responses(ResponseSource(traces))
    np.testing.assert_array_equal(found.views[0].tau, [61.5, 80])
    assert "run's own" in found.threshold


def test_samples_of_one_prompt_are_judged_one_by_one(tmp_path: Path) -> None:
    texts = ["#### 8", "#### 9", "no number"]
    records = [record(0, text, sample=i) for i, text in enumerate(texts)]
    # the log knows of one response only, and calls it right
    samples = log(tmp_path / "s", {0: ("8", 1.0)})
    found = load_responses(ResponseSource(write(tmp_path / "t", records), VerdictSource(samples)))
    assert [v.verdict for v in found.views] == ["correct", "wrong", "wrong"]
    assert [v.extracted for v in found.views][:2] == ["8", "9"]


def test_a_summary_has_texts_only(tmp_path: Path) -> None:
    traces = write(tmp_path, [record(0, norms=None, norm_mean=[1.0, 2.0])])
    (view,) = load_responses(ResponseSource(traces)).views
    assert isinstance(view, ResponseView)
    assert view.norms is None
    assert np.isnan(view.tau).all()
    assert "".join(view.pieces) == "4 + 4 = 8."


def test_several_runs_are_named(tmp_path: Path) -> None:
    write(tmp_path, [record(0)])
    write(tmp_path, [record(0, run_id="run2")])
    with (
        pytest.warns(UserWarning, match="2 runs"),
        pytest.raises(ConfigError, match=r"2 runs: run1, run2\. Pass --run-id"),
    ):
        load_responses(ResponseSource(tmp_path))
    assert load_responses(ResponseSource(tmp_path, run_id="run2")).run_id == "run2"


def test_samples_of_another_run_are_refused(tmp_path: Path) -> None:
    traces = write(tmp_path / "t", [record(0, prompt_hash=hash_prompt("another prompt"))])
    samples = log(tmp_path / "s", {0: ("8", 1.0)})
    with pytest.raises(ConfigError, match="another run's"):
        load_responses(ResponseSource(traces, VerdictSource(samples)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter": "strict"}, "--filter='strict' is unknown. Allowed: number"),
        ({"metric": "f1"}, "--metric='f1' is unknown. Allowed: exact_match"),
    ],
)
def test_unknown_names(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    traces = write(tmp_path / "t", [record(0)])
    samples = log(tmp_path / "s", {0: ("8", 1.0)})
    with pytest.raises(ConfigError, match=message):
        load_responses(ResponseSource(traces, VerdictSource(samples, **options)))


def test_no_generated_response(tmp_path: Path) -> None:
    traces = write(tmp_path, [record(0, request_type="loglikelihood", finish_reason=None)])
    with pytest.raises(ConfigError, match="loglikelihood requests only"):
        load_responses(ResponseSource(traces))
    with pytest.raises(ConfigError, match="no trace of task 'x'"):
        load_responses(ResponseSource(traces, task="x"))
