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
from l2_harness.engines.hf.finite_rows import BrokenRow, FiniteRows
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces

GREEDY = {"until": [], "max_gen_toks": 6, "do_sample": False}
SAMPLED = {**GREEDY, "do_sample": True, "temperature": 1.5}

Lm = Callable[..., Any]


@pytest.fixture
def make(tiny_model: Callable[..., Any], tokenizer: Any) -> Lm:
    """``make(model, **args)``: our class around a model, all layers recorded."""

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


def third_is_broken(
    answers: Callable[[], list[str]],
    infos: list[dict[str, Any]],
    model: Any,
    asked: list[str],
    tokenizer: Any,
    caplog: pytest.LogCaptureFixture,
    others_stay: bool,
) -> str:
    """Answers before and after one prompt's states overflow, ``infos`` being added to by both; the
    line that tells of it.
    """
    expected = answers()
    overflow(model, tokenizer, "Lena", [p for p in asked if p != "Lena"])
    found = answers()
    first, last = told(caplog)
    assert first.startswith("task t, document 2, sample 0: the logits at token 1 are not finite")
    assert last.startswith("the logits of 1 response were not finite")
    assert ["not_finite" in info for info in infos] == [False, True]
    assert found[2] == ""
    if others_stay:
        assert [*found[:2], found[3]] == [*expected[:2], expected[3]]
    return first


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("record", ["off", "tokens"])
def test_beams_without_numbers(
    record: str,
    settings: dict[str, Any],
    make: Lm,
    model: Any,
    asked: list[str],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answers() -> list[str]:
        torch.manual_seed(0)
        where = {} if record == "off" else {"trace_dir": str(tmp_path)}
        lm = make(model, record=record, **where)
        own = {**settings, "num_beams": 3}
        requests = instances("generate_until", [(p, dict(own)) for p in asked])
        found = [str(answer) for answer in lm.generate_until(requests, disable_tqdm=True)]
        infos.append(lm.get_model_info()["l2"])
        return found

    infos: list[dict[str, Any]] = []
    first = third_is_broken(answers, infos, model, asked, tokenizer, caplog, settings is GREEDY)
    assert ("not finite from layer 0 on" in first) == (record == "tokens")


def test_a_beam_without_numbers() -> None:
    """It ends with the score that it had; a response is broken if it goes on from such a beam."""
    rows = FiniteRows(prompts=2, eos=0)
    scores = torch.log_softmax(torch.tensor([[0.0, 2.0, 1.0]] * 4), -1)
    assert torch.equal(rows(torch.tensor([[7, 8], [7, 8], [7, 9], [7, 9]]), scores), scores)
    broken = scores.clone()
    broken[1], broken[3, 1], broken[2, 1] = torch.nan, torch.inf, -torch.inf
    ended = rows(torch.tensor([[7, 8, 1], [7, 8, 2], [7, 9, 1], [7, 9, 2]]), broken)
    assert ended[[1, 3]].tolist() == [[0.0, -torch.inf, -torch.inf]] * 2
    assert torch.equal(ended[[0, 2]], broken[[0, 2]])
    rows(torch.tensor([[7, 8, 1, 1], [7, 8, 2, 0], [7, 9, 1, 1], [7, 9, 1, 2]]), broken)
    assert rows.first_broken(0, [7, 8, 1, 1, 2]) is None
    assert rows.first_broken(1, [7, 8, 2, 0, 0]) is None
    assert rows.first_broken(0, [7, 8, 2, 0, 0]) == BrokenRow((7, 8, 2), 1, 1)
    assert rows.first_broken(1, [7, 9, 2, 0, 0]) == BrokenRow((7, 9, 2), 1, 3)
    assert rows.first_broken(1, [7, 9, 1, 2, 0]) == BrokenRow((7, 9, 1, 2), 2, 3)


def test_what_pads_a_response_is_none_of_it(
    make: Lm,
    model: Any,
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A response that has ended may have a padding whose states overflow."""
    asked = ["Ada has 3 shells", "Ben has 7 more"]

    def lengths(at: str, **settings: Any) -> list[int]:
        lm = make(model, decoding="stock", record="tokens", trace_dir=str(tmp_path / at))
        own = {**GREEDY, **settings}
        requests = instances("generate_until", [(p, dict(own)) for p in asked])
        lm.generate_until(requests, disable_tqdm=True)
        tokens.append([*read_traces(tmp_path / at).sort_values("doc_id").tokens])
        return [len(own) for own in tokens[-1]]

    tokens: list[list[Any]] = []
    assert len({len(tokenizer(text)["input_ids"]) for text in asked}) == 1
    assert lengths("whole") == [6, 6]
    end = int(tokens[0][0][1])
    assert end not in tokens[0][1]
    settings = {"eos_token_id": [end, tokenizer.eos_token_id]}
    expected = lengths("before", **settings)
    assert expected[0] < expected[1] == 6
    model.get_input_embeddings().weight.data[tokenizer.pad_token_id] = torch.nan
    assert lengths("after", **settings) == expected
    assert not told(caplog)


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED, {**GREEDY, "num_beams": 2}], ids=str)
def test_an_encoder_decoder_without_numbers(
    settings: dict[str, Any],
    make: Lm,
    asked: list[str],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    sizes |= {"vocab_size": len(tokenizer), "decoder_start_token_id": 0, "pad_token_id": 0}
    model = T5ForConditionalGeneration(T5Config(**sizes)).eval()
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())

    def answers() -> list[str]:
        lm = L2HF(model, tokenizer=tokenizer, batch_size=4)
        requests = instances("generate_until", [(p, dict(settings)) for p in asked])
        found = [str(answer) for answer in lm.generate_until(requests, disable_tqdm=True)]
        infos.append(lm.get_model_info()["l2"])
        return found

    infos: list[dict[str, Any]] = []
    third_is_broken(answers, infos, model, asked, tokenizer, caplog, settings is not SAMPLED)


@pytest.mark.parametrize("n", [1, 20])
@pytest.mark.parametrize("args", [{}, {"decoding": "stock"}, {"num_beams": 2}], ids=str)
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
        beams = {name: args[name] for name in args if name == "num_beams"}
        own = {name: args[name] for name in args if name not in beams}
        lm = make(model, record="tokens", trace_dir=str(tmp_path), **own)
        settings = {**GREEDY, **beams}
        requests = instances("generate_until", [(f"{i} shells", dict(settings)) for i in range(n)])
        told_of = "response" if n == 1 else f"{min(n, 8)} responses"
        with pytest.raises(NumbersError, match=f"its first {told_of} are .*dtype=bfloat16"):
            lm.generate_until(requests, disable_tqdm=True)
        assert len(told(caplog)) == min(n, 5)
        assert "the norms that were recorded are finite" in told(caplog)[0]
        assert not list(tmp_path.glob("part-*"))
        scored = instances("loglikelihood", [(f"{i} shells", " do") for i in range(n)])
        told_of = "response" if n == 1 else f"{n} responses"
        with pytest.raises(NumbersError, match=f"its first {told_of} are"):
            make(model).loglikelihood(scored, disable_tqdm=True)


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
    def scores(folder: Path, ask: str = "loglikelihood") -> list[Any]:
        where = {} if record == "off" else {"trace_dir": str(folder)}
        lm = make(model, record=record, **where)
        args = [(p, " shells") if ask == "loglikelihood" else (f"{p} shells",) for p in asked]
        found = getattr(lm, ask)(instances(ask, args), disable_tqdm=True)
        infos.append(lm.get_model_info()["l2"])
        return [*found]

    infos: list[dict[str, Any]] = []
    expected = scores(tmp_path / "whole")
    overflow(model, tokenizer, "Lena", [*(p for p in asked if p != "Lena"), " shells"])
    found = scores(tmp_path / "broken")
    assert found == [*expected[:2], (-math.inf, False), expected[3]]
    first, last = told(caplog)
    assert first.startswith("task t, document 2, a log-likelihood: the logits")
    assert "it counts as -inf" in first
    if record == "tokens":
        assert "at token 1 are not finite (its norm is not finite from layer 0 on)" in first
    assert last.startswith("the logits of 1 response were not finite")
    assert infos[1]["not_finite"] == 1
    rolling = scores(tmp_path / "rolling", "loglikelihood_rolling")
    assert [math.isnan(score) for score in rolling] == [False, False, True, False]
    assert told(caplog)[2].startswith("task t, document 2, a log-likelihood: the logits")
    assert "it counts as NaN" in told(caplog)[2]


@pytest.mark.parametrize("record", ["summary", "tokens"])
@pytest.mark.parametrize("broken", ["states", "logits"])
def test_a_rerun_tells_of_it_again(
    broken: str,
    record: str,
    model: Any,
    asked: list[str],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And comes to what the first run came to."""
    overflow(model, tokenizer, "Lena", [*(p for p in asked if p != "Lena"), " shells"])
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")

    def run() -> tuple[Any, ...]:
        args: dict[str, Any] = {"record": record, "trace_dir": str(tmp_path / "traces")}
        lm = L2HF(str(tmp_path / "model"), dtype="float64", device="cpu", batch_size=2, **args)
        if broken == "logits":  # while the norms of the states are finite
            lm.model.get_input_embeddings().weight.data[only] = 1.0
            lm.model.register_forward_hook(no_logits, with_kwargs=True)
        scored = instances("loglikelihood", [(p, " shells") for p in asked])
        scores = lm.loglikelihood(scored, disable_tqdm=True)
        drawn = instances("generate_until", [(p, dict(SAMPLED)) for p in asked])
        answers = lm.generate_until(drawn, disable_tqdm=True)
        recalled.append(lm._evaluation.tally.recalled)
        return scores, [str(answer) for answer in answers], lm.get_model_info()["l2"]

    def no_logits(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        ids = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
        output.logits[(ids == only).any(-1)] = torch.nan

    (only,) = tokenizer("Lena")["input_ids"]
    recalled: list[int] = []
    first = run()
    assert first[2]["not_finite"] == 2
    assert first[2]["tasks"]["t"] | {"norm_mean": 0} == {
        **{"norm_mean": 0, "not_finite": 2, "responses": 6},
        "rows": first[2]["rows"],
    }
    n_told = len(told(caplog))
    again = run()
    assert again[:2] == first[:2]
    means = [info.pop("norm_mean") for info in (again[2], first[2])]
    means += [info["tasks"]["t"].pop("norm_mean") for info in (again[2], first[2])]
    assert again[2] == first[2]
    assert all(mean == pytest.approx(means[0]) for mean in means)
    assert len(told(caplog)) == 2 * n_told == 6
    assert recalled == [0, 6]


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
