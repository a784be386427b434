"""Interventions in the decode loop against a slow decoder: one response, one token, one layer at
a time, with keys and values in plain lists, and the techniques written out as loops.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from l2_harness.config import ConfigError
from l2_harness.config.interventions import read_interventions
from l2_harness.engines.decoder_layers import find_decoder_layers
from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.hf.cache_argument import GENERATE_CACHE, cache_argument
from l2_harness.engines.hf.decode_loop import DecodeLoop
from l2_harness.engines.hf.layer_hooks import LayerHooks
from l2_harness.engines.hf.output_head import OutputHead
from l2_harness.engines.hf.prefill import ResponseSpec
from l2_harness.engines.hf.rerun_check import check_rerun
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.engines.response_end import EndRule
from l2_harness.interventions import InterventionRun, Response, stream_key
from l2_harness.random_numbers import uniform_draws

PROMPTS = [list(range(5, 5 + n)) for n in (17, 3, 11)]
SAMPLES = 2
ALL = [(p, s) for p in range(len(PROMPTS)) for s in range(SAMPLES)]
MAX_TOKENS = 40
EOS = set(range(0, 180, 29))
LAYERS = (1, 2, 4)
#: So that something happens within a few rows.
LIVELY = {
    "threshold_warmup": 3,
    "threshold_k": 0.3,
    "recursion_min_growth": 0.0,
    "recursion_max_ratio": 4,
    "steering_patience": 2,
    "steering_probability": 0.7,
    "steering_cooldown": 3,
    "steering_min_cosine": -1,
    "steering_bank": 3,
}
CASES: dict[str, dict[str, Any]] = {
    "norm": {"recursion": "norm"},
    "norm, mixed passes": {
        "recursion": "norm",
        "recursion_max_passes": 4,
        "recursion_alpha": 0.6,
    },
    "always": {"recursion": "always"},
    "random recursion": {"recursion": "random"},
    "entropy": {"recursion": "entropy", "recursion_entropy": 3.5, "recursion_max_passes": 3},
    "entropy, mixed": {
        "recursion": "entropy",
        "recursion_entropy": 3.0,
        "recursion_top_layers": 3,
        "recursion_alpha": 0.5,
    },
    "blend": {"steering": "norm"},
    "add": {"steering": "norm", "steering_mode": "add", "steering_low": "q0.8"},
    "random moments": {"steering": "random", "steering_source": "shuffled"},
    "gaussian": {"steering": "norm", "steering_source": "gaussian"},
    "scale": {"suppression": "peaks"},
    "clamp": {"suppression": "peaks", "suppression_mode": "clamp"},
    "angle": {"suppression": "peaks", "suppression_mode": "angle"},
    "norm only": {"suppression": "peaks", "suppression_mode": "norm"},
    "random suppression": {"suppression": "random"},
    "shuffled suppression": {"suppression": "shuffled"},
    "shuffled, angle": {"suppression": "shuffled", "suppression_mode": "angle"},
    "the prompt counts": {"suppression": "peaks", "threshold_prompt": True},
    "fixed": {
        "recursion": "norm",
        "threshold": "fixed",
        "threshold_values": "1:7+2:8+4:9",
    },
    "all": {"recursion": "norm", "steering": "norm", "suppression": "peaks"},
    "all random": {"recursion": "random", "steering": "random", "suppression": "random"},
}
FAMILIES = "llama qwen3-moe mistral deepseek-v3".split()


def load_reference() -> ModuleType:
    path = Path(__file__).parents[1] / "interventions" / "reference.py"
    spec = importlib.util.spec_from_file_location("interventions_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = load_reference()


class ListCache:
    """Keys and values of one response: a list a layer, a tensor a position."""

    def __init__(self, windows: Sequence[int | None]) -> None:
        self.windows = windows
        self.states: list[list[tuple[Tensor, Tensor]]] = [[] for _ in windows]
        self.frozen = False

    def update(
        self, key: Tensor, value: Tensor, layer: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.frozen:
            self.states[layer].append((key, value))
        seen = self.states[layer][-(self.windows[layer] or 0) :]
        return torch.cat([k for k, _ in seen], 2), torch.cat([v for _, v in seen], 2)

    def get_seq_length(self, layer: int = 0) -> int:
        return len(self.states[layer])


class SlowDecoder:
    """A model of Llama's build, run by hand."""

    def __init__(self, model: Any, settings: dict[str, Any], key: int, prompt: list[int]) -> None:
        self.base, self.head = model.model, model.lm_head
        self.n = len(self.base.layers)
        sliding = getattr(model.config, "sliding_window", None)
        self.cache = ListCache([sliding] * self.n)
        self.settings = settings
        self.prompt = prompt
        self.acting = reference.ReferenceResponse(settings, key, len(prompt), layers=LAYERS)
        self.position = -1
        top = settings["recursion_top_layers"] or max(1, self.n // 4)
        self.top = range(self.n - top, self.n)

    def layer(self, index: int, hidden: Tensor) -> Tensor:
        ids = torch.tensor([[self.position]])
        output = self.base.layers[index](
            hidden[None, None],
            position_embeddings=self.base.rotary_emb(hidden[None, None], position_ids=ids),
            position_ids=ids,
            use_cache=True,
            **{cache_argument(type(self.base.layers[index]).forward): self.cache},
        )
        return (output if isinstance(output, Tensor) else output[0])[0, 0]

    def again(self, layers: Sequence[int], hidden: Any) -> Any:
        self.cache.frozen = True
        states = torch.from_numpy(hidden)
        for index in layers:
            states = self.layer(index, states)
        self.cache.frozen = False
        return states.numpy()

    def log_probs(self, hidden: Any) -> Any:
        return self.head(self.base.norm(torch.from_numpy(hidden))).log_softmax(-1).numpy()

    def token(self, token: int) -> Tensor:
        """Logits after one more token."""
        self.position += 1
        row = self.position - len(self.prompt) + 1
        hidden = self.base.embed_tokens(torch.tensor(token))
        for index in range(self.n):
            hidden = self.layer(index, hidden)
            if index in LAYERS:
                hidden = self.edited(index, row, hidden)
            if index == self.n - 1 and row >= 0:
                changed = self.acting.top(
                    index,
                    row,
                    hidden.numpy(),
                    lambda h: self.again(self.top, h),
                    self.log_probs,
                )
                hidden = torch.from_numpy(changed)
        return self.head(self.base.norm(hidden))

    def edited(self, index: int, row: int, hidden: Tensor) -> Tensor:
        if row < 0:
            self.acting.context_row(index, hidden.numpy())
            return hidden
        changed = self.acting.step(
            index, row, hidden.numpy(), lambda h, index=index: self.again([index], h)
        )
        return torch.from_numpy(changed)

    @torch.no_grad()
    def respond(self, numbers: np.ndarray | None) -> list[int]:
        for token in self.prompt:
            logits = self.token(token)
        tokens: list[int] = []
        while True:
            p = logits.softmax(-1)
            if numbers is None:
                tokens.append(int(p.argmax()))
            else:
                u = numbers[len(tokens)]
                tokens.append(next(i for i, c in enumerate(p.cumsum(-1).tolist()) if u < c))
            if tokens[-1] in EOS or len(tokens) == MAX_TOKENS:
                return tokens
            logits = self.token(tokens[-1])


def make_hooks(model: Any, args: dict[str, Any]) -> LayerHooks:
    config = read_interventions(LIVELY | args)
    values = config.threshold.threshold_values
    run = InterventionRun(config, LAYERS, values.of_layers(LAYERS) if values else None)
    return LayerHooks(run, list(find_decoder_layers(model)), model)


def run(
    model: Any,
    args: dict[str, Any] | None,
    order: Sequence[tuple[int, int]] = ALL,
    greedy: bool = False,
    max_rows: int | None = None,
    norms: ResidualNorms | None = None,
) -> dict[tuple[int, int], FinishedResponse]:
    prompts = list(dict.fromkeys(p for p, _ in order))
    width = max(len(PROMPTS[p]) for p in prompts)
    ids = torch.tensor([[0] * (width - len(PROMPTS[p])) + PROMPTS[p] for p in prompts])
    mask = torch.tensor([[0] * (width - len(PROMPTS[p])) + [1] * len(PROMPTS[p]) for p in prompts])
    wanted = [
        ResponseSpec(
            prompts.index(p),
            None if greedy else uniform_draws(5, str(p), s, MAX_TOKENS),
            None if args is None else Response(stream_key(5, str(p), s), len(PROMPTS[p])),
        )
        for p, s in order
    ]
    found: list[tuple[int, FinishedResponse]] = []
    rule = EndRule(EOS, [], MAX_TOKENS, str)
    hooks = None if args is None else make_hooks(model, args)
    loop = DecodeLoop(wanted, rule, found.extend, norms, max_rows, hooks)
    model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=MAX_TOKENS,
        do_sample=not greedy,
        top_k=0,
        pad_token_id=0,
        custom_generate=loop,
    )
    return {order[index]: response for index, response in found}


