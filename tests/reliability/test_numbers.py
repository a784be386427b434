"""Numbers that are none: told with layer, task and document, while the other responses go on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from l2_harness.config.errors import NumbersError
from l2_harness.norms import read_traces

GREEDY = {"until": [], "max_gen_toks": 6, "do_sample": False}
SAMPLED = {**GREEDY, "do_sample": True, "temperature": 1.5}

Lm = Callable[..., Any]


@pytest.fixture
def make(tiny_model: Callable[..., Any], tokenizer: Any) -> Lm:
    """``make(model, **args)``: our class around a model, all layers recorded."""
    from l2_harness.models.hf.l2hf import L2HF

    def of(model: Any, **args: Any) -> Any:
        return L2HF(model, tokenizer=tokenizer, **{"layers": "all", "batch_size": 4, **args})

    return of


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model("llama").double()


@pytest.fixture
def asked(prompts: list[str]) -> list[str]:
    """The third has a token that no other one has."""
    return [*prompts[:2], "Lena", *prompts[2:3]]


def overflow(model: Any, tokenizer: Any, text: str, others: Sequence[str]) -> None:
    """From now on the states of a text are infinite, those of others are not."""
    (only,) = set(tokenizer(text)["input_ids"]) - set(tokenizer(" ".join(others))["input_ids"])
    model.get_input_embeddings().weight.data[only] = torch.inf


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "not finite" in r.getMessage()]


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize(
    "args",
    [
        {"recursion": "norm", "threshold_warmup": 2},
        {"recursion": "norm", "threshold_warmup": 2, "batch_size": 1},
        {"decoding": "stock"},
        {"decoding": "stock", "batch_size": 1},
    ],
    ids=str,
)
def test_a_response_without_numbers(
    args: dict[str, Any],
    settings: dict[str, Any],
    make: Lm,
    model: Any,
    asked: list[str],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answers(folder: Path) -> list[str]:
        lm = make(model, record="tokens", trace_dir=str(folder), **args)
        requests = instances("generate_until", [(p, dict(settings)) for p in asked])
        found = [str(answer) for answer in lm.generate_until(requests, disable_tqdm=True)]
        infos.append(lm.get_model_info()["l2"])
        return found

    infos: list[dict[str, Any]] = []
    expected = answers(tmp_path / "whole")
    overflow(model, tokenizer, "Lena", [p for p in asked if p != "Lena"])
    found = answers(tmp_path / "broken")
    first, last = told(caplog)
    assert first.startswith("task t, document 2, sample 0: the logits at token 1 are not finite")
    assert "not finite from layer 0 on" in first
    assert last.startswith("the logits of 1 response were not finite: what it counts for")
    traces = read_traces(tmp_path / "broken").set_index("doc_id")
    assert traces.finish_reason[2] == "length"
    assert not np.isfinite(traces.norms[2]).any()
    assert len(traces.tokens[2]) == 1
    assert all(np.isfinite(norms).all() for n, norms in traces.norms.items() if n != 2)
    assert infos[1]["not_finite"] == infos[1]["tasks"]["t"]["not_finite"] == 1
    assert infos[1]["responses"] == 3
    assert all(map(math.isfinite, infos[1]["norm_mean"].values()))
    # stock generate has one random stream for all rows
    if settings is GREEDY or "decoding" not in args:
        assert [a for n, a in enumerate(found) if n != 2] == [
            a for n, a in enumerate(expected) if n != 2
        ]


@pytest.mark.parametrize("n", [1, 20])
@pytest.mark.parametrize("args", [{}, {"decoding": "stock"}], ids=str)
def test_a_model_without_numbers(
    args: dict[str, Any],
    n: int,
    make: Lm,
    model: Any,
    instances: Callable[..., list[Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is given up, and nothing of it is kept that a rerun would take for an answer."""
    torch.nn.init.constant_(model.lm_head.weight, torch.nan)
    for _ in range(2):
        caplog.clear()
        lm = make(model, record="tokens", trace_dir=str(tmp_path), **args)
        requests = instances("generate_until", [(f"{i} shells", dict(GREEDY)) for i in range(n)])
        with pytest.raises(NumbersError, match=f"first {min(n, 8)} response.*dtype=bfloat16"):
            lm.generate_until(requests, disable_tqdm=True)
        assert len(told(caplog)) == min(n, 5)
        assert "the norms that were recorded are finite" in told(caplog)[0]
        assert not list(tmp_path.glob("part-*"))


@pytest.mark.parametrize("record", ["off", "tokens"])
def test_a_score_that_is_no_number(
    record: str,
    make: Lm,
    model: Any,
    asked: list[str],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def scores(folder: Path) -> list[tuple[float, bool]]:
        where = {} if record == "off" else {"trace_dir": str(folder)}
        lm = make(model, record=record, **where)
        requests = instances("loglikelihood", [(p, " shells") for p in asked])
        found = lm.loglikelihood(requests, disable_tqdm=True)
        infos.append(lm.get_model_info()["l2"])
        return [*found]

    infos: list[dict[str, Any]] = []
    expected = scores(tmp_path / "whole")
    overflow(model, tokenizer, "Lena", [*(p for p in asked if p != "Lena"), " shells"])
    found = scores(tmp_path / "broken")
    assert math.isnan(found[2][0])
    assert [*found[:2], found[3]] == [*expected[:2], expected[3]]
    first, last = told(caplog)
    assert first.startswith("task t, document 2, a log-likelihood: the logits")
    if record == "tokens":
        assert "at token 1 are not finite (its norm is not finite from layer 0 on)" in first
    assert last.startswith("the logits of 1 response were not finite")
    assert infos[1]["not_finite"] == 1


@pytest.mark.parametrize("acting", [{}, {"recursion": "norm", "steering": "norm"}], ids=str)
def test_states_of_norm_zero(
    acting: dict[str, Any],
    make: Lm,
    model: Any,
    prompts: list[str],
    instances: Callable[..., list[Any]],
    tmp_path: Path,
) -> None:
    """A number like others: nothing is divided by it."""
    for parameter in model.model.parameters():
        parameter.data.zero_()
    args = {"threshold_warmup": 1, **acting} if acting else {}
    lm = make(
        model, record="tokens", trace_dir=str(tmp_path), num_samples=3, selection="l2", **args
    )
    requests = instances("generate_until", [(p, dict(SAMPLED)) for p in prompts[:2]])
    assert len(lm.generate_until(requests, disable_tqdm=True)) == 2
    traces = read_traces(tmp_path)
    assert all((norms == 0).all() for norms in traces.norms)
    numbers = [v for scores in traces.scores for v in scores.values()]
    assert np.isfinite(numbers).all()
