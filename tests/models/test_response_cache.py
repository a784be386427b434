"""``--use_cache``: lm-eval's own store, and what must neither land in it nor come from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.model import CachingLM
from lm_eval.models.huggingface import HFLM

from l2_harness.models.hf.l2hf import L2HF
from l2_harness.paths import demo_model_path

OPEN = {"until": [], "max_gen_toks": 10}
#: Settings that make a greedy response another one.
OTHERS: list[dict[str, Any]] = [
    {"suppression": "peaks", "threshold_k": 0.0, "threshold_warmup": 1},
    {"suppression": "peaks", "threshold_k": 0.5, "threshold_warmup": 1},
]


@pytest.fixture
def requests_(instances: Callable[..., list[Any]], prompts: list[str]) -> list[Any]:
    return instances("generate_until", [(prompt, OPEN) for prompt in prompts[:2]])


def cached(folder: Path, **args: Any) -> tuple[Any, list[int]]:
    """A model behind the cache, and a list that grows by each forward pass."""
    lm = L2HF("demo", device="cpu", batch_size=4, **{"record": "off", "seed": 1, **args})
    ran: list[int] = []
    lm.model.register_forward_pre_hook(lambda *a: ran.append(1))
    return CachingLM(lm, str(folder / "cache.db")), ran


def stock(folder: Path) -> Any:
    hf = HFLM(str(demo_model_path()), device="cpu", batch_size=4)
    return CachingLM(hf, str(folder / "cache.db"))


def three(requests: list[Any]) -> list[Any]:
    for request in requests:
        request.repeats = 3
    return [request for request in requests for _ in range(3)]


def test_a_plain_run_and_hf_answer_each_other(requests_: list[Any], tmp_path: Path) -> None:
    expected = stock(tmp_path).generate_until(requests_)
    lm, ran = cached(tmp_path)
    assert lm.generate_until(requests_) == expected
    assert not ran


def test_what_model_args_change_has_a_place_of_its_own(
    requests_: list[Any], tmp_path: Path
) -> None:
    plain = cached(tmp_path / "alone")[0].generate_until(requests_)
    found = []
    for args in OTHERS:
        lm, ran = cached(tmp_path, **args)
        found.append(lm.generate_until(requests_))
        assert ran, "another run's responses came back"
    assert found[0] != plain
    assert stock(tmp_path).generate_until(requests_) == plain
    for args, expected in zip(OTHERS, found, strict=True):
        lm, ran = cached(tmp_path, **args)
        assert lm.generate_until(requests_) == expected
        assert not ran


@pytest.mark.parametrize(
    ("args", "gen_kwargs"),
    [
        ({"temperature": 1.0}, OPEN),
        ({}, {**OPEN, "temperature": 1.0}),
        ({"temperature": 1.0, "num_samples": 3, "selection": "longest", "record": "summary"}, OPEN),
    ],
    ids=str,
)
def test_drawn_responses_are_drawn_each_time(
    args: dict[str, Any],
    gen_kwargs: dict[str, Any],
    instances: Callable[..., list[Any]],
    prompts: list[str],
    tmp_path: Path,
) -> None:
    """lm-eval's guard sees ``do_sample`` in the request alone."""
    requests = three(instances("generate_until", [(p, gen_kwargs) for p in prompts[:2]]))
    texts = []
    for seed in (1, 1, 2):
        lm, ran = cached(tmp_path, seed=seed, **args)
        texts.append(lm.generate_until(requests))
        assert ran
        assert lm.generate_until(requests) == texts[-1]  # the same object asked again
    assert texts[0] == texts[1] != texts[2]
    assert len(set(texts[0][:3])) > 1
    greedy = [r for r in requests[::3] if "temperature" not in r.args[1]]
    lm, ran = cached(tmp_path)
    lm.generate_until(greedy)
    assert bool(ran) == bool(greedy)


def test_scores_are_found_again(
    instances: Callable[..., list[Any]], prompts: list[str], tmp_path: Path
) -> None:
    requests = instances("loglikelihood", [(prompt, " 12") for prompt in prompts[:3]])
    acting = {**OTHERS[0], "intervene_on": "all"}
    expected = stock(tmp_path).loglikelihood(requests)
    lm, ran = cached(tmp_path, **acting)
    edited = lm.loglikelihood(requests)
    assert ran
    assert edited != expected
    lm, ran = cached(tmp_path, **acting)
    assert lm.loglikelihood(requests) == edited
    assert not ran
    assert stock(tmp_path).loglikelihood(requests) == expected


def test_what_has_no_numbers_is_met_again(
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
    tmp_path: Path,
) -> None:
    scored = instances("loglikelihood", [(prompt, " shells") for prompt in [*prompts[:2], "Lena"]])
    asked = instances("generate_until", [(one.args[0], OPEN) for one in scored])
    (only,) = tokenizer("Lena")["input_ids"]
    model, ran = tiny_model("llama"), []
    model.get_input_embeddings().weight.data[only] = math.nan
    found = []
    for _ in range(2):
        lm = L2HF(model, tokenizer=tokenizer, batch_size=4)
        store = CachingLM(lm, str(tmp_path / "cache.db"))
        found.append((store.loglikelihood(scored), store.generate_until(asked)))
        assert lm.get_model_info()["l2"]["not_finite"] == 2
        ran.append(lm.get_model_info()["l2"]["responses"])
    assert found[0] == found[1]
    assert found[0][0][2] == (-math.inf, False)
    assert ran == [4, 0]
