"""Tiny random models of every supported family, requests to run on them, a trace record."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest

from l2_harness.norms import TraceRecord, hash_prompt, hash_request
from l2_harness.norms.signals import SIGNALS

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Before torch is imported: models are tiny, and the threads of two workers would collide.
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: Each holds torch and the models of its tests.
MOST_WORKERS = 4
#: Sizes that most families share. Sliding windows are shorter than the prompts.
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
MIXTURE = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", {"head_dim": 8}),
    "qwen3-moe": ("Qwen3Moe", {"head_dim": 8, "num_experts": 4, **MIXTURE}),
    "mistral": ("Mistral", {"sliding_window": 8}),
    "mixtral": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "gemma2": ("Gemma2", {"head_dim": 8, "sliding_window": 8}),
    "gemma3": ("Gemma3", {"head_dim": 8, "sliding_window": 8}),
    "phi3": ("Phi3", {}),
    "olmo2": ("Olmo2", {}),
    "gpt-neox": ("GPTNeoX", {}),
    "bloom": ("Bloom", {}),
    "ctrl": ("CTRL", {"dff": 48}),
    "gpt2": ("GPT2", {}),
    "granite": ("Granite", {}),
    "smollm3": ("SmolLM3", {}),
    "glm4": ("Glm4", {"head_dim": 8}),
    "deepseek-v3": (
        "DeepseekV3",
        {
            "num_key_value_heads": 4,
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_nope_head_dim": 8,
            "qk_rope_head_dim": 8,
            "v_head_dim": 8,
            **MIXTURE,
        },
    ),
    "qwen3-next": (
        "Qwen3Next",
        {
            "head_dim": 8,
            "num_experts": 4,
            "shared_expert_intermediate_size": 24,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            **MIXTURE,
        },
    ),
    "gpt-oss": (
        "GptOss",
        {"head_dim": 8, "sliding_window": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
}


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from l2_harness.demo.tokenizer import build_tokenizer

    return build_tokenizer()


@pytest.fixture(scope="session")
def tiny_model(tokenizer: Any) -> Callable[..., Any]:
    """``tiny_model(family, **config)``: a causal language model with random weights."""
    import torch
    import transformers

    def make(family: str, **changes: Any) -> Any:
        name, extra = FAMILIES[family]
        config_name = f"{name}TextConfig" if name == "Gemma3" else f"{name}Config"
        config = getattr(transformers, config_name)(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            **{**SIZES, **extra, **changes},
        )
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        # Wider than the usual start, so that greedy tokens and norms vary over the rows.
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
        return model

    return make


@pytest.fixture(scope="session")
def instances() -> Callable[..., list[Any]]:
    """``instances(request_type, arguments)``: lm-eval requests, a document each."""
    from lm_eval.api.instance import Instance

    def make(
        request_type: Any, arguments: Sequence[tuple[Any, ...]], repeats: int = 1, task: str = "t"
    ) -> list[Any]:
        return [
            Instance(request_type, {}, args, 0, metadata=(task, doc_id, repeats))
            for doc_id, args in enumerate(arguments)
        ]

    return make


@pytest.fixture(scope="session")
def prompts() -> list[str]:
    """Prompts of mixed length, longer than the tiny models' sliding windows."""
    words = "Ada has 12 shells . Ben has 7 more than Ada . How many shells does Ben have now ?"
    return [" ".join((words + " " + words).split()[: 3 + 4 * n]) for n in range(7)]


def _make_record(doc_id: int = 0, rows: int = 5, **changes: Any) -> TraceRecord:
    layers = changes.pop("layers", (20, 21, 22))
    rng = np.random.default_rng([abs(int(doc_id)), rows])
    prompt = changes.pop("prompt", f"question {doc_id}")
    defaults: dict[str, Any] = {
        "run_id": "run1",
        "task": "gsm8k",
        "doc_id": doc_id,
        "request_type": "generate_until",
        "prompt_hash": hash_prompt(prompt),
        "request_hash": hash_request("generate_until", prompt, {"until": ["\n"]}),
        "prompt_tokens": 7,
        "tokens": rng.integers(0, 1000, rows),
        "text": f"answer {doc_id}",
        "finish_reason": "eos",
        "layers": layers,
        "norms": rng.uniform(50, 200, (rows, len(layers))).astype(np.float32),
        "logprob": -rng.exponential(size=rows),
        "entropy": rng.exponential(size=rows),
        "self_certainty": rng.exponential(size=rows),
    }
    values = {**defaults, **changes}
    signals = {name: values.pop(name) for name in SIGNALS.names if name in values}
    return TraceRecord(signals=signals, **values)


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """Whichever tests ran before, in whichever process."""
    import torch

    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _no_fsync() -> Iterator[None]:
    """Only a loss of power tells a synced file from another, and a busy disk takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def make_record() -> Callable[..., TraceRecord]:
    """``make_record(doc_id, rows, **columns)``: a valid record with these columns."""
    return _make_record


@pytest.fixture(scope="session")
def figure_faults() -> Callable[[Any], list[str]]:
    """``figure_faults(figure)``: text over its edge or over a neighbour's, panels of nothing."""
    return _figure_faults


