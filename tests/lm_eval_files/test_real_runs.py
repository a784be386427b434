"""Folders that lm-eval itself wrote, in this process: l2hf, hf, and a model of no tokens."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from l2_harness.cli.app import app
from l2_harness.compare.leaderboard import Options, leaderboard
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files import from_folders
from l2_harness.lm_eval_files.outcomes import Outcome
from l2_harness.lm_eval_files.questions import document_hash

LIMIT = 6
CHOICES = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: ['yes', 'no']
doc_to_target: 0
metric_list:
  - metric: acc
  - metric: acc_norm
metadata: {{version: {version}}}
"""
GROUP = "group: both\ntask: [first, second]\naggregate_metric_list: [{metric: acc}]\n"


def evaluate(folder: Path, **how: Any) -> None:
    """Run lm-eval quietly, and leave its result and sample files as its command does."""
    import lm_eval
    from lm_eval.loggers import EvaluationTracker

    from l2_harness.lm_eval_files.quiet import quiet

    tracker = EvaluationTracker(output_path=str(folder))
    with quiet():
        results = lm_eval.simple_evaluate(log_samples=True, evaluation_tracker=tracker, **how)
    assert results is not None
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, of_task in samples.items():
        tracker.save_results_samples(task_name=task, samples=of_task)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``l2hf``, ``alrr`` and ``hf`` on the demo's two tasks."""
    from lm_eval.tasks import TaskManager

    from l2_harness.paths import demo_model_path, tasks_dir

    folder = tmp_path_factory.mktemp("runs")
    settings: dict[str, tuple[str, dict[str, Any]]] = {
        "l2hf": ("l2hf", {"pretrained": "demo"}),
        "alrr": ("l2hf", {"pretrained": "demo", "recursion": "always"}),
        "hf": ("hf", {"pretrained": str(demo_model_path())}),
    }
    manager = TaskManager(include_path=str(tasks_dir()), include_defaults=False)
    for name, (model_class, args) in settings.items():
        # With a name that ends in .json the tracker makes no folder named after the model's path.
        (folder / name).mkdir()
        evaluate(
            folder / name / "results.json",
            model=model_class,
            model_args=args,
            tasks=["l2_demo", "l2_demo_direct"],
            task_manager=manager,
            limit=LIMIT,
            batch_size=32,
            device="cpu",
            apply_chat_template=True,
        )
    return folder


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A group of two multiple choices, answered at random; ``again`` answers once more."""
    from lm_eval.tasks import TaskManager

    folder = tmp_path_factory.mktemp("grouped")
    tasks = folder / "tasks"
    tasks.mkdir()
    for name, size in (("first", 5), ("second", 9)):
        data = tasks / f"{name}.jsonl"
        # The last document is there twice.
        lines = [{"question": f"{name} ℓ{min(i, size - 2)}?"} for i in range(size)]
        data.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        (tasks / f"{name}.yaml").write_text(CHOICES.format(name=name, data=data, version=1))
    (tasks / "both.yaml").write_text(GROUP)
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    for seed, run in enumerate(("once", "again")):
        random.seed(seed)
        evaluate(
            folder / run, model="dummy", tasks=["both"], task_manager=manager, random_seed=None
        )
    return folder


def reported(folder: Path, task: str, key: str) -> float:
    (path,) = folder.rglob("*results_*.json")
    return float(json.loads(path.read_text("utf-8"))["results"][task][key])


def one(outcomes: list[Outcome], method: str, task: str) -> Outcome:
    (found,) = [o for o in outcomes if (o.method, o.task) == (method, task)]
    return found


def test_scores_average_to_what_lm_eval_reports(runs: Path) -> None:
    outcomes = from_folders([runs / name for name in ("l2hf", "alrr", "hf")])
    assert {(o.method, o.role) for o in outcomes} == {
        *(("plain", "plain"), ("recursion=always", "method"), ("hf", "method"))
    }
    assert {o.model for o in outcomes} == {"demo"}
    folders = {"plain": "l2hf", "recursion=always": "alrr", "hf": "hf"}
    for o in outcomes:
        assert o.metric == "exact_match,number"
        assert (len(o.scores), o.notes, o.aggregate) == (LIMIT, [], None)
        mean = sum(o.scores.values()) / LIMIT
        assert mean == pytest.approx(reported(runs / folders[o.method], o.task, o.metric))


def test_questions_are_the_same_in_every_run_and_are_lm_evals_hashes(runs: Path) -> None:
    outcomes = from_folders([runs])
    for task in ("l2_demo", "l2_demo_direct"):
        keys = {frozenset(o.scores) for o in outcomes if o.task == task}
        assert len(keys) == 1
    (path,) = (runs / "hf").glob("samples_l2_demo_2*.jsonl")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert {document_hash(line["doc"]) for line in lines} == {line["doc_hash"] for line in lines}


def test_costs_are_what_l2hf_recorded(runs: Path) -> None:
    outcomes = from_folders([runs])
    always, plain, hf = (
        one(outcomes, m, "l2_demo").cost for m in ("recursion=always", "plain", "hf")
    )
    assert always.layers == plain.layers == 12
    assert always.tokens is not None
    assert always.extra_layer_passes is not None
    assert plain.extra_layer_passes == 0
    # Two monitored layers run again at most once a token, from the end of the warm-up on.
    assert 0 < always.extra_layer_passes < 2 * always.tokens
    assert (hf.tokens, hf.samples) == (None, 1)


def test_the_command_writes_a_leaderboard(runs: Path, tmp_path: Path) -> None:
    arguments = ["compare", "--from", f"{runs / 'l2hf'}=mine", f"{runs / 'hf'}=demo/stock"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path), "--plain", "stock"])
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "leaderboard.json").read_text("utf-8"))
    assert {board["plain"] for board in content["boards"]} == {"stock"}
    assert {row["method"] for row in content["rows"]} == {"mine", "stock"}
    assert {row["outcome"] for row in content["rows"]} == {"plain", "not shown"}


def test_a_group_is_one_task_with_all_its_questions(grouped: Path) -> None:
    outcomes = from_folders([grouped / "once", grouped / "again"])
    once, again = outcomes
    assert {o.task for o in outcomes} == {"both"}
    assert (once.metric, len(once.scores), once.role) == ("acc,none", 14, "plain")
    assert (again.method, again.role) == ("dummy [again]", "null")
    assert once.scores.keys() == again.scores.keys()
    assert once.scores != again.scores
    mean = sum(once.scores.values()) / 14
    assert mean == pytest.approx(reported(grouped / "once", "both", "acc,none"))
    assert sum(key.endswith("#2") for key in once.scores) == 2
    (board,) = leaderboard(outcomes, Options()).boards
    assert board.null is not None


def test_subtasks_and_metrics_may_be_named(grouped: Path) -> None:
    outcomes = from_folders([grouped / "once"], subtasks=True, metric={"second": "acc_norm"})
    assert [(o.task, o.metric) for o in outcomes] == [
        *(("first", "acc,none"), ("second", "acc_norm,none"))
    ]
    with pytest.raises(ConfigError, match=r"no metric 'bleu'\. It has: acc,none, acc_norm,none"):
        from_folders([grouped / "once"], metric="bleu")
