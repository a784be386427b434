"""Every way to start lm-eval evaluates with ``l2hf`` after ``pip install .`` and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

WORDS = [f"w{i}" for i in range(20)]
TASK = """
task: tiny
dataset_path: json
dataset_kwargs: {{data_files: {{test: {documents}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["<end>"], max_gen_toks: 4, do_sample: false}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers, with a tokenizer of one token a word."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    vocabulary = {word: i for i, word in enumerate(["<end>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ``--include_path`` with one task of three questions."""
    folder = tmp_path_factory.mktemp("tasks")
    documents = folder / "test.jsonl"
    lines = [{"question": " ".join(WORDS[: i + 2]), "answer": WORDS[i]} for i in range(3)]
    documents.write_text("".join(json.dumps(line) + "\n" for line in lines))
    folder.joinpath("tiny.yaml").write_text(TASK.format(documents=documents))
    return folder


EVALUATE = """
import json, sys, lm_eval
from lm_eval.tasks import TaskManager
model, tasks = sys.argv[1:]
found = lm_eval.simple_evaluate(
    model="l2hf",
    model_args={"pretrained": model},
    tasks=["tiny"],
    task_manager=TaskManager(include_path=tasks),
    device="cpu",
    batch_size=2,
)
print("l2hf (", found["config"]["model"], found["results"]["tiny"])
"""
COMMANDS: dict[str, list[str]] = {
    "lm_eval": ["lm_eval"],
    "python -m": ["python", "-m", "lm_eval"],
    "accelerate": ["accelerate", "launch", "--cpu", "--num_processes=1", "-m", "lm_eval"],
}
WAYS = [*COMMANDS, "simple_evaluate"]


@pytest.fixture(scope="module")
def runs(wheel_environment: Any, model: Path, tasks: Path) -> Iterator[dict[str, Future[Any]]]:
    """Every way's run, two at a time: most of each is the import of torch and datasets."""
    what = ["--model", "l2hf", "--model_args", f"pretrained={model}", "--tasks", "tiny"]
    where = ["--include_path", tasks, "--device", "cpu", "--batch_size", "2"]
    commands = {way: [*command, *what, *where] for way, command in COMMANDS.items()}
    commands["simple_evaluate"] = ["python", "-c", EVALUATE, model, tasks]
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {way: pool.submit(wheel_environment.run, *commands[way]) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
def test_run(runs: dict[str, Future[Any]], way: str) -> None:
    done = runs[way].result()
    assert done.returncode == 0, done.stderr
    assert "l2hf (" in done.stdout
    assert "exact_match" in done.stdout
