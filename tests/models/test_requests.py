"""Requests that lm-eval lists again to even out processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from l2_harness.models.hf.l2hf import L2HF
from l2_harness.models.requests import padded_requests, request_keys


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_padding_leaves_no_response(
    repeats: int, padding: int, instances: Callable[..., list[Any]]
) -> None:
    requests = instances("loglikelihood", [("1 +", " 2"), ("3 +", " 4")], repeats)
    listed = [request for request in requests for _ in range(repeats)]
    listed += [requests[-1]] * (repeats * padding)
    assert padded_requests(listed) == requests[-1:] * bool(padding)
    assert sum(key is not None for key in request_keys("loglikelihood", listed)) == 2 * repeats
    lm = L2HF("demo", device="cpu", record="off")
    # as lm-eval's evaluator has it
    answers = lm.loglikelihood(listed, disable_tqdm=True)
    for request, answer in zip(listed, answers, strict=True):
        request.resps.append(answer)
    lm.barrier()
    assert [len(request.resps) for request in requests] == [repeats] * 2
