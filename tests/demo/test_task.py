"""The two tasks, through lm-eval's own machinery: prompts, scores, any working directory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from l2_harness.demo.splits import make_splits
from l2_harness.demo.tokenizer import build_tokenizer, chat_prompt
from l2_harness.demo.train import TrainingConfig, build_model
from l2_harness.paths import tasks_dir

TASKS = ("l2_demo", "l2_demo_direct")
TEST = make_splits()["test"]


def load(folder: Path) -> dict[str, ConfigurableTask]:
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return manager.load(list(TASKS))["tasks"]


@pytest.fixture(scope="module")
def tasks() -> dict[str, ConfigurableTask]:
    return load(tasks_dir())


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("untrained")
    tokenizer = build_tokenizer()
    config = TrainingConfig(hidden_size=16, layers=1)
    model = build_model(config, len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def requests(
    task: ConfigurableTask, lm: HFLM | None = None, limit: int = 4, **how: Any
) -> list[tuple[str, dict[str, Any]]]:
    """The task's requests, built as lm-eval's evaluator builds them."""
    task.build_all_requests(
        limit=limit,
        apply_chat_template=lm is not None,
        fewshot_as_multiturn=how.pop("fewshot_as_multiturn", lm is not None),
        chat_template=lm.apply_chat_template if lm else None,
        tokenizer_name=lm.tokenizer_name if lm else "",
        **how,
    )
    return [instance.args for instance in task.instances]


def test_documents_are_the_splits(tasks: dict[str, ConfigurableTask]) -> None:
    for task in tasks.values():
        assert [doc["question"] for doc in task.test_docs()] == [p.question for p in TEST]
        validation = [p.question for p in make_splits()["validation"]]
        assert [doc["question"] for doc in task.validation_docs()] == validation
        assert len(task.dataset["calibration"]) == len(validation)
        assert task.eval_docs[0]["id"] == "test-000"


MODEL_ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"enable_thinking": True, "think_end_token": "</think>"},
    {"enable_thinking": False},
]


@pytest.mark.parametrize("multiturn", [True, False])
@pytest.mark.parametrize("arguments", MODEL_ARGUMENTS, ids=str)
def test_prompts_are_those_of_the_training(
    tasks: dict[str, ConfigurableTask], untrained: str, arguments: dict[str, Any], multiturn: bool
) -> None:
    lm = HFLM(pretrained=untrained, device="cpu", **arguments)
    thinking = arguments.get("enable_thinking", True)
    expected = {
        "l2_demo": [chat_prompt(p.question, thinking) for p in TEST[:4]],
        "l2_demo_direct": [chat_prompt(p.question, False) for p in TEST[:4]],
    }
    for name, prompts in expected.items():
        made = requests(tasks[name], lm, fewshot_as_multiturn=multiturn)
        assert [prompt for prompt, _ in made] == prompts


def test_generation_is_greedy_and_leaves_room(tasks: dict[str, ConfigurableTask]) -> None:
    tokenizer = build_tokenizer()
    longest = max(len(tokenizer(p.solution).input_ids) for p in TEST)
    for task in tasks.values():
        for _, how in requests(task):
            assert how["do_sample"] is False
            assert how["until"] == []
            assert how["max_gen_toks"] > 1.5 * longest


def test_without_a_chat_template_the_question_is_the_prompt(
    tasks: dict[str, ConfigurableTask],
) -> None:
    for name, task in tasks.items():
        for (prompt, _), problem in zip(requests(task), TEST, strict=False):
            assert prompt.startswith(problem.question), name


def score(task: ConfigurableTask, responses: list[str]) -> list[float]:
    """The scores of responses to the first problem, through the task's own filters."""
    scores = []
    for response in responses:
        requests(task, limit=1)
        (instance,) = task.instances
        instance.resps = [response]
        task.apply_filters()
        (filtered,) = instance.filtered_resps.values()
        scores.append(float(task.process_results(instance.doc, [filtered])["exact_match"]))
    return scores


def test_scores_are_exact_matches_of_the_last_number(tasks: dict[str, ConfigurableTask]) -> None:
    answer = TEST[0].answer
    right = [
        f"#### {answer}",
        f"<think>\n1 + 1 = 2.\n</think>\n\n#### {answer}",
        f"#### {answer + 1}\n#### {answer}",
        f"####{answer}",
        f"#### 0{answer}",
        f"#### {answer}\n",
    ]
    wrong = [
        "",
        f"{answer}",
        f"The answer is {answer}.",
        "####",
        f"#### {answer + 1}",
        f"#### {answer}0",
        f"#### -{answer}",
        f"#### {answer}\n#### {answer + 1}",
    ]
    for task in tasks.values():
        assert score(task, right) == [1.0] * len(right)
        assert score(task, wrong) == [0.0] * len(wrong)


def test_a_copied_folder_reads_its_own_files(tmp_path: Path) -> None:
    """`!function utils...` means the file beside the YAML, whatever else is called utils."""
    for name, kept in (("first", 2), ("second", 3)):
        folder = shutil.copytree(tasks_dir(), tmp_path / name)
        test = folder / "l2_demo" / "test.jsonl"
        test.write_text("".join(test.read_text().splitlines(keepends=True)[:kept]))
    counts = [len(load(tmp_path / name)["l2_demo"].test_docs()) for name in ("first", "second")]
    assert counts == [2, 3]
    assert len(load(tasks_dir())["l2_demo"].test_docs()) == len(TEST)


def test_metadata_of_the_user_does_no_harm() -> None:
    manager = TaskManager(
        include_path=str(tasks_dir()), include_defaults=False, metadata={"pretrained": "x"}
    )
    task = manager.load(["l2_demo"])["tasks"]["l2_demo"]
    assert len(task.test_docs()) == len(TEST)
    assert task.VERSION == 1.0


@pytest.mark.parametrize("chat", [True, False])
def test_stock_hf_runs_both_from_another_directory(
    untrained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    results = simple_evaluate(
        model="hf",
        model_args={"pretrained": untrained, "device": "cpu"},
        tasks=list(TASKS),
        task_manager=TaskManager(include_path=str(tasks_dir()), include_defaults=False),
        gen_kwargs={"max_gen_toks": 4},
        apply_chat_template=chat,
        batch_size=2,
        limit=2,
        bootstrap_iters=0,
    )
    for name in TASKS:
        assert 0 <= results["results"][name]["exact_match,number"] <= 1
        prompts = [sample["arguments"][0][0] for sample in results["samples"][name]]
        for prompt, problem in zip(prompts, TEST, strict=False):
            if chat:
                assert prompt == chat_prompt(problem.question, name == "l2_demo")
            else:
                assert problem.question in prompt
