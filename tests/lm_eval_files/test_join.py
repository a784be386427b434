"""Traces beside the sample files of lm-eval 0.4.13, written here as it writes them.

``evaluator.evaluate`` logs a line a filter and document; ``EvaluationTracker`` turns responses
into texts (``sanitize_list``) and arguments into ``gen_args_<idx>``.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from l2_harness.lm_eval_files import join_samples
from l2_harness.norms import (
    TraceRecord,
    TraceWarning,
    TraceWriter,
    hash_prompt,
    read_traces,
)

Make = Callable[..., TraceRecord]
DATE = "2026-01-05T12-34-56.789012"


def logged(
    doc_id: int,
    *,
    prompts: Sequence[str] | None = None,
    resps: Any = (("a",),),
    filtered: Any = ("a",),
    name: str = "none",
    **metrics: Any,
) -> dict[str, Any]:
    """One line: ``resps`` by idx and repeat, ``filtered`` by idx."""
    prompts = [f"question {doc_id}"] * len(resps) if prompts is None else prompts
    metrics = metrics or {"exact_match": float(doc_id % 2)}
    return {
        "doc_id": doc_id,
        "doc": {"question": "?"},
        "target": str(doc_id),
        "arguments": {f"gen_args_{i}": {"arg_0": p, "arg_1": {}} for i, p in enumerate(prompts)},
        "resps": resps,
        "filtered_resps": filtered,
        "filter": name,
        "metrics": list(metrics),
        "doc_hash": hash_prompt("{}"),
        "prompt_hash": hash_prompt(prompts[0]),
        "target_hash": hash_prompt(str(doc_id)),
        **metrics,
    }


def write_samples(
    folder: Path, lines: Sequence[dict[str, Any]], task: str = "gsm8k", date: str = DATE
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{date}.jsonl"
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def traces_of(folder: Path, *records: TraceRecord) -> pd.DataFrame:
    for rank in (0, 1):
        TraceWriter(folder, "run1", rank).write(records[rank::2])
    return read_traces(folder)


def joined(traces: pd.DataFrame, samples: Path, *about: str, **arguments: Any) -> pd.DataFrame:
    """The join, which warns of exactly what ``about`` says."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = join_samples(traces, samples, **arguments)
    messages = [str(w.message) for w in caught]
    assert len(messages) == len(about), messages
    for message, text in zip(messages, about, strict=True):
        assert text in message
    return result


def test_one_response_a_document(tmp_path: Path, make_record: Make) -> None:
    traces = traces_of(tmp_path / "traces", *(make_record(i) for i in range(5)))
    # two ranks' documents come one rank after the other
    write_samples(tmp_path / "out" / "model", [logged(i) for i in (0, 2, 4, 1, 3)])
    table = joined(traces, tmp_path / "out")
    assert list(table)[: len(traces.columns)] == list(traces)
    assert list(table)[len(traces.columns) :] == [
        "filter",
        "filtered_resp",
        "target",
        "logged_doc_id",
        "metrics_judge",
        "metric_exact_match",
    ]
    assert table["doc_id"].tolist() == table["logged_doc_id"].tolist() == [0, 1, 2, 3, 4]
    assert table["metric_exact_match"].tolist() == [0, 1, 0, 1, 0]
    assert table["target"].tolist() == ["0", "1", "2", "3", "4"]
    assert set(table["metrics_judge"]) == {"response"}
    assert table["norms"][3].shape == (5, 3)


def test_two_filters_make_two_rows(tmp_path: Path, make_record: Make) -> None:
    traces = traces_of(tmp_path / "traces", make_record(0), make_record(1))
    lines = [
        logged(i, name=name, filtered=[f"{name}{i}"], exact_match=score)
        for name, score in (("strict-match", 0.0), ("flexible-extract", 1.0))
        for i in range(2)
    ]
    path = write_samples(tmp_path, lines)
    table = joined(traces, path)
    rows = table[["doc_id", "filter", "filtered_resp", "metric_exact_match"]]
    assert rows.values.tolist() == [
        [0, "strict-match", "strict-match0", 0.0],
        [0, "flexible-extract", "flexible-extract0", 1.0],
        [1, "strict-match", "strict-match1", 0.0],
        [1, "flexible-extract", "flexible-extract1", 1.0],
    ]
    one = joined(traces, path, filter="flexible-extract")
    assert one["metric_exact_match"].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="Filters: flexible-extract, strict-match"):
        join_samples(traces, path, filter="flexible")