@pytest.fixture(scope="module")
def models(tiny_model: Callable[..., Any]) -> Callable[[str], Any]:
    made: dict[str, Any] = {}

    def get(family: str) -> Any:
        if family not in made:
            made[family] = tiny_model(family).double()
            made[family].config._experts_implementation = "eager"
        return made[family]

    return get


def check_against_slow(model: Any, args: dict[str, Any], greedy: bool = False) -> int:
    """The number of edits, which had better not be 0."""
    settings = read_interventions(LIVELY | args).as_dict()
    edits = 0
    order = [(p, 0) for p in range(len(PROMPTS))] if greedy else ALL
    for (p, s), response in run(model, args, order, greedy).items():
        slow = SlowDecoder(model, settings, reference.key_of(5, str(p), s), PROMPTS[p])
        numbers = None if greedy else uniform_draws(5, str(p), s, MAX_TOKENS)
        assert response.tokens == slow.respond(numbers)
        report = response.report
        assert report is not None
        expected = sorted((row, layer, kind) for row, layer, kind, *_ in slow.acting.events)
        assert sorted((e.row, e.layer, e.kind) for e in report.events) == expected
        values = {(row, layer, kind): value for row, layer, kind, value, _ in slow.acting.events}
        for event in report.events:
            assert event.value == pytest.approx(
                values[event.row, event.layer, event.kind], rel=1e-5
            )
        for layer, counts in slow.acting.counters.items():
            slow.acting.finish(layer)
            found = {name: number for name, number in report.counters[layer].items() if number}
            wanted = {name: number for name, number in counts.items() if number}
            # sums of how much states changed are float32's
            assert found == pytest.approx(wanted, rel=1e-5)
            sums = ("_change", "_dose", "_growth")
            assert {n: c for n, c in found.items() if not n.endswith(sums)} == {
                n: c for n, c in wanted.items() if not n.endswith(sums)
            }
        edits += len(expected)
    return edits


