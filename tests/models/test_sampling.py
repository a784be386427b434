"""Samples of ``l2hf``: which they are, where they go, and that nothing but the seed moves them."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lm_eval.api.model import CacheHook

from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces

#: Top-k and top-p rule tokens out, so that a tie at their border would show.
SAMPLING = {"do_sample": True, "temperature": 2.0, "top_k": 40, "top_p": 0.95}
SETTINGS = {"until": ["####"], "max_gen_toks": 36, **SAMPLING}
N = 5


@pytest.fixture(scope="module")
def questions() -> list[str]:
    from l2_harness.demo.tokenizer import chat_prompt
    from l2_harness.paths import tasks_dir

    lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()
    return [chat_prompt(json.loads(line)["question"], thinking=True) for line in lines[:7]]


def demo(folder: Path | None = None, **args: Any) -> L2HF:
    record = {"record": "tokens", "trace_dir": str(folder)} if folder else {}
    common = {"device": "cpu", "dtype": "float64", "batch_size": 7, "seed": 11}
    return L2HF("demo", **{**common, **record, **args})


def samples(
    folder: Path, requests: Sequence[Any], **args: Any
) -> tuple[list[str], dict[tuple[str, int], list[int]]]:
    """What lm-eval gets, and the ids of each (prompt, sample)."""
    responses = demo(folder, num_samples=N, **args).generate_until(list(requests))
    return responses, by_sample(read_traces(folder))


def by_sample(traces: pd.DataFrame) -> dict[tuple[str, int], list[int]]:
    return {(t.prompt_hash, t.sample): t.tokens.tolist() for t in traces.itertuples()}


@pytest.fixture
def requests_(questions: list[str], instances: Callable[..., list[Any]]) -> list[Any]:
    return instances("generate_until", [(q, SETTINGS) for q in questions])


@pytest.fixture(scope="module")
def reference(
    questions: list[str],
    instances: Callable[..., list[Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[str], dict[tuple[str, int], list[int]]]:
    """At batch size 7."""
    requests = instances("generate_until", [(q, SETTINGS) for q in questions])
    return samples(tmp_path_factory.mktemp("reference"), requests)


class TestNothingButTheSeed:
    @pytest.mark.parametrize("batch_size", [1, 32])
    def test_batch_size(
        self, requests_: list[Any], reference: Any, batch_size: int, tmp_path: Path
    ) -> None:
        assert samples(tmp_path, requests_, batch_size=batch_size) == reference
        assert len(reference[1]) == 7 * N
        assert len({tuple(ids) for ids in reference[1].values()}) > 0.8 * 7 * N

    def test_order_and_company(self, requests_: list[Any], reference: Any, tmp_path: Path) -> None:
        some = [requests_[i] for i in (4, 1, 6)]
        responses, found = samples(tmp_path, some)
        assert responses == [reference[0][i] for i in (4, 1, 6)]
        assert found.items() <= reference[1].items()

    def test_number_of_samples(self, requests_: list[Any], reference: Any, tmp_path: Path) -> None:
        demo(tmp_path, num_samples=2).generate_until(requests_)
        assert by_sample(read_traces(tmp_path)).items() <= reference[1].items()

    @pytest.mark.process
    def test_another_process(
        self, questions: list[str], requests_: list[Any], reference: Any, tmp_path: Path
    ) -> None:
        code = (
            "import sys, json; from lm_eval.api.instance import Instance\n"
            "from l2_harness.models.hf.l2hf import L2HF\n"
            "prompts, settings, folder = json.loads(sys.stdin.read())\n"
            "lm = L2HF('demo', device='cpu', dtype='float64', batch_size=3, seed=11,\n"
            "          num_samples=5, record='tokens', trace_dir=folder)\n"
            "lm.generate_until([Instance('generate_until', {}, (p, settings), 0,\n"
            "                   metadata=('t', i, 1)) for i, p in enumerate(prompts)])\n"
        )
        given = json.dumps([questions[:3], SETTINGS, str(tmp_path)])
        subprocess.run([sys.executable, "-c", code], input=given, text=True, check=True)
        found = by_sample(read_traces(tmp_path))
        assert len(found) == 3 * N
        assert found.items() <= reference[1].items()

    def test_resumed(self, requests_: list[Any], reference: Any, tmp_path: Path) -> None:
        """Some responses are there; only the others run, and all are as they would have been."""
        demo(tmp_path, num_samples=N, batch_size=2).generate_until(requests_[:2])
        parts = sorted(tmp_path.glob("part-*"))
        parts[1].unlink()
        left = by_sample(read_traces(tmp_path))
        assert 0 < len(left) < 2 * N
        lm = demo(tmp_path, num_samples=N)
        widths: list[int] = []
        lm.model.register_forward_pre_hook(
            lambda module, args, kwargs: widths.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        assert lm.generate_until(requests_) == reference[0]
        assert by_sample(read_traces(tmp_path)) == reference[1]
        assert len(read_traces(tmp_path)) == 7 * N

    def test_the_seed_moves_them(
        self, requests_: list[Any], reference: Any, tmp_path: Path
    ) -> None:
        _, found = samples(tmp_path, requests_, seed=12)
        assert found.keys() == reference[1].keys()
        assert sum(found[key] == reference[1][key] for key in found) < 0.2 * len(found)

    def test_lm_evals_seed_is_the_default(
        self, requests_: list[Any], reference: Any, tmp_path: Path
    ) -> None:
        torch.manual_seed(11)
        assert samples(tmp_path, requests_, seed=None) == reference

    def test_no_global_random_state_is_touched(self, requests_: list[Any], tmp_path: Path) -> None:
        torch.manual_seed(5)
        before = torch.get_rng_state()
        model = demo().model
        L2HF(model, tokenizer=demo().tokenizer, num_samples=2, batch_size=4).generate_until(
            requests_[:2]
        )
        assert torch.equal(torch.get_rng_state(), before)


class TestWhereTheyGo:
    def test_sample_0_is_the_response(self, requests_: list[Any], tmp_path: Path) -> None:
        lm = demo(tmp_path, num_samples=N)
        responses = lm.generate_until(requests_)
        traces = read_traces(tmp_path)
        assert sorted(zip(traces.doc_id, traces["sample"], strict=True)) == [
            (doc, sample) for doc in range(7) for sample in range(N)
        ]
        assert (traces.chosen == (traces["sample"] == 0)).all()
        chosen = traces[traces.chosen].sort_values("doc_id")
        assert list(chosen.response) == responses
        info = lm.get_model_info()["l2"]
        assert (info["responses"], info["num_samples"], info["seed"]) == (7 * N, N, 11)
        assert info["rows"] == sum(map(len, traces.tokens))

    def test_repeats_are_samples_of_one_prefill(
        self,
        questions: list[str],
        instances: Callable[..., list[Any]],
        reference: Any,
        tmp_path: Path,
    ) -> None:
        """Each of lm-eval's repeats gets what num_samples makes of the same prompt."""
        requests = instances("generate_until", [(q, SETTINGS) for q in questions], repeats=N)
        lm = demo(tmp_path)
        prefilled: list[tuple[int, ...]] = []
        lm.model.register_forward_pre_hook(
            lambda module, args, kwargs: prefilled.append(tuple(kwargs["input_ids"].shape)),
            with_kwargs=True,
        )
        responses = lm.generate_until([r for r in requests for _ in range(N)])
        traces = read_traces(tmp_path)
        found = {(t.prompt_hash, t.repeat): t.tokens.tolist() for t in traces.itertuples()}
        assert found == reference[1]
        assert set(traces["sample"]) == {0}
        ordered = traces.sort_values(["doc_id", "repeat"])
        assert list(ordered.response) == responses
        assert sum(rows for rows, width in prefilled if width > 1) == len(questions)

    def test_repeats_of_several_samples(
        self, questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
    ) -> None:
        (request,) = instances("generate_until", [(questions[0], SETTINGS)], repeats=2)
        demo(tmp_path, num_samples=2).generate_until([request, request])
        traces = read_traces(tmp_path)
        assert sorted(zip(traces.repeat, traces["sample"], strict=True)) == [
            (0, 0),
            (0, 1),
            (1, 0),
            (1, 1),
        ]
        assert len({tuple(ids) for ids in traces.tokens}) == 4

    def test_use_cache_keeps_what_lm_eval_asked(
        self, questions: list[str], instances: Callable[..., list[Any]]
    ) -> None:
        stored: list[tuple[Any, str]] = []

        class Hook(CacheHook):
            def add_partial(self, attr: str, req: Any, res: Any) -> None:
                stored.append((req, res))

        for way in ("loop", "stock"):
            stored.clear()
            lm = demo(decoding=way)
            lm.set_cache_hook(Hook(None))
            # what is drawn is never stored: a repeat would get the same response again
            greedy = {**SETTINGS, "do_sample": False, "temperature": None}
            requests = instances("generate_until", [(q, greedy) for q in questions[:3]])
            responses = lm.generate_until(requests)
            assert sorted(stored, key=str) == sorted(
                [(r.args, text) for r, text in zip(requests, responses, strict=True)], key=str
            )