@pytest.mark.parametrize(
    ("filtered", "by_repeat"),
    [
        ("18", ["18", "18", "18"]),  # take_first
        (["18"], ["18", "18", "18"]),  # majority_vote
        (["18", "19", "20"], ["18", "19", "20"]),  # a regex alone
        (["18", "19"], [["18", "19"]] * 3),  # take_first_k
        (["18", "19", "20", "21"], ["18", "19", "20"]),  # a regex alone, on a padded rank
    ],
)
def test_repeats(tmp_path: Path, make_record: Make, filtered: Any, by_repeat: Any) -> None:
    made = [make_record(doc_id, repeat=repeat) for doc_id in (0, 1) for repeat in range(3)]
    traces = traces_of(tmp_path / "traces", *made)
    # lm-eval pads the last request of a rank, whose answers then exceed `repeats`
    lines = [logged(0, resps=[["a", "b", "c"]]), logged(1, resps=[["a", "b", "c", "d"]])]
    path = write_samples(tmp_path, [{**line, "filtered_resps": [filtered]} for line in lines])
    table = joined(traces, path)
    assert table["filtered_resp"].tolist() == by_repeat * 2
    assert set(table["metrics_judge"]) == {"document"}


def test_multiple_choice(tmp_path: Path, make_record: Make) -> None:
    made = [
        make_record(0, idx=idx, request_type="loglikelihood", finish_reason=None)
        for idx in range(3)
    ]
    answers = [["-1.5", "False"], ["-0.5", "True"], ["-9.0", "False"]]
    lines = [logged(0, resps=[[a] for a in answers], filtered=answers, acc=1.0, acc_norm=0.0)]
    table = joined(traces_of(tmp_path / "traces", *made), write_samples(tmp_path, lines))
    assert table["filtered_resp"].tolist() == answers
    assert table["metric_acc"].tolist() == [1.0] * 3
    assert set(table["metrics_judge"]) == {"document"}


def test_rolling_windows_share_the_metric(tmp_path: Path, make_record: Make) -> None:
    rolling: dict[str, Any] = {"request_type": "loglikelihood_rolling", "finish_reason": None}
    traces = traces_of(
        tmp_path / "traces", *(make_record(0, window=window, **rolling) for window in range(2))
    )
    lines = [logged(0, resps=[["-30.5"]], filtered=["-30.5"], word_perplexity=[-30.5, 9])]
    table = joined(traces, write_samples(tmp_path, lines))
    assert table["metric_word_perplexity"].tolist() == [[-30.5, 9]] * 2
    assert set(table["metrics_judge"]) == {"document"}


def test_sampled_responses_share_the_metric(tmp_path: Path, make_record: Make) -> None:
    made = [make_record(0, sample=sample, chosen=sample == 1) for sample in range(3)]
    traces = traces_of(tmp_path / "traces", *made)
    path = write_samples(tmp_path, [logged(0)])
    assert set(joined(traces, path)["metrics_judge"]) == {"document"}
    assert joined(traces[traces["chosen"]], path)["metrics_judge"].tolist() == ["response"]


def test_several_tasks_and_names_with_underscores(tmp_path: Path, make_record: Make) -> None:
    tasks = {"a": "x", "a_b": "y", "a_b_2026-01-01": "z"}
    traces = traces_of(tmp_path / "traces", *(make_record(0, task=task) for task in tasks))
    for task, name in tasks.items():
        metric: dict[str, Any] = {name: 1.0}
        write_samples(tmp_path, [logged(0, **metric)], task=task)
    write_samples(tmp_path, [logged(0)], task="unrelated")
    (tmp_path / f"results_{DATE}.json").write_text("{}")
    table = joined(traces, tmp_path)
    for (_, row), name in zip(table.iterrows(), ("x", "y", "z"), strict=True):
        found = {n for n in ("x", "y", "z") if not pd.isna(row[f"metric_{n}"])}
        assert found == {name}


def test_a_date_without_microseconds(tmp_path: Path, make_record: Make) -> None:
    path = write_samples(tmp_path, [logged(0)], date="2026-01-05T12-34-56")
    assert len(joined(traces_of(tmp_path / "traces", make_record(0)), path)) == 1


def test_a_limit_on_one_side(tmp_path: Path, make_record: Make) -> None:
    traces = traces_of(tmp_path / "traces", *(make_record(i) for i in range(4)))
    fewer = write_samples(tmp_path / "fewer", [logged(i) for i in range(2)])
    table = joined(traces, fewer, "2 of 4 responses have no line")
    assert table["metric_exact_match"].isna().tolist() == [False, False, True, True]
    assert table["logged_doc_id"].isna().tolist() == [False, False, True, True]
    more = write_samples(tmp_path / "more", [logged(i) for i in range(9)])
    assert len(joined(traces, more, "5 logged documents without a trace")) == 4


@pytest.mark.parametrize("chosen", [[3, 5], [0, 1, 5], [5, 0, 3]])
def test_chosen_documents_meet_on_their_prompts(
    tmp_path: Path, make_record: Make, chosen: list[int]
) -> None:
    """With lm-eval's --samples, requests count the chosen ones and the log all documents."""
    traces = traces_of(
        tmp_path / "traces",
        *(make_record(i, prompt=f"question {true}") for i, true in enumerate(sorted(chosen))),
    )
    # evaluator.evaluate takes documents in the data set's order and numbers in that of --samples
    lines = [
        logged(number, prompts=[f"question {true}"], exact_match=true)
        for number, true in zip(chosen, sorted(chosen), strict=True)
    ]
    table = joined(traces, write_samples(tmp_path, lines), "doc_ids differ")
    assert table["metric_exact_match"].tolist() == sorted(chosen)
    assert table["logged_doc_id"].tolist() == chosen