@pytest.mark.parametrize("case", CASES)
def test_every_technique(case: str, models: Callable[[str], Any]) -> None:
    assert check_against_slow(models("llama"), CASES[case]) > 0


@pytest.mark.parametrize("case", ["all", "entropy"])
@pytest.mark.parametrize("family", FAMILIES[1:])
def test_other_families(family: str, case: str, models: Callable[[str], Any]) -> None:
    assert check_against_slow(models(family), CASES[case]) > 0


def test_greedy(models: Callable[[str], Any]) -> None:
    assert check_against_slow(models("llama"), CASES["all"], greedy=True) > 0


class TestIndependence:
    """A response does not depend on its batch, bar scope pooled."""

    @pytest.fixture
    def together(self, models: Callable[[str], Any]) -> dict[tuple[int, int], FinishedResponse]:
        return run(models("mistral"), CASES["all random"])

    @pytest.mark.parametrize(
        ("order", "max_rows"),
        [(ALL, 1), (ALL, 4), (ALL[::-1], None), ([(1, 1)], None), ([(2, 0), (0, 1)], None)],
    )
    def test_of_the_batch(
        self,
        order: list[tuple[int, int]],
        max_rows: int | None,
        together: dict[tuple[int, int], FinishedResponse],
        models: Callable[[str], Any],
    ) -> None:
        found = run(models("mistral"), CASES["all random"], order, max_rows=max_rows)
        for key, response in found.items():
            assert response.tokens == together[key].tokens
            mine, theirs = response.report, together[key].report
            assert mine is not None
            assert theirs is not None
            for layer, counters in mine.counters.items():
                assert counters == pytest.approx(theirs.counters[layer], rel=1e-5)

    def test_pooled_depends_on_it(self, models: Callable[[str], Any]) -> None:
        pooled = CASES["all"] | {"threshold_scope": "pooled"}
        together = run(models("llama"), pooled)
        alone = run(models("llama"), pooled, [ALL[-1]])
        mine, theirs = alone[ALL[-1]].report, together[ALL[-1]].report
        assert mine is not None
        assert theirs is not None
        assert mine.counters != theirs.counters


