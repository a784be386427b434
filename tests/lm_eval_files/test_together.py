"""Runs of several models and tasks: what can be compared is, and what can't is said once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from l2_harness.cli.app import app
from l2_harness.compare.leaderboard import Board, Options, leaderboard
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files import from_folders
from l2_harness.lm_eval_files.folders import read_folders
from l2_harness.lm_eval_files.outcomes import Outcome

Write = Callable[..., Path]
OPTIONS = Options(flips=200)
SCORES = [1.0, 0.0, 1.0, 1.0]


def boards(outcomes: list[Outcome]) -> dict[str, Board]:
    return {board.task: board for board in leaderboard(outcomes, OPTIONS).boards}


def rows(board: Board) -> dict[str, str]:
    return {row.method: row.verdict for row in board.rows}


def test_settings_that_differ_between_tasks_only_separate_nothing(
    tmp_path: Path, write_run: Write
) -> None:
    """gsm8k with 1024 tokens, ifeval with 2048: two tables of two models, not four of one."""
    for model in ("org/a", "org/b"):
        for task, tokens in (("gsm8k", 1024), ("ifeval", 2048)):
            config: dict[str, Any] = {"model": "hf", "model_args": f"pretrained={model}"}
            config["gen_kwargs"] = {"max_gen_toks": tokens}
            write_run(tmp_path / model / task, {task: SCORES}, config=config)
    found = boards(from_folders([tmp_path]))
    assert set(found) == {"average", "gsm8k", "ifeval"}
    for board in found.values():
        assert rows(board) == {"org/a": "plain", "org/b": "not shown"}
        assert board.notes in ([], ["Every task counts the same, however many questions it has."])


def test_methods_and_plain_are_chosen_once_for_all_models(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a1", {"t": SCORES}, model="org/a")
    write_run(tmp_path / "a2", {"t": SCORES, "u": SCORES}, model="org/a", args=",top=1")
    write_run(tmp_path / "b", {"t": SCORES}, model="org/b", args=",top=1")
    outcomes = from_folders([tmp_path])
    assert [(o.model, o.task, o.method, o.role) for o in outcomes] == [
        ("org/a", "t", "plain", "plain"),
        ("org/a", "t", "top=1", "method"),
        ("org/a", "u", "top=1", "method"),
        ("org/b", "t", "top=1", "method"),
    ]


def test_the_first_folder_named_is_plain(tmp_path: Path, write_run: Write) -> None:
    many = write_run(tmp_path / "many", {"t": SCORES}, model="org/a", args=",x=1,y=2")
    few = write_run(tmp_path / "few", {"t": SCORES}, model="org/b")
    assert [o.role for o in from_folders([many, few])] == ["plain", "method"]
    assert [(o.method, o.role) for o in from_folders([few, many])] == [
        *(("org/b", "plain"), ("org/a", "method"))
    ]


def test_given_names_stay_where_models_are_rows_and_paths_are_short(
    tmp_path: Path, write_run: Write
) -> None:
    long = "/home/someone/" + "deep/" * 25
    one = write_run(tmp_path / "one", {"t": SCORES}, model=f"{long}run1/checkpoint")
    other = write_run(tmp_path / "other", {"t": SCORES}, model=f"{long}run2/checkpoint")
    third = write_run(tmp_path / "third", {"t": SCORES}, model="org/c")
    outcomes = from_folders([f"{one}=mine", other, third])
    assert [(o.model, o.method) for o in outcomes] == [
        *(("", "mine"), ("", "run2/checkpoint"), ("", "org/c"))
    ]
    assert [o.method for o in from_folders([one, other])] == ["run1/checkpoint", "run2/checkpoint"]


def test_a_model_run_again_is_its_models_row_once_more(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "x" / "a", {"t": SCORES}, model="org/a")
    write_run(tmp_path / "x" / "again", {"t": SCORES}, model="org/a")
    write_run(tmp_path / "x" / "b", {"t": SCORES}, model="org/b")
    outcomes = from_folders([tmp_path])
    assert [(o.model, o.method, o.role) for o in outcomes] == [
        *(("", "org/a", "plain"), ("", "org/a [again]", "null"), ("", "org/b", "method"))
    ]


def test_what_makes_it_another_test_is_said(tmp_path: Path, write_run: Write) -> None:
    tasks = {"t": SCORES, "u": SCORES}
    write_run(tmp_path / "a", tasks, model="org/a")
    other: dict[str, Any] = {
        "versions": dict.fromkeys(tasks, 2.0),
        "n-shot": dict.fromkeys(tasks, 5),
    }
    args = ",load_in_4bit=True,revision=abc"
    write_run(tmp_path / "b", tasks, model="org/b", args=args, chat_template_sha="f" * 64, **other)
    result = leaderboard(from_folders([tmp_path]), OPTIONS)
    for board in result.boards[1:]:
        assert board.notes == [
            "Not the same in all rows: task version 1.0 (org/a), 2.0 (org/b).",
            "Not the same in all rows: num_fewshot 0 (org/a), 5 (org/b).",
            "Not the same in all rows: load_in_4bit none (org/a), True (org/b).",
            "Not the same in all rows: chat_template none (org/a), used (org/b).",
        ]


def test_models_own_chat_templates_are_no_difference(tmp_path: Path, write_run: Write) -> None:
    for model in ("org/a", "org/b"):
        write_run(tmp_path / model, {"t": SCORES}, model=model, chat_template_sha=model[-1] * 64)
    (board,) = leaderboard(from_folders([tmp_path]), OPTIONS).boards
    assert board.notes == []


@pytest.mark.parametrize(("figure", "mean"), [(0.5, 0.5), (0.35, 0.35), (None, 0.35)])
def test_a_groups_own_figure_is_used(
    tmp_path: Path, write_run: Write, figure: float | None, mean: float
) -> None:
    """0.35 is the mean over 20 questions, 0.5 the mean of two tasks' means."""
    tasks = {"small": [1.0, 1.0, 1.0, 0.0], "large": [1.0] * 4 + [0.0] * 12}
    means = [sum(own) / len(own) for own in tasks.values()]
    assert (sum(means) / 2, sum(map(sum, tasks.values())) / 20) == (0.5, 0.35)
    extra = {"group_subtasks": {"both": ["small", "large"]}}
    figures = {"both": {"alias": "both", "acc,none": figure, "acc_stderr,none": "N/A"}}
    for model in ("org/a", "org/b"):
        write_run(tmp_path / model, tasks, model=model, results=figures, **extra)
    outcomes = from_folders([tmp_path])
    (board,) = leaderboard(outcomes, OPTIONS).boards
    assert (board.task, board.questions) == ("both", 20)
    assert [row.score and row.score.value for row in board.rows] == pytest.approx([mean, mean])