def test_equal_prompts_meet_in_their_order(tmp_path: Path, make_record: Make) -> None:
    prompts = ["same", "same", "other", "lone"]
    made = [make_record(i, prompt=prompt) for i, prompt in enumerate(prompts)]
    lines = [
        logged(doc_id, prompts=[prompt])
        for doc_id, prompt in ((7, "same"), (4, "same"), (5, "other"), (8, "lone"), (9, "lone"))
    ]
    path = write_samples(tmp_path, lines)
    table = joined(
        traces_of(tmp_path / "traces", *made),
        path,
        "doc_ids differ",
        "2 logged documents without a trace",
        "1 of 4 responses has no line",
    )
    assert table["logged_doc_id"].tolist()[:3] == [4, 7, 5]


def test_samples_of_another_prompt(tmp_path: Path, make_record: Make) -> None:
    path = write_samples(tmp_path, [logged(0, prompts=["another template"])])
    with pytest.raises(ValueError, match="other prompts than the traces"):
        join_samples(traces_of(tmp_path / "traces", make_record(0)), path)


def test_several_files(tmp_path: Path, make_record: Make) -> None:
    traces = traces_of(tmp_path / "traces", make_record(0))
    write_samples(tmp_path / "a", [logged(0, exact_match=0.0)])
    later = write_samples(tmp_path / "a", [logged(0, exact_match=1.0)], date="2026-02-01T00-00-00")
    table = joined(traces, tmp_path / "a", f"2 sample files; the latest is used: {later}")
    assert table["metric_exact_match"].tolist() == [1.0]
    write_samples(tmp_path / "b", [logged(0)])
    with pytest.raises(ValueError, match="pass one of them"):
        join_samples(traces, tmp_path)


def test_a_line_that_is_no_sample(tmp_path: Path, make_record: Make) -> None:
    path = write_samples(tmp_path, [logged(0), logged(1)])
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"doc_id": 2}\n{"doc_id": 3, "tar')
    traces = traces_of(tmp_path / "traces", make_record(0), make_record(1))
    assert len(joined(traces, path, "lines 3, 4 are no samples")) == 2


def test_a_document_that_is_logged_twice(tmp_path: Path, make_record: Make) -> None:
    """As two files put together have it."""
    lines = [logged(i, exact_match=float(i)) for i in (0, 1)]
    twice = [*lines, *(logged(i, exact_match=0.5) for i in (0, 1)), logged(1, name="other")]
    path = write_samples(tmp_path, twice)
    traces = traces_of(tmp_path / "traces", make_record(0), make_record(1))
    table = joined(traces, path, "2 documents are logged twice under one filter", filter="none")
    assert table["metric_exact_match"].tolist() == [0.0, 1.0]


def test_lone_surrogates(tmp_path: Path, make_record: Make) -> None:
    """JSON may hold them, tables may not."""
    line = {**logged(0, filtered=["\ud800x"], name="\udfff"), "target": "\ud800"}
    path = write_samples(tmp_path, [])
    path.write_text(json.dumps(line) + "\n", "utf-8")
    table = joined(traces_of(tmp_path / "traces", make_record(0)), path)
    assert table[["filter", "filtered_resp", "target"]].iloc[0].tolist() == [
        "\ufffd",
        "\ufffdx",
        "\ufffd",
    ]


def test_what_is_missing_is_named(tmp_path: Path, make_record: Make) -> None:
    traces = traces_of(tmp_path / "traces", make_record(0))
    with pytest.raises(FileNotFoundError, match="doesn't exist"):
        join_samples(traces, tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="--log_samples"):
        join_samples(traces, tmp_path)
    other = write_samples(tmp_path / "other", [logged(0)], task="aime24")
    with pytest.raises(FileNotFoundError, match=r"samples of aime24, none .*: gsm8k"):
        join_samples(traces, other)
    renamed = other.rename(tmp_path / "mine.jsonl")
    with pytest.raises(ValueError, match=re.escape("samples_<task>_<date>.jsonl")):
        join_samples(traces, renamed)
    with pytest.raises(ValueError, match="prompt_hash"):
        join_samples(traces.drop(columns="prompt_hash"), tmp_path)
    with pytest.raises(ValueError, match="reset_index"):
        join_samples(pd.concat([traces, traces]), tmp_path)


def test_several_runs_are_named(tmp_path: Path, make_record: Make) -> None:
    traces = traces_of(tmp_path / "traces", make_record(0))
    both = pd.concat([traces, traces.assign(run_id="run2")], ignore_index=True)
    path = write_samples(tmp_path, [logged(0)])
    with pytest.warns(TraceWarning, match="traces of 2 runs"):
        assert len(join_samples(both, path)) == 2
