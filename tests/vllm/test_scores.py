"""Scores of given texts, their rows, and what techniques do to them, against those of ``l2hf``."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)

from l2_harness.config import ConfigError
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.models.vllm.l2vllm import L2VLLM
from l2_harness.norms import read_traces

#: vLLM's class leaves two positions of the context free in a rolling window.
ENGINE = {"dtype": "float32", "max_model_len": 202, "enforce_eager": True}
ACTING = {"intervene_on": "all", "threshold_warmup": 4, "recursion_min_growth": 0.0}


def scored(cls: Any, texts: list[str], instances: Any, folder: Path, **args: Any) -> Any:
    lm = cls("demo", record="tokens", trace_dir=str(folder), layers="all", **args)
    pairs = [(text, (" 7 plus 5 is 12", "\n3")[i % 2]) for i, text in enumerate(texts)]
    # the second continuation differs from the first in its last token only
    pairs += [(texts[0], " 7 plus 5 is 13")]
    scores = lm.loglikelihood(instances("loglikelihood", pairs), disable_tqdm=True)
    long = [(text * (1 + i),) for i, text in enumerate(texts[:4])]
    rolling = lm.loglikelihood_rolling(instances("loglikelihood_rolling", long), disable_tqdm=True)
    again = lm.loglikelihood(instances("loglikelihood", pairs), disable_tqdm=True)
    assert again == scores, "what was recorded is taken from there"
    order = ["request_type", "doc_id", "window"]
    traces = read_traces(folder).sort_values(order).reset_index(drop=True)
    return scores, rolling, traces, lm.get_model_info()["l2"]


@pytest.mark.parametrize(
    "args",
    [{}, {"suppression": "peaks", **ACTING}, {"recursion": "norm", **ACTING}],
    ids=["plain", "suppression", "recursion"],
)
def test_scores(
    args: dict[str, Any],
    demo_prompts: Callable[[int], list[str]],
    instances: Callable[..., Any],
    tmp_path: Path,
    pool: Any,
) -> None:
    texts = demo_prompts(9)
    theirs = scored(
        L2HF, texts, instances, tmp_path / "hf", device="cpu", batch_size=4, max_length=200,
        dtype="float32", **args,
    )  # fmt: skip
    ours = scored(L2VLLM, texts, instances, tmp_path / "vllm", **ENGINE, **args)
    for (a, greedy_a), (b, greedy_b) in zip(ours[0], theirs[0], strict=True):
        assert (a, greedy_a) == (pytest.approx(b, abs=1e-3), greedy_b)
    assert ours[1] == pytest.approx(theirs[1], abs=1e-2)
    loglikelihood = theirs[2].request_type == "loglikelihood"
    # windows of a long text overlap in another way
    a, b = (traces[loglikelihood] for traces in (ours[2], theirs[2]))
    assert list(a.prompt_tokens) == list(b.prompt_tokens)
    for name in ("norms", "logprob", "entropy", "self_certainty"):
        for x, y in zip(a[name], b[name], strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=2e-4)
    if args:
        found, expected = (side[3]["interventions"]["all_layers"] for side in (ours, theirs))
        assert found == pytest.approx(expected, rel=1e-3)
        assert found["suppressed"] or found["passes_accepted"]


def test_edits_that_are_handed_on_need_rows_one_by_one(
    demo_prompts: Callable[[int], list[str]], instances: Callable[..., Any], pool: Any
) -> None:
    lm = L2VLLM("demo", suppression="shuffled", intervene_on="all", **ENGINE)
    requests = instances("loglikelihood", [(demo_prompts(1)[0], " 3")])
    with pytest.raises(ConfigError, match="one pass"):
        lm.loglikelihood(requests, disable_tqdm=True)
