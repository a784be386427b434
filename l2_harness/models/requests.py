"""Which lm-eval request a response answers: the key that joins traces to sample files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lm_eval.api.instance import Instance

from l2_harness.norms import ResumeKey, hash_prompt, hash_request


@dataclass(frozen=True)
class RequestKey:
    """Identity of one response before it exists; ``doc_id`` counts over the whole data set."""

    resume: ResumeKey
    prompt_hash: str

    def with_window(self, window: int) -> RequestKey:
        """The same request's ``window``-th stretch (texts longer than the context)."""
        return replace(self, resume=self.resume._replace(window=window))

    def with_sample(self, sample: int) -> RequestKey:
        """The same request's ``sample``-th response."""
        return replace(self, resume=self.resume._replace(sample=sample))


def request_keys(request_type: str, requests: Sequence[Instance]) -> list[RequestKey | None]:
    """A key for each request, None for one that lm-eval added to even out processes.

    lm-eval lists an Instance once a repeat, and lists the last one again where another
    process has more requests: what exceeds ``repeats`` is such padding.
    """
    keys: list[RequestKey | None] = []
    for request, repeat in zip(requests, repeat_numbers(requests), strict=True):
        padding = repeat >= (request.repeats or 1)
        keys.append(None if padding else _key(request_type, request, repeat))
    return keys


def padded_requests(requests: Sequence[Instance]) -> list[Instance]:
    """Those that lm-eval listed more often than they repeat, to even out processes."""
    repeats = zip(requests, repeat_numbers(requests), strict=True)
    return [request for request, repeat in repeats if repeat == (request.repeats or 1)]


def repeat_numbers(requests: Sequence[Instance]) -> list[int]:
    """How often each Instance was listed before."""
    seen: Counter[int] = Counter()
    numbers = []
    for request in requests:
        numbers.append(seen[id(request)])
        seen[id(request)] += 1
    return numbers


def _key(request_type: str, request: Instance, repeat: int) -> RequestKey:
    prompt = request.args[0]
    resume = ResumeKey(
        task=request.task_name or "unnamed",
        request_type=request_type,
        doc_id=request.doc_id or 0,
        idx=request.idx,
        window=0,
        repeat=repeat,
        sample=0,
        request_hash=hash_request(request_type, prompt, request.args[1:]),
    )
    return RequestKey(resume, hash_prompt(prompt))