def test_a_groups_figure_is_known_again_where_a_question_is_missing(
    tmp_path: Path, write_run: Write
) -> None:
    tasks = {"small": [1.0, 0.0], "large": [1.0, 0.0, 0.0, 0.0]}
    figures = {"both": {"acc,none": 0.375}}
    groups = {"group_subtasks": {"both": ["small", "large"]}}
    write_run(tmp_path, tasks, results=figures, **groups)
    (path,) = tmp_path.glob("samples_large_*")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    (outcome,) = from_folders([tmp_path])
    assert (len(outcome.scores), outcome.weighting) == (5, "tasks")
    assert outcome.notes == ["the sample file has 3 of the run's 4 questions: large"]


def test_a_group_whose_figure_is_neither_is_shown_as_reported(
    tmp_path: Path, write_run: Write
) -> None:
    tasks = {"small": [1.0, 0.0], "large": [1.0, 0.0, 0.0, 0.0]}
    figures = {"both": {"acc,none": 0.7, "acc_stderr,none": 0.1}}
    groups = {"group_subtasks": {"both": ["small", "large"]}}
    write_run(tmp_path, tasks, results=figures, **groups)
    (outcome,) = from_folders([tmp_path])
    assert outcome.aggregate is not None
    assert (outcome.aggregate.value, outcome.scores) == (0.7, {})
    assert any("--subtasks compares its tasks" in note for note in outcome.notes)


def test_groups_in_groups_are_one_task_only_where_they_have_a_figure(
    tmp_path: Path, write_run: Write
) -> None:
    """A suite of different metrics has none: its groups and tasks stand for themselves."""
    tasks = {"a1": SCORES, "a2": SCORES, "alone": SCORES}
    groups = {"suite": ["a", "alone"], "a": ["a1", "a2"], "loop": ["loop"]}
    figures = {"suite": {" ": " ", "alias": "suite"}, "a": {"acc,none": 0.75}}
    write_run(tmp_path, tasks, results=figures, group_subtasks=groups)
    assert {o.task: len(o.scores) for o in from_folders([tmp_path])} == {"a": 8, "alone": 4}
    assert {o.task for o in from_folders([tmp_path], subtasks=True)} == set(tasks)