@pytest.mark.parametrize(
    "args",
    [
        {"recursion": "always", "recursion_alpha": 0},
        {"steering": "norm", "steering_strength": 0},
        {"suppression": "peaks", "suppression_factor": 1},
    ],
    ids=str,
)
def test_without_effect_is_off(args: dict[str, Any], models: Callable[[str], Any]) -> None:
    off, found = run(models("llama"), None), run(models("llama"), args)
    done = 0.0
    for key, response in found.items():
        assert response.tokens == off[key].tokens
        assert response.report is not None
        for counts in response.report.counters.values():
            done += counts["gates_opened"] + counts["injections"] + counts["suppressed"]
    assert done > 0


def test_recorded_norms_are_the_layers_own(models: Callable[[str], Any]) -> None:
    """What a layer gave before it was edited: the event of a suppressed row says the same."""
    model = models("llama")
    layers = find_decoder_layers(model)
    norms = ResidualNorms([layers[i] for i in LAYERS])
    checked = 0
    for response in run(model, CASES["scale"], norms=norms).values():
        assert response.rows is not None
        assert response.report is not None
        for event in response.report.events:
            expected = response.rows.norms[event.row, LAYERS.index(event.layer)]
            assert event.value == pytest.approx(expected, rel=1e-6)
            threshold = json.loads(event.detail or "")["threshold"]
            assert expected > threshold
            checked += 1
    assert checked > 0


