"""The loop against a slow one written from its definition: one response, no cache, every pass
over all of it, in float64.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LogitsProcessorList

from l2_harness.engines.decoder_layers import find_decoder_layers
from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.hf.decode_loop import DecodeLoop
from l2_harness.engines.hf.prefill import PromptGroup, ResponseSpec
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.engines.response_end import EndRule
from l2_harness.random_numbers import uniform_draws

PROMPTS = [list(range(5, 5 + n)) for n in (17, 3, 11, 24, 1)]
SAMPLES = 3
MAX_TOKENS = 14
#: Every seventh token ends a response, so that rows leave the batch at any time.
EOS = set(range(0, 180, 7))
#: Plain, sliding-window, latent and linear attention; learned positions; other argument names.
FAMILIES = "llama qwen3 mistral gemma3 gpt2 gpt-neox deepseek-v3 qwen3-next".split()


def text(ids: Sequence[int]) -> str:
    return "".join(f"<{i}>" for i in ids)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tiny_model: Callable[..., Any]) -> Any:
    made = tiny_model(request.param).double()
    made.config._experts_implementation = "eager"  # the grouped product has no float64
    return made


def uniforms(prompt: int, sample: int) -> np.ndarray:
    return uniform_draws(5, str(prompt), sample, MAX_TOKENS)


def wanted(order: Sequence[tuple[int, int]], greedy: bool) -> list[ResponseSpec]:
    """Specs of (prompt, sample), with prompts numbered as they appear."""
    rows = {p: row for row, p in enumerate(dict.fromkeys(p for p, _ in order))}
    return [ResponseSpec(rows[p], None if greedy else uniforms(p, s)) for p, s in order]


def run(
    model: Any,
    order: Sequence[tuple[int, int]],
    greedy: bool,
    max_rows: int | None = None,
    stop: Sequence[str] = (),
    record: bool = True,
    later: Sequence[Sequence[tuple[int, int]]] = (),
    **settings: Any,
) -> dict[tuple[int, int], FinishedResponse]:
    """Decode (prompt, sample) of ``order``, then of further groups as rows become free."""
    norms = ResidualNorms(list(find_decoder_layers(model))) if record else None
    found: list[tuple[int, FinishedResponse]] = []
    rule = EndRule(EOS, stop, MAX_TOKENS, text)
    groups = iter([group(model, one, greedy, settings) for one in (order, *later)])
    first = next(groups)
    rows = max_rows or len(order)
    loop = DecodeLoop(
        first.wanted, rule, found.extend, norms, rows, more=lambda free: next(groups, None)
    )
    first.generate(loop)
    keys = [key for one in (order, *later) for key in one]
    return {keys[index]: response for index, response in found}


def group(
    model: Any, order: Sequence[tuple[int, int]], greedy: bool, settings: dict[str, Any]
) -> PromptGroup:
    prompts = [PROMPTS[p] for p in dict.fromkeys(p for p, _ in order)]
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])

    def generate(loop: Callable[..., None]) -> None:
        model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=MAX_TOKENS,
            do_sample=not greedy,
            pad_token_id=0,
            custom_generate=loop,
            **{"top_k": 0, **settings},
        )

    return PromptGroup(wanted(order, greedy), generate)


@torch.no_grad()
def slow(
    model: Any, prompt: Sequence[int], numbers: np.ndarray | None, stop: Sequence[str] = ()
) -> tuple[list[int], str, list[list[float]]]:
    """Tokens, reason and rows of one response."""
    ids, rows, last = list(prompt), [], len(find_decoder_layers(model)) - 1
    states: dict[int, torch.Tensor] = {}
    for number, layer in enumerate(find_decoder_layers(model)):
        layer.register_forward_hook(
            lambda module, args, output, number=number: states.update(
                {number: output if isinstance(output, torch.Tensor) else output[0]}
            )
        )
    for step in range(MAX_TOKENS):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        p = logits.softmax(-1)
        if numbers is None:
            token = int(p.argmax())
        else:
            token = next(i for i, c in enumerate(p.cumsum(-1).tolist()) if numbers[step] < c)
        entropy = -(p * p.log()).sum().item()
        certainty = -(p.log() + np.log(len(p))).mean().item()
        norms = [states[i][0, -1].norm().item() for i in range(last + 1)]
        rows.append([*norms, p[token].log().item(), entropy, certainty])
        ids.append(token)
        response = ids[len(prompt) :]
        if token in EOS:
            return response, "eos", rows
        if any(s in text(response) for s in stop):
            return response, "stop", rows
    return response, "length", rows


ALL = [(p, s) for p in range(len(PROMPTS)) for s in range(SAMPLES)]


@pytest.fixture(scope="module")
def sampled(model: Any) -> dict[tuple[int, int], FinishedResponse]:
    return run(model, ALL, greedy=False)


def test_equals_the_slow_loop(model: Any, sampled: dict[tuple[int, int], FinishedResponse]) -> None:
    assert set(sampled) == set(ALL)
    assert len({len(response.tokens) for response in sampled.values()}) > 2
    slow_model = copy.deepcopy(model)
    for (prompt, sample), response in sampled.items():
        tokens, reason, rows = slow(slow_model, PROMPTS[prompt], uniforms(prompt, sample))
        assert (response.tokens, response.finish_reason) == (tokens, reason)
        assert response.rows is not None
        found = np.column_stack(
            [
                response.rows.norms,
                response.rows.logprob,
                response.rows.entropy,
                response.rows.self_certainty,
            ]
        )
        np.testing.assert_allclose(found, rows, rtol=2e-5, atol=2e-6)


def test_greedy_equals_the_slow_loop(model: Any) -> None:
    slow_model = copy.deepcopy(model)
    stop = ["<11>", "5><"]
    found = run(model, [(p, 0) for p in range(len(PROMPTS))], greedy=True, stop=stop)
    for (prompt, _), response in found.items():
        expected = slow(slow_model, PROMPTS[prompt], None, stop)[:2]
        assert (response.tokens, response.finish_reason) == expected


@pytest.mark.parametrize("max_rows", [1, 2, 7, 32])
def test_rounds_change_nothing(
    model: Any, sampled: dict[tuple[int, int], FinishedResponse], max_rows: int
) -> None:
    """Further samples start from the cache of one prefill, which no earlier round may touch."""
    assert_same(run(model, ALL, greedy=False, max_rows=max_rows), sampled)


@pytest.mark.parametrize("max_rows", [1, 3, 6])
def test_rows_that_are_filled_change_nothing(
    model: Any, sampled: dict[tuple[int, int], FinishedResponse], max_rows: int
) -> None:
    """Shorter and longer prompts join those that run, wherever these have come to."""
    groups = [[(p, s) for s in range(SAMPLES)] for p in (1, 3, 4, 0, 2)]
    found = run(model, groups[0], greedy=False, max_rows=max_rows, later=groups[1:])
    assert_same(found, sampled)


@pytest.mark.parametrize(
    "order",
    [[(3, 2)], [(4, 0), (4, 2), (0, 1)], [(p, 1) for p in (2, 0, 4, 1)], ALL[::-1]],
    ids=["alone", "subset", "shuffled", "reversed"],
)
def test_neighbours_change_nothing(
    model: Any,
    sampled: dict[tuple[int, int], FinishedResponse],
    order: list[tuple[int, int]],
) -> None:
    assert_same(run(model, order, greedy=False), {key: sampled[key] for key in order})


def assert_same(
    found: dict[tuple[int, int], FinishedResponse],
    expected: dict[tuple[int, int], FinishedResponse],
) -> None:
    assert set(found) == set(expected)
    for key, response in found.items():
        assert response.tokens == expected[key].tokens
        assert response.finish_reason == expected[key].finish_reason
        rows, expected_rows = response.rows, expected[key].rows
        assert rows is not None
        assert expected_rows is not None
        np.testing.assert_allclose(rows.norms, expected_rows.norms, rtol=1e-5)


def test_recording_is_optional(
    model: Any, sampled: dict[tuple[int, int], FinishedResponse]
) -> None:
    found = run(model, ALL, greedy=False, record=False)
    assert {key: r.tokens for key, r in found.items()} == {
        key: r.tokens for key, r in sampled.items()
    }
    assert all(response.rows is None for response in found.values())


@pytest.mark.parametrize("greedy", [True, False])
def test_one_response_without_numbers_ends_alone(
    tiny_model: Callable[..., Any], greedy: bool
) -> None:
    """Its prompt has a token whose state overflows; the others are what they are without it."""
    model = tiny_model("llama").double()
    only = PROMPTS[3][-1]
    assert not any(only in prompt for prompt in (*PROMPTS[:3], *PROMPTS[4:]))
    expected = run(model, ALL, greedy)
    model.get_input_embeddings().weight.data[only] = torch.inf
    found = run(model, ALL, greedy)
    for key, response in found.items():
        if key[0] == 3:
            assert (response.broken, response.finish_reason) == (True, "length")
            assert len(response.tokens) == 1
            assert not np.isfinite(response.rows.norms[-1]).any()  # type: ignore[union-attr]
        elif only not in expected[key].tokens:
            assert not response.broken
            assert list(response.tokens) == list(expected[key].tokens)


class TestSettings:
    @pytest.fixture
    def llama(self, tiny_model: Callable[..., Any]) -> Any:
        return tiny_model("llama").double()

    @pytest.mark.parametrize(
        "settings",
        [
            {"repetition_penalty": 1.4},
            {"no_repeat_ngram_size": 2},
            {"min_new_tokens": 6},
            {"top_k": 5, "temperature": 1.7},
            {"top_p": 0.6},
            {"min_p": 0.1},
            {"suppress_tokens": list(range(40, 90))},
            {"prefill_chunk_size": 5},
        ],
        ids=lambda settings: next(iter(settings)),
    )
    def test_processors_know_their_rows(self, llama: Any, settings: dict[str, Any]) -> None:
        """A response is the same alone and among others that end before and after it."""
        together = run(llama, ALL, greedy=False, **settings)
        for key in ALL[::4]:
            assert_same(run(llama, [key], greedy=False, **settings), {key: together[key]})
        if "prefill_chunk_size" not in settings:
            plain = run(llama, ALL, greedy=False)
            assert any(together[k].tokens != plain[k].tokens for k in ALL), "it had no effect"

    @pytest.mark.parametrize(
        "settings",
        [
            {"repetition_penalty": 1.4},
            {"min_new_tokens": 6},
            {"begin_suppress_tokens": list(range(40, 90))},
            {"exponential_decay_length_penalty": (3, 1.5)},
            {"top_k": 5, "temperature": 1.7},
        ],
        ids=lambda settings: next(iter(settings)),
    )
    def test_processors_count_from_their_own_prompts(
        self, llama: Any, settings: dict[str, Any]
    ) -> None:
        groups = [[(p, s) for s in range(SAMPLES)] for p in (1, 3, 4, 0, 2)]
        found = run(llama, groups[0], greedy=False, max_rows=4, later=groups[1:], **settings)
        for key in ALL[::4]:
            assert_same({key: found[key]}, run(llama, [key], greedy=False, **settings))

    def test_free_rows_are_filled(self, llama: Any) -> None:
        """Never more rows than asked for, and fewer steps than in batches of as many."""
        order = [(p, s) for s in range(SAMPLES) for p in range(4)]
        found: dict[tuple[int, int], FinishedResponse] = {}

        def work() -> None:
            later = [[key] for key in order[4:]]
            found.update(run(llama, order[:4], greedy=False, max_rows=4, later=later))

        steps = [rows for rows, width in passes(llama, work) if width == 1]
        further = [len(found[key].tokens) - 1 for key in order]
        assert max(steps) <= 4
        assert sum(steps) == sum(further)
        assert len(steps) < sum(max(further[i : i + 4]) for i in range(0, len(order), 4))

    def test_what_is_complete_is_delivered_before_an_error(self, llama: Any) -> None:
        found: list[tuple[int, FinishedResponse]] = []
        rule = EndRule(EOS, (), MAX_TOKENS, text)
        one = group(llama, [(0, 0), (1, 0), (2, 0)], False, {})

        def fail(free: int) -> PromptGroup:
            del free
            raise torch.OutOfMemoryError("out of memory")

        with pytest.raises(torch.OutOfMemoryError):
            one.generate(DecodeLoop(one.wanted, rule, found.extend, None, 3, more=fail))
        assert 0 < len(found) < 3

    def test_one_prefill_a_prompt(self, llama: Any) -> None:
        rows = passes(llama, lambda: run(llama, ALL, greedy=False, max_rows=4))
        assert rows[0] == (len(PROMPTS), max(map(len, PROMPTS)))
        assert all(width == 1 for _, width in rows[1:])

    def test_ended_rows_are_dropped(self, llama: Any) -> None:
        found: dict[tuple[int, int], FinishedResponse] = {}
        rows = passes(llama, lambda: found.update(run(llama, ALL, greedy=False)))
        lengths = [len(response.tokens) for response in found.values()]
        assert [n for n, _ in rows[1:]] == [
            sum(length > step for length in lengths) for step in range(1, max(lengths))
        ]

    def test_statistics_are_of_the_models_own_distribution(self, llama: Any) -> None:
        """Whatever the warpers make of it."""
        warped = run(llama, ALL, greedy=False, temperature=0.3, top_k=3)
        plain = run(llama, ALL, greedy=False)
        for key in ALL:
            a, b = warped[key].rows, plain[key].rows
            assert a is not None
            assert b is not None
            assert a.entropy[0] == pytest.approx(b.entropy[0])
            assert a.self_certainty[0] == pytest.approx(b.self_certainty[0])

    def test_logits_are_not_kept(self, llama: Any) -> None:
        """What a step leaves behind does not grow with the vocabulary."""
        import gc
        import weakref

        seen: list[weakref.ref[torch.Tensor]] = []
        hook = llama.register_forward_hook(
            lambda module, args, output: seen.append(weakref.ref(output.logits))
        )
        alive: list[int] = []
        processor = LogitsProcessorList([lambda ids, scores: count(scores)])

        def count(scores: torch.Tensor) -> torch.Tensor:
            gc.collect()
            alive.append(sum(ref() is not None for ref in seen))
            return scores

        run(llama, ALL, greedy=False, logits_processor=processor)
        hook.remove()
        assert len(seen) > 5
        assert max(alive) <= 1


def passes(model: Any, work: Callable[[], object]) -> list[tuple[int, ...]]:
    """(rows, positions) of each forward pass."""
    shapes: list[tuple[int, ...]] = []
    hook = model.register_forward_hook(
        lambda module, args, kwargs, output: shapes.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    work()
    hook.remove()
    return shapes