def test_one_number_that_is_none_changes_no_unit(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", {"t": SCORES, "u": SCORES}, model="org/a")
    nan = {"t": {"acc,none": float("nan")}, "u": {"acc,none": float("inf")}}
    write_run(tmp_path / "b", {"t": SCORES, "u": SCORES}, model="org/b", results=nan)
    write_run(tmp_path / "c", {"t": SCORES}, model="org/c", results=nan, samples=False)
    found = read_folders([tmp_path])
    assert all(board.percent for board in leaderboard(found.outcomes, OPTIONS).boards)
    b = [o for o in found.outcomes if o.method == "org/b"]
    assert [len(o.scores) for o in b] == [4, 4]
    assert ["no finite number" in one.reason for one in found.left_out] == [True, True]


def test_a_run_without_scoring_is_left_out(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", {"t": SCORES}, model="org/a")
    bypass = {"t": {"bypass,none": 999, "bypass_stderr,none": "N/A"}}
    write_run(tmp_path / "b", {"t": SCORES}, model="org/b", results=bypass)
    found = read_folders([tmp_path])
    assert [o.method for o in found.outcomes] == ["org/a"]
    (one,) = found.left_out
    assert one.what == "t of org/b"
    assert "--predict_only" in one.reason


def test_a_metric_may_be_named_by_its_filter_and_stops_no_other_task(
    tmp_path: Path, write_run: Write
) -> None:
    figures = {"t": {"acc,strict": 0.5, "acc,flexible-extract": 0.75}}
    write_run(tmp_path, {"t": SCORES, "u": SCORES}, results=figures, samples=False)
    found = read_folders([tmp_path], metric="flexible-extract")
    assert [(o.task, o.metric) for o in found.outcomes] == [("t", "acc,flexible-extract")]
    assert [(one.what, one.reason) for one in found.left_out] == [
        ("u of org/model", "no metric 'flexible-extract'. It has: acc,none")
    ]


def test_a_rates_interval_stays_within_0_and_1(tmp_path: Path, write_run: Write) -> None:
    for model, value, stderr in (("a", 0.0, 0.0), ("b", 0.02, 0.02), ("c", 0.5, 0.01)):
        figure = {"t": {"acc,none": value, "acc_stderr,none": stderr}}
        write_run(tmp_path / model, {"t": SCORES}, model=model, results=figure, samples=False)
    (board,) = leaderboard(from_folders([tmp_path]), OPTIONS).boards
    intervals = {row.method: row.score for row in board.rows}
    for score in intervals.values():
        assert score is not None
        assert 0 <= score.low < score.high <= 1
    c = intervals["c"]
    assert c is not None
    assert (c.low, c.high) == pytest.approx((0.5 - 0.0196, 0.5 + 0.0196), abs=1e-4)


def test_numbers_pair_the_questions_of_one_task_only(tmp_path: Path, write_run: Write) -> None:
    for model in ("org/a", "org/b"):
        write_run(tmp_path / model, {"t": SCORES, "u": SCORES}, model=model)
    average = boards(from_folders([tmp_path], pair_by="doc_id"))["average"]
    assert not any("ask the same questions" in note for note in average.notes)


def test_thirty_files_leave_few_different_notes(tmp_path: Path, write_run: Write) -> None:
    for i in range(30):
        tasks = {f"t{k}": SCORES for k in range(6)}
        shots = {"n-shot": dict.fromkeys(tasks, i % 3)}
        write_run(tmp_path / f"m{i}", tasks, model=f"org/m{i}", samples=i % 4 > 0, **shots)
    result = leaderboard(from_folders([tmp_path]), OPTIONS)
    notes = {note for board in result.boards for note in board.notes}
    assert len(notes) < 20
    assert sum("no sample file" in note for note in notes) == 1


def run(*words: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, ["compare", *words], env={"COLUMNS": "300"})
    return result.exit_code, result.output, result.exception


def test_the_command_narrows_and_says_what_is_left_out(tmp_path: Path, write_run: Write) -> None:
    for i, model in enumerate(("a", "b", "c")):
        write_run(tmp_path / "x" / model, {"t": SCORES, "u": SCORES}, model=model, second=i)
    (tmp_path / "x" / "lfs").mkdir()
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / "x" / "lfs" / "results_2025-01-01T00-00-00.json").write_text(pointer)
    out = tmp_path / "out"
    options = ["--out", str(out), "--tasks", "t*", "--only", "*/t/b"]
    code, text, error = run("--from", str(tmp_path / "x"), *options)
    assert code == 0, error
    content = json.loads((out / "leaderboard.json").read_text("utf-8"))
    assert {(row["task"], row["method"]) for row in content["rows"]} == {("t", "a"), ("t", "b")}
    assert "git-LFS pointer: run `git lfs pull`" in text
    assert "git-LFS pointer" in (out / "leaderboard.md").read_text("utf-8")
    assert len(content["notes"]) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--limit", "3"], "--limit runs something, and --from runs nothing"),
        (["--device", "cpu"], "--device runs something"),
        (["--tasks", "v"], "no task that was asked for is here. There are: t"),
        (["--seeds", "5"], "--only and --seeds leave nothing of org/model/t/hf, seed 1234"),
        (["--only", "nobody"], "--only and --seeds leave nothing"),
        (["--metric", "bleu"], "no metric 'bleu'. It has: acc,none"),
    ],
)
def test_options_without_an_effect_are_refused(
    tmp_path: Path, write_run: Write, words: list[str], message: str
) -> None:
    write_run(tmp_path, {"t": SCORES})
    code, _, error = run("--from", str(tmp_path), *words)
    assert code != 0
    assert isinstance(error, ConfigError)
    assert message in str(error)


def test_options_of_from_need_it() -> None:
    code, _, error = run("demo", "--plain", "x")
    assert code != 0
    assert "--plain is for --from" in str(error)