class TestWhoSaysHow:
    """gen_kwargs first, then model_args, then the model's generation_config."""

    @pytest.mark.parametrize(
        ("task", "args", "own", "expected"),
        [
            ({}, {}, {}, (False, None, None)),
            ({}, {}, {"do_sample": True, "temperature": 0.6}, (False, None, None)),
            ({}, {"temperature": 0.7}, {"top_p": 0.8}, (True, 0.7, 0.8)),
            ({"temperature": 0.9}, {"temperature": 0.7}, {}, (True, 0.9, None)),
            ({"temperature": 0.9}, {"top_p": 0.5}, {"top_p": 0.8}, (True, 0.9, 0.5)),
            ({"do_sample": True}, {}, {"temperature": 0.6}, (True, 0.6, None)),
            ({"do_sample": True}, {}, {}, (True, 1.0, None)),
            ({"do_sample": True, "top_p": 0.4}, {"temperature": 2}, {}, (True, 2.0, 0.4)),
            ({"do_sample": False}, {"temperature": 0.7}, {}, (False, None, None)),
            ({}, {"num_samples": 3}, {"do_sample": True, "temperature": 0.6}, (True, 0.6, None)),
            ({"temperature": 0.0}, {"temperature": 0.7}, {}, (False, None, None)),
        ],
    )
    def test_what_generate_gets(
        self,
        task: dict[str, Any],
        args: dict[str, Any],
        own: dict[str, Any],
        expected: tuple[bool, float | None, float | None],
        questions: list[str],
        instances: Callable[..., list[Any]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        lm = demo(**args)
        for name, value in own.items():
            setattr(lm.model.generation_config, name, value)
        seen: list[Any] = []
        prepare = lm.model._get_logits_processor

        def spy(*a: Any, **kwargs: Any) -> Any:
            seen.append(kwargs["generation_config"])
            return prepare(*a, **kwargs)

        monkeypatch.setattr(lm.model, "_get_logits_processor", spy)
        settings = {"until": [], "max_gen_toks": 3, **task}
        lm.generate_until(instances("generate_until", [(questions[0], settings)]))
        do_sample, temperature, top_p = expected
        assert seen[0].do_sample == do_sample
        if do_sample:
            # transformers' own default for top_p is 1
            assert (seen[0].temperature, seen[0].top_p) == (temperature, top_p or 1.0)

    @pytest.mark.parametrize(
        ("settings", "args", "message"),
        [
            ({"do_sample": False}, {"num_samples": 2}, "Pass --gen_kwargs do_sample=true,temp"),
            ({}, {"num_samples": 2}, "num_samples=2 asks for different samples, but task t, doc"),
            ({"do_sample": True, "temperature": 0.0}, {}, "temperature=0.0 with do_sample=true"),
            ({"max_gen_toks": 4096}, {}, "max_gen_toks=4096 (task t, document 0) leaves no room"),
        ],
    )
    def test_errors_come_before_anything_runs(
        self,
        settings: dict[str, Any],
        args: dict[str, Any],
        message: str,
        questions: list[str],
        instances: Callable[..., list[Any]],
    ) -> None:
        lm = demo(**args)
        lm.model.register_forward_pre_hook(lambda *a: pytest.fail("the model ran"))
        with pytest.raises(ValueError, match=re.escape(message)):
            lm.generate_until(instances("generate_until", [(questions[0], settings)]))


class TestMemory:
    """A model that runs out of memory beyond some number of rows."""

    @staticmethod
    def limit(lm: L2HF, rows: int) -> list[int]:
        ran: list[int] = []

        def check(module: Any, args: Any, kwargs: Any) -> None:
            n = len(kwargs["input_ids"])
            if n > rows:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")
            ran.append(n)

        lm.model.register_forward_pre_hook(check, with_kwargs=True)
        return ran

    @pytest.mark.parametrize("rows", [1, 3, 8])
    def test_halve_and_go_on(
        self,
        requests_: list[Any],
        reference: Any,
        rows: int,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        lm = demo(tmp_path, num_samples=N, batch_size=32)
        ran = self.limit(lm, rows)
        with caplog.at_level(logging.WARNING):
            responses = lm.generate_until(requests_)
        assert max(ran) <= rows
        # the prefill of 6 prompts with 5 responses each, or all rows
        assert re.search("out of memory with (30|32) responses side by side: now", caplog.text)
        traces = read_traces(tmp_path)
        assert (responses, by_sample(traces)) == reference
        assert len(traces) == lm.get_model_info()["l2"]["responses"] == 7 * N

    def test_in_the_middle_of_a_prompts_samples(
        self, requests_: list[Any], reference: Any, tmp_path: Path
    ) -> None:
        """What had been decoded by then is neither lost nor run again."""
        lm = demo(tmp_path, num_samples=N, batch_size=2)
        calls = [0]

        def fail_once(module: Any, args: Any, kwargs: Any) -> None:
            calls[0] += kwargs["input_ids"].shape[1] == 1
            if calls[0] == 70:
                calls[0] += 1
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: x")

        lm.model.register_forward_pre_hook(fail_once, with_kwargs=True)
        responses = lm.generate_until(requests_)
        traces = read_traces(tmp_path)
        assert (responses, by_sample(traces)) == reference
        assert len(traces) == 7 * N

    def test_one_response_that_does_not_fit(self, requests_: list[Any]) -> None:
        lm = demo()
        self.limit(lm, 0)
        with pytest.raises(MemoryError, match=r"single response to a prompt of \d+ tokens"):
            lm.generate_until(requests_)

    def test_other_errors_are_not_swallowed(self, requests_: list[Any]) -> None:
        lm = demo()

        def fail(*args: Any) -> None:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

        lm.model.register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="mat1 and mat2"):
            lm.generate_until(requests_)

    def test_batch_size_auto(self, requests_: list[Any], reference: Any, tmp_path: Path) -> None:
        found = samples(tmp_path, requests_, batch_size="auto", max_batch_size=16, max_length=256)
        assert found == reference


class TestStockStandsIn:
    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"cache_implementation": "static"}, "cache_implementation=static"),
            ({"num_beams": 2, "do_sample": False}, "beam search"),
            ({"max_length": 300}, "max_length, which counts the padding"),
        ],
    )
    def test_where_the_loop_cannot(
        self,
        settings: dict[str, Any],
        said: str,
        questions: list[str],
        instances: Callable[..., list[Any]],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        lm = demo(tmp_path, dtype="float32")
        short = {"until": [], "max_gen_toks": 6, **SAMPLING, **settings}
        with caplog.at_level(logging.WARNING):
            responses = lm.generate_until(
                instances("generate_until", [(q, short) for q in questions])
            )
        assert all(responses)
        assert caplog.text.count("stock generate decodes these responses") == 1
        assert said in caplog.text
        assert "each sample is prefilled anew" in caplog.text

    def test_several_samples(
        self, questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
    ) -> None:
        lm = demo(tmp_path, num_samples=3, decoding="stock", dtype="float32")
        responses = lm.generate_until(
            instances("generate_until", [(q, SETTINGS) for q in questions])
        )
        traces = read_traces(tmp_path)
        assert len(traces) == 21
        assert list(traces[traces.chosen].sort_values("doc_id").response) == responses
        assert len({tuple(ids) for ids in traces.tokens}) > 10

    def test_an_encoder_decoder(
        self,
        tokenizer: Any,
        instances: Callable[..., list[Any]],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        from transformers import T5Config, T5ForConditionalGeneration

        model = T5ForConditionalGeneration(
            T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=4, d_ff=16, num_layers=2)
        )
        model.generation_config.decoder_start_token_id = 0
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        lm = L2HF(str(tmp_path), device="cpu", record="off")
        settings = {"until": [], "max_gen_toks": 4, "do_sample": False}
        with caplog.at_level(logging.WARNING):
            lm.generate_until(instances("generate_until", [("Ada has 3", settings)]))
        assert "an encoder-decoder model: stock generate" in caplog.text
        several = L2HF(str(tmp_path), device="cpu", num_samples=3, temperature=2.0)
        drawn = {"until": [], "max_gen_toks": 4, "do_sample": True}
        several.generate_until(instances("generate_until", [("Ada has 3", drawn)] * 2))
        info = several.get_model_info()["l2"]
        assert (info["num_samples"], len(several._evaluation.tally.lengths)) == (3, 6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_types(
    dtype: str, questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    lm = demo(tmp_path, dtype=dtype, num_samples=3)
    lm.generate_until(instances("generate_until", [(q, SETTINGS) for q in questions[:4]]))
    traces = read_traces(tmp_path)
    assert len(traces) == 12
    for trace in traces.itertuples():
        assert (trace.norms > 0).all()
        assert (trace.logprob <= 0).all()
        assert len(trace.entropy) == len(trace.tokens)


def test_layers_placed_by_accelerate(
    questions: list[str], instances: Callable[..., list[Any]], reference: Any, tmp_path: Path
) -> None:
    """A device_map puts hooks around the layers, and moves what passes between them."""
    requests = instances("generate_until", [(q, SETTINGS) for q in questions])
    split = {
        "model.embed_tokens": "cpu",
        "lm_head": "cpu",
        "model.norm": "cpu",
        "model.rotary_emb": "cpu",
        **{f"model.layers.{i}": "cpu" if i < 6 else "disk" for i in range(12)},
    }
    found = samples(
        tmp_path,
        requests,
        device_map=split,
        offload_folder=str(tmp_path / "off"),
    )
    assert found == reference
