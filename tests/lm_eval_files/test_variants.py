"""Folders as other versions, other tasks and accidents make them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from l2_harness.compare.leaderboard import leaderboard
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files import from_folders
from l2_harness.lm_eval_files.outcomes import Outcome
from l2_harness.lm_eval_files.questions import as_number, document_hash
from l2_harness.lm_eval_files.runs import parsed_arguments

DATE = "2025-03-04T05-06-07.{:06d}"


def line(i: int, score: Any, **changes: Any) -> dict[str, Any]:
    doc = {"question": f"What is {i}?"}
    own: dict[str, Any] = {"doc_id": i, "doc": doc, "filter": "none", "metrics": ["acc"]}
    return {**own, "doc_hash": document_hash(doc), "acc": score, **changes}


def write(
    folder: Path,
    scores: list[Any],
    *,
    date: int = 0,
    task: str = "t",
    lines: list[Any] | None = None,
    value: float | None = None,
    config: dict[str, Any] | None = None,
    n_shot: int = 0,
    **content: Any,
) -> Path:
    """A run as lm-eval writes it; ``lines`` in place of those of ``scores``, as dicts or text."""
    folder.mkdir(parents=True, exist_ok=True)
    known = [as_number(score) or 0.0 for score in scores]
    value = sum(known) / max(len(known), 1) if value is None else value
    settings = {"model": "hf", "model_args": "pretrained=org/model", "torch_seed": 1234}
    result = {
        "results": {task: {"acc,none": value, "acc_stderr,none": 0.1}},
        "configs": {task: {"metric_list": [{"metric": "acc", "higher_is_better": True}]}},
        "n-samples": {task: {"original": 100, "effective": len(scores)}},
        "versions": {task: 1.0},
        "n-shot": {task: n_shot},
        "config": {**settings, **(config or {})},
        **content,
    }
    stamp = DATE.format(date)
    (folder / f"results_{stamp}.json").write_text(json.dumps(result), "utf-8")
    if lines is None:
        lines = [line(i, score) for i, score in enumerate(scores)]
    texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    (folder / f"samples_{task}_{stamp}.jsonl").write_text("\n".join(texts) + "\n", "utf-8")
    return folder


def args(**more: Any) -> dict[str, Any]:
    return {"model_args": {"pretrained": "org/model", **more}}


def by_method(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {o.method: o for o in outcomes}


def test_files_without_hashes_filters_and_metrics_pair_with_those_that_have_them(
    tmp_path: Path,
) -> None:
    scores = [1.0, 0.0, 1.0]
    new = write(tmp_path / "new", scores)
    old_lines = [
        {"doc_id": i, "doc": {"question": f"What is {i}?"}, "acc": score}
        for i, score in reversed(list(enumerate(scores)))
    ]
    old = write(tmp_path / "old", scores, lines=old_lines)
    one, other = from_folders([f"{new}=new", f"{old}=old"])
    assert dict(one.scores) == dict(other.scores)


def test_without_filter_names_the_first_filters_lines_come_first(tmp_path: Path) -> None:
    lines = [{"doc_id": i, "doc": i, "acc": 1.0} for i in range(3)]
    lines += [{"doc_id": i, "doc": i, "acc": 0.0} for i in range(3)]
    results = {"t": {"acc,strict": 1.0, "acc,flexible": 0.0}}
    folder = write(tmp_path / "a", [1.0] * 3, lines=lines, results=results)
    (first,) = from_folders([folder])
    (second,) = from_folders([folder], metric="acc,flexible")
    assert (first.metric, set(first.scores.values())) == ("acc,strict", {1.0})
    assert (second.metric, set(second.scores.values())) == ("acc,flexible", {0.0})


def test_repeats_are_averaged(tmp_path: Path) -> None:
    (found,) = from_folders([write(tmp_path / "a", [[1, 0, 1, 1], [0, 0], True])])
    assert sorted(found.scores.values()) == [0.0, 0.75, 1.0]


def test_a_run_without_samples_is_unpaired_and_never_tested(tmp_path: Path) -> None:
    write(tmp_path / "plain", [1.0, 0.0, 1.0])
    write(tmp_path / "theirs", [1.0, 0.0, 1.0, 1.0], config=args(dtype="float16"))
    (samples,) = (tmp_path / "theirs").glob("samples*")
    samples.unlink()
    outcomes = from_folders([tmp_path / "plain", tmp_path / "theirs"])
    theirs = by_method(outcomes)["dtype=float16"]
    assert theirs.scores == {}
    assert theirs.aggregate is not None
    assert (theirs.aggregate.value, theirs.aggregate.stderr) == (0.75, 0.1)
    assert theirs.aggregate.questions == 4
    (board,) = leaderboard(outcomes).boards
    assert board.family == 0
    assert [row.unpaired for row in board.rows] == [False, True]


def test_what_is_no_mean_over_questions_is_unpaired(tmp_path: Path) -> None:
    """A perplexity's pairs of log-likelihood and words, and an F1's pairs of labels."""
    perplexity = write(tmp_path / "a", [[-20.0, 7], [-30.0, 9]], value=22.7)
    (found,) = from_folders([perplexity])
    assert found.scores == {}
    assert found.aggregate is not None
    assert found.aggregate.value == 22.7
    assert any("no mean over questions" in note for note in found.notes)


def test_damaged_lines_are_left_out_and_said(tmp_path: Path) -> None:
    lines = [line(0, 1.0), json.dumps(line(1, 0.0))[:40], line(2, "?"), "[]", line(3, 1.0)]
    folder = write(tmp_path / "a", [1.0, 0.0, 0.0, 1.0], lines=lines)
    (found,) = from_folders([folder])
    assert sorted(found.scores.values()) == [1.0, 1.0]
    text = " ".join(found.notes)
    assert "lines 2, 4 are no samples" in text
    assert "1 question is without a number for acc" in text
    assert "has 2 of the run's 4 questions" in text


def test_of_several_dates_the_latest_counts(tmp_path: Path) -> None:
    write(tmp_path, [0.0, 0.0], date=1)
    write(tmp_path, [1.0, 1.0], date=3)
    write(tmp_path, [0.0, 0.0], date=2)
    write(tmp_path, [1.0], date=4, task="other")
    other, found = sorted(from_folders([tmp_path]), key=lambda o: o.task)
    assert set(found.scores.values()) == {1.0}
    assert any("run 3 times" in note and "the latest counts" in note for note in found.notes)
    assert other.notes == []


def test_runs_in_one_folder_that_differ_in_settings_are_methods(tmp_path: Path) -> None:
    write(tmp_path, [0.0, 1.0], date=1)
    write(tmp_path, [1.0, 1.0], date=2, config=args(quantize=True))
    write(tmp_path, [1.0, 1.0], date=3, config={**args(), "gen_kwargs": {"temperature": 0.5}})
    found = by_method(from_folders([tmp_path]))
    assert {(m, o.role) for m, o in found.items()} == {
        *(("plain", "plain"), ("quantize=True", "method"), ("temperature=0.5", "method"))
    }


def test_runs_that_differ_in_the_seed_alone_are_one_methods_seeds(tmp_path: Path) -> None:
    folders = [
        write(tmp_path / f"{kind}{seed}", [1.0, 0.0], config=args(seed=seed, **more))
        for kind, more in (("p", {}), ("q", {"top": 1}))
        for seed in (1, 2, 3)
    ]
    outcomes = from_folders(folders)
    assert [(o.method, o.seed) for o in outcomes] == [
        *(("plain", 1), ("plain", 2), ("plain", 3), ("top=1", 1), ("top=1", 2), ("top=1", 3))
    ]


def test_a_run_made_again_is_plains_null(tmp_path: Path) -> None:
    for name, batch in (("a", 8), ("b", 16)):
        write(tmp_path / name / "org__model", [1.0, 0.0], config={**args(), "batch_size": batch})
    outcomes = from_folders([tmp_path / "a", tmp_path / "b"])
    assert [(o.method, o.role) for o in outcomes] == [("hf", "plain"), ("hf [b]", "null")]
    named = from_folders([f"{tmp_path / 'a'}=greedy", tmp_path / "b"])
    assert [(o.method, o.role) for o in named] == [("greedy", "plain"), ("greedy [b]", "null")]
    both = from_folders([f"{tmp_path / 'a'}=one", f"{tmp_path / 'b'}=two"])
    assert [(o.method, o.role) for o in both] == [("one", "plain"), ("two", "method")]


def test_a_given_name_is_not_taken_by_a_run_with_other_settings(tmp_path: Path) -> None:
    named = write(tmp_path / "a", [1.0, 0.0], config=args(x=1))
    plain = write(tmp_path / "b", [1.0, 0.0])
    outcomes = from_folders([f"{named}=plain", plain])
    assert [(o.method, o.role) for o in outcomes] == [("plain", "plain"), ("plain [b]", "method")]


def test_tasks_of_one_method_may_be_in_several_folders(tmp_path: Path) -> None:
    folders = [write(tmp_path / task, [1.0, 0.0], task=task) for task in ("t", "u")]
    folders.append(write(tmp_path / "x", [1.0, 0.0], task="u", config=args(x=1)))
    outcomes = from_folders(folders)
    assert [(o.method, o.task, o.role) for o in outcomes] == [
        *(("plain", "t", "plain"), ("plain", "u", "plain"), ("x=1", "u", "method"))
    ]


def test_names_cannot_move_the_cursor_and_long_ones_stay_apart(tmp_path: Path) -> None:
    values = ("\x1b[2J", "a" * 500, "a" * 501)
    folders = [write(tmp_path / str(i), [1.0], config=args(x=v)) for i, v in enumerate(values)]
    methods = [o.method for o in from_folders(folders)]
    assert len(set(methods)) == 3
    assert all(method.isprintable() and len(method) < 60 for method in methods)


def test_shown_examples_and_chat_templates_set_methods_apart(tmp_path: Path) -> None:
    zero = write(tmp_path / "zero", [1.0, 0.0])
    five = write(tmp_path / "five", [1.0, 1.0], n_shot=5)
    chat = write(tmp_path / "chat", [1.0, 1.0], chat_template_sha="abcdef012")
    methods = [o.method for o in from_folders([zero, five, chat])]
    assert methods == ["0-shot", "5-shot", "chat_template=abcdef 0-shot"]


def test_models_with_one_method_each_are_the_rows(tmp_path: Path) -> None:
    names = ("org/one", "org/two", "/models/local")
    folders = [
        write(tmp_path / str(i), [1.0, 0.0], config={"model_args": {"pretrained": name}})
        for i, name in enumerate(names)
    ]
    outcomes = from_folders(folders)
    assert [(o.model, o.method, o.role) for o in outcomes] == [
        ("", "org/one", "plain"),
        ("", "org/two", "method"),
        ("", "local", "method"),
    ]
    (board,) = leaderboard(outcomes).boards
    assert board.title == "t"


def test_names_may_be_given(tmp_path: Path) -> None:
    first = write(tmp_path / "a=b", [1.0, 0.0])
    second = write(tmp_path / "c", [1.0, 0.0], config={"model_args": "pretrained=/x/y/z"})
    outcomes = from_folders([first, f"{second}=org/model/theirs"], plain="theirs")
    assert [(o.model, o.method, o.role) for o in outcomes] == [
        *(("org/model", "hf", "method"), ("org/model", "theirs", "plain"))
    ]
    with pytest.raises(ConfigError, match="--plain='their' is unknown; did you mean 'theirs'"):
        from_folders([first, f"{second}=org/model/theirs"], plain="their")
    with pytest.raises(ConfigError, match="names no method"):
        from_folders([f"{second}="])


def test_other_versions_of_a_task_are_said(tmp_path: Path) -> None:
    one = write(tmp_path / "a", [1.0, 0.0])
    other = write(tmp_path / "b", [1.0, 0.0], versions={"t": 2.0}, config=args(x=1))
    (board,) = leaderboard(from_folders([one, other])).boards
    assert "Not the same in all rows: task version 1.0 (plain), 2.0 (x=1)." in board.notes


def test_rows_judged_without_knowing_what_was_cut_off_are_said(tmp_path: Path) -> None:
    def run(name: str, unknown: float, **config: Any) -> Path:
        figures = {"t": {"acc,none": 0.5, "ending_unknown,none": unknown}}
        return write(tmp_path / name, [1.0, 0.0], results=figures, config=args(**config))

    one, other = run("a", 0.0), run("b", 0.5, x=1)
    (board,) = leaderboard(from_folders([one, other])).boards
    told = "what was cut off known (plain), known of some responses only (x=1)"
    assert f"Not the same in all rows: {told}." in board.notes
    (board,) = leaderboard(from_folders([one, run("c", 0.0, x=1)])).boards
    assert not [note for note in board.notes if "cut off" in note]


def test_other_documents_stand_apart_unless_their_numbers_pair_them(tmp_path: Path) -> None:
    one = write(tmp_path / "a", [1.0, 0.0])
    lines = [line(i, 1.0, doc={"q": i}, doc_hash=str(i)) for i in range(2)]
    other = write(tmp_path / "b", [1.0, 1.0], lines=lines, config=args(x=1))
    (board,) = leaderboard(from_folders([one, other])).boards
    assert [(row.method, row.verdict) for row in board.rows] == [
        *(("plain", "plain"), ("x=1", "not compared"))
    ]
    assert "no question in common" in board.rows[1].reason
    assert "--pair-by doc_id" in board.rows[1].reason
    (board,) = leaderboard(from_folders([one, other], pair_by="doc_id")).boards
    assert board.questions == 2


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "null", '{"results": 3}'])
def test_files_that_are_none_of_lm_evals_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / f"results_{DATE.format(0)}.json").write_text(text)
    with pytest.raises(ConfigError, match="holds no result file"):
        from_folders([tmp_path])


def test_folders_without_results_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no result file"):
        from_folders([tmp_path])
    with pytest.raises(ConfigError, match="doesn't exist"):
        from_folders([tmp_path / "nowhere"])
    with pytest.raises(ConfigError, match="at least one folder"):
        from_folders([])


def test_arguments_in_all_their_forms() -> None:
    expected = {"pretrained": "org/m", "dtype": "float32"}
    assert parsed_arguments("pretrained=org/m, dtype=float32") == expected
    assert parsed_arguments(json.dumps(expected)) == expected
    assert parsed_arguments(expected) == expected
    assert parsed_arguments(None) == parsed_arguments("") == {}
