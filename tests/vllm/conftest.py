"""The real vLLM on a CPU, in this process; engines are shared by the tests of a worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from l2_harness.norms import read_traces

if find_spec("vllm") is not None:
    # before it is imported: one process, little memory, no cache of another session
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_USE_AOT_COMPILE", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

#: CPU attention of vLLM needs heads of 32.
WIDE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
SETTINGS: dict[str, Any] = {"dtype": "float32", "max_model_len": 384, "enforce_eager": True}


@pytest.fixture(scope="session")
def demo_prompts() -> Callable[[int], list[str]]:
    """``demo_prompts(n)``: problems that the embedded model was made for."""
    from l2_harness.demo.splits import make_splits
    from l2_harness.demo.tokenizer import chat_prompt

    problems = make_splits()["test"][::7]
    return lambda n: [chat_prompt(problem.question, thinking=True) for problem in problems[:n]]


@pytest.fixture(scope="session")
def model_folder(
    tiny_model: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """``model_folder(family, **config)``: a random model that vLLM's CPU attention can run."""
    made: dict[str, Path] = {}

    def make(family: str, **changes: Any) -> Path:
        name = family + str(sorted(changes.items()))
        if name not in made:
            folder = made[name] = tmp_path_factory.mktemp(family)
            tiny_model(family, **{**WIDE, **changes}).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return made[name]

    return make


@pytest.fixture(scope="session")
def pool() -> Iterator[Any]:
    """Engines that differ in nothing but what is done to their responses are one."""
    from l2_harness.models.vllm.engine_pool import pooled_engines

    with pooled_engines() as pool:
        yield pool


@dataclass(frozen=True)
class Came:
    """What came of some requests: texts, traces by request, and the result file's entry."""

    texts: list[str]
    traces: pd.DataFrame
    info: dict[str, Any]
    lm: Any


@pytest.fixture
def run(instances: Callable[..., list[Any]], tmp_path: Path) -> Callable[..., Came]:
    """``run(class, prompts, gen_kwargs, **args)``: the responses of one of our classes."""

    def made(cls: Any, prompts: Sequence[str], gen: dict[str, Any], **args: Any) -> Came:
        folder = tmp_path / f"traces{len(list(tmp_path.iterdir()))}"
        args = {"record": "tokens", "trace_dir": str(folder), **args}
        lm = cls(args.pop("pretrained", "demo"), **args)
        requests = instances("generate_until", [(prompt, dict(gen)) for prompt in prompts])
        texts = lm.generate_until(requests, disable_tqdm=True)
        info = lm.get_model_info()["l2"]
        traces = read_traces(args["trace_dir"]).sort_values(["doc_id", "sample"])
        return Came(texts, traces.reset_index(drop=True), info, lm)

    return made