def _figure_faults(figure: Any) -> list[str]:
    figure.canvas.draw()
    panels = [panel for panel in figure.axes if panel.axison]
    outside = [*figure.legends, *figure.texts]
    legends = [*outside, *(panel.get_legend() for panel in panels if panel.get_legend())]
    texts = [
        text for panel in panels for text in (panel.title, panel.xaxis.label, panel.yaxis.label)
    ]
    found = [f"{one} is clipped" for one in (*legends, *texts) if _is_clipped(figure, one)]
    found += [f"{panel} shows nothing" for panel in panels if not _shows_something(panel)]
    for panel in panels:
        for axis in (panel.xaxis, panel.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
            boxes = [
                label.get_window_extent()
                for place, label in ticks
                if low <= place <= high and label.get_text() and not label.get_rotation()
            ]
            found += [
                f"labels of {axis} overlap"
                for one, other in itertools.combinations(boxes, 2)
                if one.overlaps(other)
            ][:1]
    return found


def _is_clipped(figure: Any, artist: Any) -> bool:
    box, canvas = artist.get_window_extent(), figure.bbox
    return box.width > 0 and not (
        -1 <= box.x0 <= box.x1 <= canvas.x1 + 1 and -1 <= box.y0 <= box.y1 <= canvas.y1 + 1
    )


def _shows_something(panel: Any) -> bool:
    """More than lines across: an image, points, bars, or a line of finite values."""
    lines = [line for line in panel.lines if line.get_transform() is panel.transData]
    values = [np.asarray(line.get_ydata(), float) for line in lines]
    return bool(panel.images or panel.collections or panel.patches) or any(
        np.isfinite(one).any() for one in values
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Workers for folders of tests; a file or a single test is started sooner without."""
    if not any(Path(word.partition("::")[0]).is_dir() for word in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_WORKERS)


@functools.cache
def _index_tasks_once() -> None:
    """lm-eval reads its thousands of task files for every TaskManager: five seconds, and always the
    same. From here on it reads them once a process.
    """
    import lm_eval.tasks
    from lm_eval.tasks._index import TaskIndex

    build = TaskIndex.build
    own = Path(lm_eval.tasks.__file__).parent
    stock = functools.cache(lambda: build([own]))

    def build_but_for_its_own(paths: Iterable[Path], **options: Any) -> dict[str, Any]:
        paths = list(paths)
        if own not in paths[:1] or options:
            return build(paths, **options)
        return {**stock(), **build(paths[1:])}

    TaskIndex.build = staticmethod(build_but_for_its_own)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    if "lm_eval.tasks" in sys.modules:
        _index_tasks_once()


class Done(NamedTuple):
    """What a command left, as ``subprocess.run`` has it."""

    returncode: int
    stdout: str
    stderr: str


@functools.cache
def _environment() -> str:
    """What lm-eval asks pip for at each result file: the same for a whole process."""
    from torch.utils import collect_env

    return str(collect_env.get_pretty_env_info())


def _run_command(program: str, *words: object) -> Done:
    from torch.utils import collect_env

    _index_tasks_once()
    environment = _environment()
    streams = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        patch.object(sys, "argv", [program, *map(str, words)]),
        patch.object(collect_env, "get_pretty_env_info", lambda: environment),
        patch.dict(os.environ),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
    ):
        try:
            _entry_point(program)()
        except SystemExit as end:
            code = end.code or 0
        except Exception:
            traceback.print_exc()
            code = 1
    if isinstance(code, str):  # the interpreter would print it
        streams[1].write(code)
    return Done(code if isinstance(code, int) else 1, *(s.getvalue() for s in streams))


def _entry_point(program: str) -> Callable[[], Any]:
    if program == "l2-harness":
        from l2_harness.cli import main

        return main
    from lm_eval._cli import HarnessCLI

    # Not its `cli_evaluate`, which for good takes lm-eval's log away from pytest.
    cli = HarnessCLI()
    return lambda: cli.execute(cli.parse_args())


@pytest.fixture(scope="session")
def run_command() -> Callable[..., Done]:
    """``run_command("lm_eval", …)`` or ``run_command("l2-harness", …)``: what a user types, in
    this process, which has all libraries; ``returncode``, ``stdout``, ``stderr``.
    """
    return _run_command
