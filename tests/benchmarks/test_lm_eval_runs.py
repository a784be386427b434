"""The stock ``lm_eval`` command on every task that has local rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest

from l2_harness.benchmarks.listing import benchmark_names
from l2_harness.benchmarks.task import BenchmarkTask
from l2_harness.paths import demo_model_path, tasks_dir


def local_tasks(data: Path) -> list[str]:
    """The tasks whose rows are there: those of the groups with all their rows, and BBH's four."""
    subsets = [f"l2_bbh_{file.stem}" for file in sorted((data / "bbh").glob("*.jsonl"))]
    thinking = [*benchmark_names(["l2_math"]), *subsets]
    return [name + form for name in thinking for form in ("", "_direct")]


@pytest.fixture
def lm_eval(
    run_command: Callable[..., Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """``lm_eval(tasks, *arguments)``: run the command in ``tmp_path``; its result file."""
    monkeypatch.chdir(tmp_path)

    def run(tasks: Sequence[str], *arguments: str) -> dict[str, Any]:
        done = run_command(
            *["lm_eval", "run", "--include_path", tasks_dir(), "--tasks", ",".join(tasks)],
            *["--output_path", tmp_path, "--log_samples", *arguments],
            *["--metadata", f"l2_data={data}", "l2_repeats=2"],
        )
        assert done.returncode == 0, done.stderr[-4000:]
        (results,) = tmp_path.rglob("results_*.json")
        found: dict[str, Any] = json.loads(results.read_text())
        return found

    return run


def samples(folder: Path, task: str) -> list[dict[str, Any]]:
    (file,) = folder.rglob(f"samples_{task}_2*.jsonl")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_dummy_model_on_every_task(
    lm_eval: Callable[..., dict[str, Any]], data: Path, tmp_path: Path
) -> None:
    tasks = local_tasks(data)
    assert len(tasks) == 24
    subsets = [task for task in tasks if task.startswith("l2_bbh")]
    groups = ["l2_math", "l2_math_direct"]
    found = lm_eval([*groups, *subsets], "--model", "dummy")["results"]
    assert set(found) == {*tasks, *groups}
    assert found["l2_math"]["acc,none"] == 0
    for task in tasks:
        metrics = {key.split(",")[0]: value for key, value in found[task].items()}
        # "lol" answers nothing
        assert metrics["acc"] == metrics["avg@2"] == metrics["pass@2"] == metrics["maj@2"] == 0
        assert metrics["no_answer"] == 1
        # three bytes are fewer than any limit's tokens
        assert metrics["truncated"] == metrics["ending_unknown"] == 0
        assert (metrics["chars"], metrics["words"]) == (3, 1)
        assert metrics["acc_stderr"] == 0
    first = samples(tmp_path, "l2_gsm8k")[0]
    assert first["resps"] == [["lol", "lol"]]
    assert first["target"] == "18"
    assert first["arguments"]["gen_args_0"]["arg_0"].endswith(r"within \boxed{}.")


def test_embedded_model(lm_eval: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    tasks = ["l2_gsm8k", "l2_gsm8k_direct", "l2_bbh_web_of_lies", "l2_olympiadbench_direct"]
    found = lm_eval(
        tasks,
        *["--model", "hf", "--model_args", f"pretrained={demo_model_path()}", "--device", "cpu"],
        *["--limit", "8", "--batch_size", "8", "--apply_chat_template"],
        *["--gen_kwargs", "max_gen_toks=48"],
    )
    for task in tasks:
        metrics = found["results"][task]
        assert 0 <= metrics["acc,none"] <= 1
        assert 0 <= metrics["truncated,none"] <= 1
        assert metrics["chars,none"] > 3
        assert found["n-samples"][task]["effective"] == 8
        assert len(samples(tmp_path, task)) == 8
    prompt = samples(tmp_path, "l2_gsm8k_direct")[0]["arguments"]["gen_args_0"]["arg_0"]
    assert prompt.rstrip().endswith("</think>")


class Scripted:
    """Builds an lm-eval model that answers from a list, a response a request."""

    def __new__(cls, responses: Sequence[str]) -> Any:
        from lm_eval.api.model import LM

        class ScriptedLM(LM):
            def loglikelihood(self, requests: Any) -> Any:
                raise NotImplementedError

            def loglikelihood_rolling(self, requests: Any) -> Any:
                raise NotImplementedError

            def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
                assert len(requests) == len(responses)
                return list(responses)

        return ScriptedLM()


def test_standard_errors_are_over_questions(data: Path) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(
        include_path=str(tasks_dir()),
        include_defaults=False,
        metadata={"l2_data": str(data), "l2_repeats": 4},
    )
    task = manager.load(["l2_aime24"])["tasks"]["l2_aime24"]
    assert isinstance(task, BenchmarkTask)
    golds = [document["target"] for document in task.test_docs().select(range(5))]
    hits = [4, 0, 2, 1, 3]
    # a question's four responses are neighbours in the requests
    responses = [
        rf"\boxed{{{gold if number < right else 1000 + number}}}"
        for gold, right in zip(golds, hits, strict=True)
        for number in range(4)
    ]
    results = simple_evaluate(
        model=Scripted(responses), tasks=["l2_aime24"], task_manager=manager, limit=5
    )["results"]["l2_aime24"]
    means = [right / 4 for right in hits]
    assert results["avg@4,none"] == pytest.approx(sum(means) / 5)
    assert results["avg@4_stderr,none"] == pytest.approx(stdev(means) / sqrt(5))
    assert results["pass@4,none"] == pytest.approx(4 / 5)
    # 4 and 3 and 2 right win the vote (the wrong ones differ); 1 right ties with three others
    assert results["maj@4,none"] == pytest.approx((1 + 0 + 1 + 0.25 + 1) / 5)
    assert results["acc,none"] == pytest.approx(4 / 5)
