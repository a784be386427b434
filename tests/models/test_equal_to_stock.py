"""What lm-eval gets from ``l2hf`` is what it gets from ``hf``, whatever is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM

from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces

RECORDS: list[dict[str, Any]] = [{"record": "off"}, {}, {"record": "tokens", "layers": "all"}]
IDS = ["off", "summary", "tokens"]


@pytest.fixture(scope="module")
def pair(tiny_model: Callable[..., Any], tokenizer: Any) -> Callable[..., tuple[HFLM, L2HF]]:
    """Both classes on one model."""
    model = tiny_model("qwen3")

    def make(batch_size: Any = 3, record: dict[str, Any] | None = None, **args: Any) -> Any:
        common = {"tokenizer": tokenizer, "batch_size": batch_size, **args}
        return HFLM(model, **common), L2HF(model, **common, **(record or {}))

    return make


def with_folder(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    return record | ({"trace_dir": folder} if record.get("record") == "tokens" else {})


@pytest.mark.parametrize("record", RECORDS, ids=IDS)
@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_greedy_responses(
    pair: Callable[..., tuple[HFLM, L2HF]],
    instances: Callable[..., list[Any]],
    prompts: list[str],
    record: dict[str, Any],
    batch_size: Any,
    tmp_path: Path,
) -> None:
    stock, ours = pair(batch_size, with_folder(record, tmp_path), max_batch_size=4, max_length=64)
    settings = [
        {"until": ["."], "max_gen_toks": 8},
        {"until": [], "max_gen_toks": 5, "do_sample": False},
    ]
    requests = instances("generate_until", [(p, s) for p in prompts for s in settings])
    assert ours.generate_until(requests) == stock.generate_until(requests)


@pytest.mark.parametrize("record", RECORDS, ids=IDS)
@pytest.mark.parametrize("logits_cache", [True, False])
def test_loglikelihood(
    pair: Callable[..., tuple[HFLM, L2HF]],
    instances: Callable[..., list[Any]],
    prompts: list[str],
    record: dict[str, Any],
    logits_cache: bool,
    tmp_path: Path,
) -> None:
    stock, ours = pair(3, with_folder(record, tmp_path), logits_cache=logits_cache)
    endings = [" Ada", " Ben", " has 7", " Ada has 12 shells", " has 7"]
    requests = instances("loglikelihood", [(p, e) for p in ["", *prompts[:4]] for e in endings])
    assert ours.loglikelihood(requests) == stock.loglikelihood(requests)


@pytest.mark.parametrize("record", RECORDS, ids=IDS)
def test_loglikelihood_rolling(
    pair: Callable[..., tuple[HFLM, L2HF]],
    instances: Callable[..., list[Any]],
    prompts: list[str],
    record: dict[str, Any],
    tmp_path: Path,
) -> None:
    stock, ours = pair(2, with_folder(record, tmp_path), max_length=16)
    texts = [prompts[0], prompts[-1] * 3, prompts[2]]
    requests = instances("loglikelihood_rolling", [(text,) for text in texts])
    assert ours.loglikelihood_rolling(requests) == stock.loglikelihood_rolling(requests)


def test_rolling_windows_cover_each_text_once(
    pair: Callable[..., tuple[HFLM, L2HF]],
    instances: Callable[..., list[Any]],
    prompts: list[str],
    tokenizer: Any,
    tmp_path: Path,
) -> None:
    _, ours = pair(2, {"record": "tokens", "trace_dir": tmp_path}, max_length=16)
    texts = [prompts[0], prompts[-1] * 3, " ".join(["Ada"] * 16), prompts[-1]]
    scores = ours.loglikelihood_rolling(
        instances("loglikelihood_rolling", [(text,) for text in texts])
    )
    traces = read_traces(tmp_path)
    for doc_id, text in enumerate(texts):
        windows = traces[traces.doc_id == doc_id].sort_values("window")
        tokens = [token for window in windows.tokens for token in window]
        assert tokens == tokenizer(text).input_ids
        assert sum(s.sum() for s in windows.logprob) == pytest.approx(scores[doc_id], abs=1e-3)


def test_sampled_responses_of_stock_decoding(
    pair: Callable[..., tuple[HFLM, L2HF]], instances: Callable[..., list[Any]], prompts: list[str]
) -> None:
    import torch

    settings = {"until": [], "max_gen_toks": 8, "do_sample": True, "temperature": 1.0}
    requests = instances("generate_until", [(p, settings) for p in prompts])
    found = []
    for lm in pair(record={"decoding": "stock"}):
        torch.manual_seed(5)
        found.append(lm.generate_until(requests))
    assert found[0] == found[1]


THINK_ENDS = [None, "</think>", 4]
UNTIL = [[], ["</think>"], [" = "], ["####", "\n"]]
BATCH_SIZES = [1, 7, 32]
#: Every pair of values of two of the three, once or twice: a Latin square of 12 in place of all 36.
SQUARE = [
    (BATCH_SIZES[(u + t) % 3], UNTIL[u], THINK_ENDS[t])
    for u in range(len(UNTIL))
    for t in range(len(THINK_ENDS))
]


def test_the_square_holds_every_pair() -> None:
    pairs = {
        (i, j, str(case[i]), str(case[j])) for case in SQUARE for i in range(3) for j in range(i)
    }
    assert len(pairs) == 3 * 4 + 3 * 3 + 4 * 3


@pytest.mark.parametrize(("batch_size", "until", "think_end_token"), SQUARE, ids=str)
def test_greedy_responses_to_the_demo_task(
    instances: Callable[..., list[Any]],
    batch_size: int,
    until: list[str],
    think_end_token: int | str | None,
) -> None:
    """Real responses, which end at different times; the stop strings may lie in the thinking."""
    from l2_harness.demo.tokenizer import chat_prompt
    from l2_harness.paths import demo_model_path, tasks_dir

    lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines[::77]]
    settings = {"until": until, "max_gen_toks": 90, "do_sample": False}
    requests = instances("generate_until", [(chat_prompt(q, True), settings) for q in questions])
    common = {"device": "cpu", "dtype": "float32", "think_end_token": think_end_token}
    # a batch of several goes on past a stop string in the thinking until all rows have one, and
    # what comes then is no part of the response that a batch of one gives
    stock_size = 1 if until and think_end_token is not None else batch_size
    stock = HFLM(str(demo_model_path()), batch_size=stock_size, **common)
    ours = L2HF("demo", batch_size=batch_size, **common)
    assert ours.generate_until(requests) == stock.generate_until(requests)


def test_beam_search_runs_unrecorded(
    pair: Callable[..., tuple[HFLM, L2HF]],
    instances: Callable[..., list[Any]],
    prompts: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    stock, ours = pair()
    settings = {"until": [], "max_gen_toks": 6, "do_sample": False, "num_beams": 2}
    requests = instances("generate_until", [(p, settings) for p in prompts])
    assert ours.generate_until(requests) == stock.generate_until(requests)
    assert ours.get_model_info()["l2"]["responses"] == 0
    assert "beam search: stock generate decodes these responses" in caplog.text
    assert "these responses are not recorded" in caplog.text


def test_prompt_tuning(
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Left to stock generate; recorded where peft puts its prompt in front once.

    peft 0.21 does not know the cache's name in transformers 5.24, and puts it before every token.
    """
    from peft import PromptTuningConfig, get_peft_model

    tuning = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    model: Any = get_peft_model(tiny_model("llama"), tuning).eval()
    settings = {"until": [], "max_gen_toks": 8, "do_sample": False}
    requests = instances("generate_until", [(p, settings) for p in prompts[:3]])
    stock, ours = (cls(model, tokenizer=tokenizer, batch_size=3) for cls in (HFLM, L2HF))
    assert ours.generate_until(requests) == stock.generate_until(requests)
    assert "PEFT's prompt learning: stock generate decodes" in caplog.text
    recorded = ours.get_model_info()["l2"]["responses"]
    assert recorded == (0 if "these responses are not recorded" in caplog.text else 3)
