"""SmolLM2-135M-Instruct, a Llama of 30 layers: what is true of tiny random models is true of it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lm_eval.models.huggingface import HFLM

from l2_harness.analysis.norms.token_pieces import token_pieces
from l2_harness.benchmarks.mathematics import gsm8k
from l2_harness.benchmarks.task import process_results
from l2_harness.benchmarks.token_counts import token_limit
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces
from l2_harness.norms.sinks import SINK_FACTOR
from l2_harness.report.responses.loading import ResponseSource, load_responses

pytestmark = pytest.mark.slow

TOKENS = 24
#: A layer at which the first position is a sink, and late ones.
LAYERS = (15, 24, 28)
#: Little warm-up and low thresholds, so that something happens in a few rows.
LIVELY = {"threshold_warmup": 2, "threshold_k": 0.3}
TECHNIQUES: dict[str, dict[str, Any]] = {
    "recursion": {"recursion": "norm", "recursion_min_growth": 0, "recursion_max_ratio": 4},
    "steering": {
        "steering": "norm",
        "steering_patience": 2,
        "steering_probability": 1,
        "steering_cooldown": 4,
        "steering_min_cosine": -1,
    },
    "suppression": {"suppression": "peaks"},
}
SAMPLED = {"do_sample": True, "temperature": 1.0}
Requests = Callable[..., list[Any]]


class Greedy:
    """Responses of ``hf`` and of ``l2hf`` to the same prompts, and what was recorded."""

    def __init__(self, folder: str, requests: list[Any], traces: Path) -> None:
        common: dict[str, Any] = {"device": "cpu", "batch_size": 3, "dtype": "float32"}
        self.stock = HFLM(folder, **common).generate_until(requests)
        recording = {"record": "tokens", "layers": "all", "trace_dir": str(traces)}
        self.ours = L2HF(folder, **common, **recording).generate_until(requests)
        self.folder = traces
        self.traces = read_traces(traces).sort_values("doc_id").reset_index(drop=True)


@pytest.fixture(scope="module")
def greedy(
    smollm2: str,
    chats: list[str],
    requests_of: Requests,
    tmp_path_factory: pytest.TempPathFactory,
) -> Greedy:
    return Greedy(smollm2, requests_of(chats, TOKENS), tmp_path_factory.mktemp("traces"))


@pytest.fixture(scope="module")
def plain_norms(greedy: Greedy, chats: list[str], model: Any, tokenizer: Any) -> list[np.ndarray]:
    """(P + T − 1, layers) of each response, the prompt's positions first: a pass of the model over
    the whole text, its layers watched by hooks of transformers' own.
    """
    layers = range(len(model.model.layers))
    rows: dict[int, torch.Tensor] = {}

    def watch(layer: int) -> Any:
        def keep(_: Any, __: Any, output: Any) -> None:
            states = output if isinstance(output, torch.Tensor) else output[0]
            rows[layer] = states[0].norm(dim=-1)

        return model.model.layers[layer].register_forward_hook(keep)

    hooks = [watch(layer) for layer in layers]
    found = []
    for chat, tokens in zip(chats, greedy.traces["tokens"], strict=True):
        prompt = tokenizer(chat, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            model(torch.tensor([[*prompt, *tokens.tolist()[:-1]]]))
        found.append(torch.stack([rows[layer] for layer in layers], 1).numpy())
    for hook in hooks:
        hook.remove()
    return found


def test_responses_are_those_of_hf(greedy: Greedy) -> None:
    assert [str(text) for text in greedy.ours] == greedy.stock
    assert len(set(greedy.stock)) == len(greedy.stock)


def test_norms_are_those_of_plain_passes(greedy: Greedy, plain_norms: list[np.ndarray]) -> None:
    for row, plain in zip(greedy.traces.itertuples(), plain_norms, strict=True):
        assert list(row.layers) == list(range(30))
        assert row.norms.shape == (len(row.tokens), 30)
        np.testing.assert_allclose(row.norms, plain[row.prompt_tokens - 1 :], rtol=1e-4)


def test_prompts_begin_as_the_chat_template_says(
    greedy: Greedy, chats: list[str], tokenizer: Any
) -> None:
    """One beginning-of-text token, which the template writes, and none added to it."""
    for row, chat in zip(greedy.traces.itertuples(), chats, strict=True):
        ids = tokenizer(chat, add_special_tokens=False)["input_ids"]
        assert row.prompt_tokens == len(ids)
        assert ids[0] == tokenizer.bos_token_id != ids[1]


def test_the_same_text_has_the_same_score(greedy: Greedy, smollm2: str) -> None:
    """Whether a response was cut is told from its tokens where the class does not say."""
    limit = token_limit({"max_gen_toks": TOKENS}, {"pretrained": smollm2})
    doc = gsm8k({"question": "", "answer": "#### 12"})
    metrics = [
        [process_results(doc, [[text]], limit=limit) for text in texts]
        for texts in (greedy.ours, greedy.stock)
    ]
    for known, told in zip(*metrics, strict=True):
        assert told.items() <= known.items()
        assert not told["ending_unknown"]
    assert {one["truncated"] for one in metrics[0]} == {0, 1}


def test_pieces_of_bytes_are_shown_as_text(greedy: Greedy, tokenizer: Any) -> None:
    """A character whose bytes lie in several tokens is one, and spaces are spaces."""
    text = "naïve café — 数学 🙂 −3"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert "".join(token_pieces(tokenizer, ids)) == text
    found = load_responses(ResponseSource(greedy.folder))
    tokens = dict(zip(greedy.traces["doc_id"], greedy.traces["tokens"], strict=True))
    for view in found.views:
        shown = "".join(view.pieces)
        assert shown == tokenizer.decode(tokens[view.doc_id])
        assert not {"Ġ", "Ċ"} & set(shown)


def run_64(smollm2: str, requests: list[Any], traces: Path, **args: Any) -> pd.DataFrame:
    """Traces of a run in float64, its 0th response first."""
    common = {"device": "cpu", "dtype": "float64", "seed": 3, "batch_size": 3, "record": "tokens"}
    own = {"trace_dir": str(traces), "layers": "+".join(map(str, LAYERS))}
    lm = L2HF(smollm2, **{**common, **own, **args})
    lm.generate_until(requests)
    return read_traces(traces).sort_values("doc_id").reset_index(drop=True)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert [t.tolist() for t in one["tokens"]] == [t.tolist() for t in other["tokens"]]
    assert list(one["events"]) == list(other["events"])
    for mine, theirs in zip(one["norms"], other["norms"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.fixture(scope="module")
def together(
    smollm2: str, chats: list[str], requests_of: Requests, tmp_path_factory: Any
) -> pd.DataFrame:
    """Sampled, with all techniques on."""
    requests = requests_of(chats, TOKENS, **SAMPLED)
    return run_64(smollm2, requests, tmp_path_factory.mktemp("together"), **acting())


def acting() -> dict[str, Any]:
    return {**LIVELY, **{k: v for args in TECHNIQUES.values() for k, v in args.items()}}


def test_a_response_does_not_depend_on_its_batch(
    smollm2: str, chats: list[str], requests_of: Requests, together: pd.DataFrame, tmp_path: Path
) -> None:
    requests = requests_of(chats, TOKENS, **SAMPLED)
    same(run_64(smollm2, requests, tmp_path, **acting(), batch_size=1), together)
    assert together["events"].map(len).min() > 2


RUN = """
import json, sys
from lm_eval.api.instance import Instance
from l2_harness.models.hf.l2hf import L2HF
folder, args, prompts, settings = map(json.loads, sys.argv[1:])
requests = [
    Instance("generate_until", {}, (prompt, settings), 0, metadata=("t", i, 1))
    for i, prompt in enumerate(prompts)
]
L2HF(folder, **args).generate_until(requests)
"""


@pytest.mark.process
def test_a_killed_run_is_resumed(
    smollm2: str, chats: list[str], requests_of: Requests, together: pd.DataFrame, tmp_path: Path
) -> None:
    common = {"device": "cpu", "dtype": "float64", "seed": 3, "record": "tokens"}
    own = {"trace_dir": str(tmp_path), "layers": "+".join(map(str, LAYERS)), "batch_size": 1}
    settings = {"until": [], "max_gen_toks": TOKENS, **SAMPLED}
    words = [smollm2, {**common, **own, **acting()}, chats, settings]
    process = subprocess.Popen([sys.executable, "-c", RUN, *map(json.dumps, words)])
    deadline = time.monotonic() + 120
    while not [*tmp_path.rglob("*.parquet")] and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = len(read_traces(tmp_path))
    assert 0 < left < len(chats)
    requests = requests_of(chats, TOKENS, **SAMPLED)
    resumed = run_64(smollm2, requests, tmp_path, **acting())
    assert len(resumed) == len(chats)
    same(resumed, together)


def slow_decoder() -> ModuleType:
    """The engine's slow reference: a Llama run by hand, a token at a time."""
    path = Path(__file__).parents[1] / "engines" / "test_interventions.py"
    spec = importlib.util.spec_from_file_location("slow_decoder", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_technique_acts_as_the_slow_reference_does(
    technique: str,
    model: Any,
    tokenizer: Any,
    questions: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = slow_decoder()
    prompts = [tokenizer(question)["input_ids"] for question in questions]
    replaced = {
        "PROMPTS": prompts,
        "LAYERS": LAYERS,
        "EOS": {tokenizer.eos_token_id},
        "MAX_TOKENS": 12,
        "LIVELY": LIVELY,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(slow, name, value)
    assert slow.check_against_slow(model, TECHNIQUES[technique], greedy=True) > 0


def test_sinks_of_the_prompt_make_no_threshold(
    smollm2: str,
    chats: list[str],
    requests_of: Requests,
    plain_norms: list[np.ndarray],
    tmp_path: Path,
) -> None:
    """τ of each edit, from its definition: the prompt's norms without its sinks, and the rows'."""
    for plain in plain_norms:
        assert plain[0, LAYERS[0]] > SINK_FACTOR * np.median(plain[:, LAYERS[0]])
    args = {"suppression": "peaks", "threshold_prompt": True, "threshold_k": 0.3}
    traces = run_64(smollm2, requests_of(chats, TOKENS), tmp_path, **args)
    checked = 0
    for row, plain in zip(traces.itertuples(), plain_norms, strict=True):
        for event in row.events:
            if event["kind"] != "suppression":
                continue
            column = LAYERS.index(event["layer"])
            prompt = plain[1 : row.prompt_tokens - 1, event["layer"]]
            median = np.sort(prompt)[(len(prompt) - 1) // 2]
            seen = [*prompt[prompt <= SINK_FACTOR * median], *row.norms[: event["row"] + 1, column]]
            first, third = np.quantile(seen, [0.25, 0.75])
            tau = json.loads(event["detail"])["threshold"]
            assert tau == pytest.approx(third + 0.3 * (third - first), rel=1e-4)
            checked += 1
    assert checked > 5