class TestSecondPass:
    @pytest.mark.parametrize("family", "gpt2 gpt-neox ctrl gemma2 gemma3 gpt-oss phi3 glm4".split())
    def test_families(self, family: str, tiny_model: Callable[..., Any]) -> None:
        model = tiny_model(family)
        layers = dict(enumerate(find_decoder_layers(model)))
        check_rerun(model, layers, scored=True)

    @pytest.mark.parametrize(
        "family", "llama qwen3-moe gemma2 gpt2 gpt-neox granite deepseek-v3 gpt-oss".split()
    )
    def test_the_head_gives_the_models_logits(
        self, family: str, tiny_model: Callable[..., Any]
    ) -> None:
        model = tiny_model(family)
        layers = list(find_decoder_layers(model))
        head, seen = OutputHead(model, layers), []
        layers[-1].register_forward_hook(
            lambda module, args, output: seen.append(
                output if isinstance(output, Tensor) else output[0]
            )
        )
        with torch.no_grad():
            logits = model(torch.tensor([[5, 6, 7], [9, 8, 7]])).logits[:, -1]
            torch.testing.assert_close(head.logits(seen[0][:, -1]), logits)

    def test_the_cache_is_bit_for_bit_what_it_was(self, models: Callable[[str], Any]) -> None:
        """A run whose passes are all refused leaves every key and value as a plain one does."""
        caches = []
        for args in (None, {"recursion": "always", "recursion_min_growth": 1e9}):
            model = models("mistral")
            held: list[Any] = []
            hook = model.register_forward_hook(
                lambda module, a, output, held=held: held.append(output[GENERATE_CACHE])
            )
            run(model, args, ALL, max_rows=2)
            hook.remove()
            caches.append([(layer.keys, layer.values) for c in held for layer in c.layers])
        for (keys, values), (again_keys, again_values) in zip(*caches, strict=True):
            assert torch.equal(keys, again_keys)
            assert torch.equal(values, again_values)

    def test_linear_attention_is_refused(self, tiny_model: Callable[..., Any]) -> None:
        model = tiny_model("qwen3-next")
        layers = dict(enumerate(find_decoder_layers(model)))
        with pytest.raises(ConfigError, match=r"layer 0 .*linear attention.*can: 3\."):
            check_rerun(model, layers)
        check_rerun(model, {3: layers[3]})

    def test_a_layer_that_answers_otherwise_is_refused(self, models: Callable[[str], Any]) -> None:
        model = models("llama")
        layer = find_decoder_layers(model)[2]
        forward, calls = layer.forward, [0]

        def changing(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            return forward(*args, **kwargs) * calls[0]

        layer.forward = changing
        with pytest.raises(ConfigError, match="on the same input its output is another one"):
            check_rerun(model, {2: layer})
        layer.forward = forward


@pytest.mark.parametrize(
    "case",
    ["all", "always", "entropy", "angle", "random suppression", "shuffled suppression"],
)
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_scored_texts(
    family: str,
    case: str,
    models: Callable[[str], Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
) -> None:
    """intervene_on=all: the slow decoder is fed the continuation, and scores it."""
    from l2_harness.models.hf.l2hf import L2HF
    from l2_harness.norms import hash_prompt

    model = models(family)
    args = {"intervene_on": "all", **LIVELY, **CASES[case], "threshold_k": 0.0}
    context = "Ada has 12 shells . Ben has 7 more than Ada . "
    endings = ["How many shells does Ben have now ? " + context * 2, "Ben has 9 .", "Ben"]
    found = {}
    for batch_size in (1, 3):
        lm = L2HF(
            model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            layers="+".join(map(str, LAYERS)),
            seed=5,
            **args,
        )
        requests = instances("loglikelihood", [(context, ending) for ending in endings])
        found[batch_size] = [score for score, _ in lm.loglikelihood(requests)]
    np.testing.assert_allclose(found[1], found[3], rtol=1e-9)
    edits = 0
    for ending, score in zip(endings, found[1], strict=True):
        # lm-eval moves the blank between the two to the continuation
        head = tokenizer(context.rstrip()).input_ids
        whole = tokenizer(context + ending).input_ids
        tail = whole[len(head) :]
        key = reference.key_of(5, hash_prompt(str(whole[:-1])), 0)
        settings = read_interventions(args).as_dict()
        slow = SlowDecoder(model, settings, key, head)
        slow.acting = reference.ReferenceResponse(
            settings, key, len(head), scored=True, layers=LAYERS
        )
        with torch.no_grad():
            logits = [slow.token(token) for token in whole[:-1]][-len(tail) :]
        steps = zip(logits, tail, strict=True)
        expected = sum(step.log_softmax(-1)[token].item() for step, token in steps)
        assert score == pytest.approx(expected, rel=1e-6)
        edits += len(slow.acting.events)
    assert edits > 0


def test_hooks_do_nothing_outside_a_pass(models: Callable[[str], Any]) -> None:
    """A forward pass that belongs to no batch leaves the model's output and the state alone."""
    model = models("llama")
    ids = torch.tensor([PROMPTS[1]])
    mask, other = torch.ones_like(ids), torch.tensor([PROMPTS[0]])
    hooks = make_hooks(model, {"suppression": "peaks", "recursion": "always"})
    with torch.no_grad():
        plain = model(other).logits
        with hooks.installed(1):
            assert torch.equal(model(other).logits, plain)
            with hooks.prefilling():
                model(ids)
            hooks.begin([0], [Response(stream_key(5, "1", 0), ids.shape[1])], [0], mask)
            assert torch.equal(model(other).logits, plain)
            report = hooks.finish(0)()
            assert torch.equal(model(other).logits, plain)
    assert {counts["rows"] for counts in report.counters.values()} == {1}
    assert not report.events
