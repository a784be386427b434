"""What the traces hold, on the embedded model: a real response with thinking and an end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from l2_harness.config import ConfigError
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_run_settings, read_traces
from l2_harness.paths import tasks_dir

LENGTH = {"until": [], "do_sample": False, "max_gen_toks": 200}


@pytest.fixture(scope="module")
def questions() -> list[str]:
    """The embedded model's prompts for short problems of its test split."""
    from l2_harness.demo.tokenizer import chat_prompt

    lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()
    problems = [p for p in map(json.loads, lines) if p["steps"] <= 2]
    return [chat_prompt(problem["question"], thinking=True) for problem in problems[:6]]


def demo(folder: Path | None = None, **args: Any) -> L2HF:
    record = {"record": "tokens", "trace_dir": str(folder)} if folder else {}
    return L2HF("demo", **{"device": "cpu", "batch_size": 4, **record, **args})


def test_thinking_responses(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    lm = demo(tmp_path, think_end_token="</think>")
    responses = lm.generate_until(instances("generate_until", [(q, LENGTH) for q in questions]))
    traces = read_traces(tmp_path)
    assert list(traces.response) == responses
    for trace in traces.itertuples():
        ids = trace.tokens.tolist()
        assert trace.finish_reason == "eos"
        assert ids[-1] == lm.tokenizer.eos_token_id
        assert ids.count(lm.tokenizer.eos_token_id) == 1
        assert ids[trace.thinking_end] == lm.tokenizer.convert_tokens_to_ids("</think>")
        assert trace.text.startswith("<think>")
        assert trace.text.split("</think>")[1].lstrip() == trace.response
        assert trace.norms.shape == (len(ids), 2)
        assert trace.layers.tolist() == [9, 10]
        assert len(trace.logprob) == len(trace.entropy) == len(trace.self_certainty) == len(ids)
        np.testing.assert_allclose(trace.norm_mean, trace.norms.mean(0), rtol=1e-6)


def test_stop_strings_and_the_limit_end_a_response(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    lm = demo(tmp_path)
    stopped = {"until": [" = "], "do_sample": False, "max_gen_toks": 200}
    cut = {"until": [], "do_sample": False, "max_gen_toks": 3}
    both = [(questions[0], stopped), (questions[1], cut)]
    responses = lm.generate_until(instances("generate_until", both))
    first, second = read_traces(tmp_path).itertuples()
    assert first.finish_reason == "stop"
    assert " = " in first.text
    assert " = " not in lm.tok_decode(first.tokens[:-1].tolist(), skip_special_tokens=False)
    assert first.response == responses[0] == first.text.split(" = ")[0]
    assert (second.finish_reason, len(second.tokens)) == ("length", 3)


def test_summary_reaches_the_result_file(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    lm = demo(tmp_path, layers="all")
    lm.generate_until(instances("generate_until", [(q, LENGTH) for q in questions[:3]]))
    info = lm.get_model_info()["l2"]
    traces = read_traces(tmp_path)
    rows = np.concatenate(list(traces.norms))
    assert (info["responses"], info["rows"]) == (3, len(rows))
    assert list(info["norm_mean"]) == [str(layer) for layer in range(12)]
    np.testing.assert_allclose(list(info["norm_mean"].values()), rows.mean(0), rtol=1e-5)
    assert info["tasks"]["t"]["rows"] == len(rows)
    assert json.dumps(info)


def test_summary_record_keeps_means_only(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    lm = demo(record="summary", trace_dir=str(tmp_path))
    lm.generate_until(instances("generate_until", [(questions[0], LENGTH)]))
    (trace,) = read_traces(tmp_path).itertuples()
    assert trace.norms is None
    assert trace.logprob is None
    assert len(trace.norm_mean) == 2
    assert trace.text.startswith("<think>")


def test_off_records_nothing(questions: list[str], instances: Callable[..., list[Any]]) -> None:
    lm = demo(record="off")
    lm.generate_until(instances("generate_until", [(questions[0], LENGTH)]))
    assert lm.get_model_info()["l2"].keys() == {"record", "num_samples", "seed", "decoder_layers"}


def test_repeats_have_their_own_records(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    lm = demo(tmp_path)
    settings = LENGTH | {"do_sample": True, "temperature": 1.0}
    requests = instances("generate_until", [(q, settings) for q in questions[:2]], repeats=3)
    responses = lm.generate_until([r for r in requests for _ in range(3)])
    traces = read_traces(tmp_path).sort_values(["doc_id", "repeat"])
    assert list(zip(traces.doc_id, traces.repeat, strict=True)) == [
        (doc_id, repeat) for doc_id in range(2) for repeat in range(3)
    ]
    assert list(traces.response) == responses


def test_padding_that_evens_out_processes_is_not_recorded(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    """lm-eval appends the last request again where another process has more."""
    lm = demo(tmp_path)
    requests = instances("generate_until", [(q, LENGTH) for q in questions[:2]])
    responses = lm.generate_until([*requests, requests[-1]])
    assert responses[2] == responses[1]
    assert len(read_traces(tmp_path)) == 2
    assert lm.get_model_info()["l2"]["responses"] == 2


class TestResume:
    @pytest.fixture
    def runs(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Sizes of the batches that the model really ran."""
        sizes: list[int] = []
        own = L2HF._model_generate

        def counting(self: L2HF, context: Any, *args: Any, **kwargs: Any) -> Any:
            sizes.append(len(context))
            return own(self, context, *args, **kwargs)

        monkeypatch.setattr(L2HF, "_model_generate", counting)
        return sizes

    @pytest.fixture
    def requests(self, questions: list[str], instances: Callable[..., list[Any]]) -> list[Any]:
        return instances("generate_until", [(q, LENGTH) for q in questions])

    def test_an_interrupted_run_goes_on_where_it_was(
        self, requests: list[Any], runs: list[int], tmp_path: Path
    ) -> None:
        whole = demo(tmp_path / "whole").generate_until(requests)
        demo(tmp_path / "cut").generate_until(requests)
        last = max((tmp_path / "cut").glob("*.parquet"))
        lost = pq.ParquetFile(last).metadata.num_rows
        last.unlink()
        runs.clear()
        lm = demo(tmp_path / "cut")
        assert lm.generate_until(requests) == whole
        assert sum(runs) == lost < len(requests)
        resumed, uncut = read_traces(tmp_path / "cut"), read_traces(tmp_path / "whole")
        for a, b in zip(resumed.norms, uncut.norms, strict=True):
            # in float32 a row's last digits depend on who is decoded beside it
            np.testing.assert_allclose(a, b, rtol=1e-5)
        assert lm.get_model_info()["l2"]["responses"] == len(requests)

    def test_nothing_runs_twice(self, requests: list[Any], runs: list[int], tmp_path: Path) -> None:
        first = demo(tmp_path).generate_until(requests)
        runs.clear()
        assert demo(tmp_path, batch_size=1).generate_until(requests) == first
        assert runs == []

    @pytest.mark.parametrize("change", [{"layers": "all"}, {"dtype": "float64"}, {"resume": False}])
    def test_another_model_or_wish_runs_again(
        self, requests: list[Any], runs: list[int], change: dict[str, Any], tmp_path: Path
    ) -> None:
        demo(tmp_path).generate_until(requests[:2])
        runs.clear()
        demo(tmp_path, **change).generate_until(requests[:2])
        assert runs == [2]

    def test_other_weights_at_the_same_path_run_again(
        self,
        tiny_model: Callable[..., Any],
        tokenizer: Any,
        prompts: list[str],
        instances: Callable[..., list[Any]],
        runs: list[int],
        tmp_path: Path,
    ) -> None:
        short = LENGTH | {"max_gen_toks": 2}
        request = instances("generate_until", [(prompts[2], short)])
        tokenizer.save_pretrained(tmp_path / "model")
        for scale in (1.0, 1.5, 1.5):
            model = tiny_model("llama")
            model.lm_head.weight.data *= scale
            model.save_pretrained(tmp_path / "model")
            args = {"device": "cpu", "trace_dir": str(tmp_path / "traces")}
            L2HF(str(tmp_path / "model"), **args).generate_until(request)
        assert runs == [1, 1]

    def test_other_settings_of_the_request_run_again(
        self,
        questions: list[str],
        instances: Callable[..., list[Any]],
        runs: list[int],
        tmp_path: Path,
    ) -> None:
        demo(tmp_path).generate_until(instances("generate_until", [(questions[0], LENGTH)]))
        runs.clear()
        shorter = LENGTH | {"max_gen_toks": 5}
        demo(tmp_path).generate_until(instances("generate_until", [(questions[0], shorter)]))
        assert runs == [1]

    def test_scores(
        self,
        questions: list[str],
        instances: Callable[..., list[Any]],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        requests = instances("loglikelihood", [(q, a) for q in questions for a in (" 1", " 25")])
        texts = instances("loglikelihood_rolling", [(q,) for q in questions])
        lm = demo(tmp_path)
        scores, rolling = lm.loglikelihood(requests), lm.loglikelihood_rolling(texts)
        again = demo(tmp_path)
        monkeypatch.setattr(again, "_model_call", None)
        assert again.loglikelihood(requests) == scores
        assert again.loglikelihood_rolling(texts) == rolling


def test_run_settings_are_stored(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    """With the first response: before, the seed of the evaluation is not known."""
    lm = demo(tmp_path)
    assert not list(tmp_path.iterdir())
    lm.loglikelihood(instances("loglikelihood", [(questions[0], " 1")]))
    settings = read_run_settings(tmp_path, lm.get_model_info()["l2"]["run_id"])
    assert settings["pretrained"] == "demo"
    assert settings["monitored_layers"] == [9, 10]


def test_peft_adapter(
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
    tmp_path: Path,
) -> None:
    """An adapter changes the norms; l2hf records those of the adapted model."""
    import torch
    from peft import LoraConfig, get_peft_model

    base = tiny_model("llama")
    base.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    adapted = get_peft_model(base, LoraConfig(r=2, init_lora_weights=False))
    adapted.save_pretrained(str(tmp_path / "adapter"))
    lm = L2HF(
        str(tmp_path / "base"),
        peft=str(tmp_path / "adapter"),
        device="cpu",
        batch_size=2,
        layers="0-3",
        record="tokens",
        trace_dir=str(tmp_path / "traces"),
    )
    short = LENGTH | {"max_gen_toks": 4}
    lm.generate_until(instances("generate_until", [(p, short) for p in prompts]))
    for trace in read_traces(tmp_path / "traces").itertuples():
        prompt = tokenizer(prompts[trace.doc_id]).input_ids
        ids = torch.tensor([[*prompt, *trace.tokens.tolist()]])
        with torch.no_grad():
            states = adapted(ids, output_hidden_states=True).hidden_states[1:5]
        expected = torch.stack([s[0, len(prompt) - 1 : -1].norm(dim=-1) for s in states], dim=-1)
        np.testing.assert_allclose(trace.norms, expected.numpy(), rtol=1e-5)


class TestBadInput:
    @pytest.fixture
    def refuse_weights(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Errors that must come before any weights load."""
        from lm_eval.models.huggingface import HFLM

        def load(*args: Any, **kwargs: Any) -> None:
            raise AssertionError("weights were loaded")

        monkeypatch.setattr(HFLM, "_create_model", load)

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ({"recrod": "off"}, "did you mean 'record'?"),
            ({"layers": "40-50"}, "layer 40, but the model has 12 decoder layers"),
            ({"trace_dir": ""}, "trace_dir='' is empty"),
            ({"pretrained": "./nowhere"}, "'nowhere' does not exist"),
        ],
    )
    @pytest.mark.usefixtures("refuse_weights")
    def test_before_any_weights(self, args: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=re.escape(message)):
            L2HF(**{"pretrained": "demo", "device": "cpu", **args})

    @pytest.mark.usefixtures("refuse_weights")
    def test_trace_dir_that_is_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("")
        with pytest.raises(ConfigError, match="is a file"):
            L2HF("demo", device="cpu", trace_dir=str(file))

    def test_folder_without_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"holds no config\.json"):
            L2HF(str(tmp_path), device="cpu")

    def test_layers_path(self) -> None:
        assert len(demo(layers_path="model.layers")._norms._layers) == 2
        with pytest.raises(ValueError, match=r"not in the model.*model\.layers \(12\)"):
            demo(layers_path="model.decoder.layers")

    def test_encoder_decoder(self, tokenizer: Any, tmp_path: Path) -> None:
        from transformers import T5Config, T5ForConditionalGeneration

        T5ForConditionalGeneration(
            T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=4, d_ff=16, num_layers=2)
        ).save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"decoder-only models.*record=off"):
            L2HF(str(tmp_path), device="cpu", record="summary")
        for arguments in ({}, {"record": "off"}):  # by default it runs as hf does, unrecorded
            lm = L2HF(str(tmp_path), device="cpu", **arguments)
            assert lm.backend == "seq2seq"
            assert lm.get_model_info()["l2"]["record"] == "off"

    @pytest.mark.parametrize(
        ("prompt", "settings", "message"),
        [
            ("", LENGTH, "task t, document 0 has no tokens"),
            ("Ada has 3", LENGTH | {"max_gen_toks": 0}, "max_gen_toks=0 (task t, document 0)"),
        ],
    )
    def test_requests(
        self,
        prompt: str,
        settings: dict[str, Any],
        message: str,
        instances: Callable[..., list[Any]],
    ) -> None:
        with pytest.raises(ValueError, match=re.escape(message)):
            demo().generate_until(instances("generate_until", [(prompt, settings)]))

    def test_a_prompt_beyond_the_context_is_cut_from_the_left(
        self, instances: Callable[..., list[Any]], tmp_path: Path
    ) -> None:
        """As lm-eval documents it."""
        lm = demo(tmp_path, max_length=40)
        request = instances("generate_until", [("Ada has 3 . " * 40, LENGTH | {"max_gen_toks": 8})])
        lm.generate_until(request)
        (trace,) = read_traces(tmp_path).itertuples()
        assert trace.prompt_tokens == 32
        assert len(trace.tokens) <= 8
