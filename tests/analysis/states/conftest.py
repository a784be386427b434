"""Recorded runs of tiny models, with the sample files that lm-eval would write."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SETTINGS = {"until": [], "do_sample": False, "max_gen_toks": 12}


@dataclass(frozen=True)
class Run:
    """A recorded run.

    Attributes:
        model: the folder of the model.
        traces: the trace folder.
        samples: the folder of lm-eval's sample files.
    """

    model: Path
    traces: Path
    samples: Path


def write_samples(folder: Path, task: str, prompts: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "doc_id": number,
            "doc": {"question": number},
            "target": "0",
            "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": SETTINGS}},
            "resps": [["x"]],
            "filtered_resps": ["x"],
            "filter": "none",
            "metrics": [],
        }
        for number, prompt in enumerate(prompts)
    ]
    path = folder / f"samples_{task}_2026-01-01T00-00-00.000000.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


@pytest.fixture(scope="session")
def record(
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Run]:
    """``record(family, **model_args)``: a model saved, and its responses to two tasks."""
    from l2_harness.models.hf.l2hf import L2HF

    def make(family: str, changes: dict[str, Any] | None = None, **args: Any) -> Run:
        folder = tmp_path_factory.mktemp(family)
        run = Run(folder / "model", folder / "traces", folder / "samples")
        model = tiny_model(family, **(changes or {}))
        model.save_pretrained(run.model)
        tokenizer.save_pretrained(run.model)
        defaults = {"device": "cpu", "batch_size": 3, "dtype": "float32", "layers": "all"}
        lm = L2HF(
            str(run.model), record="tokens", trace_dir=str(run.traces), **{**defaults, **args}
        )
        for task, ending in (("t", ""), ("t_direct", " So :")):
            asked = [prompt + ending for prompt in prompts]
            arguments = [(prompt, dict(SETTINGS)) for prompt in asked]
            lm.generate_until(instances("generate_until", arguments, task=task))
            write_samples(run.samples, task, asked)
        return run

    return make


@pytest.fixture(scope="session")
def llama(record: Callable[..., Run]) -> Run:
    return record("llama")
