"""The responses that a call of generate_until wants, in batches that fit into memory."""

from __future__ import annotations

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from l2_harness.models.requests import RequestKey

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class WantedResponse:
    """One response.

    Attributes:
        request: position of the request among those of the call.
        sample: which of the request's samples.
        stream: which random stream of the prompt it draws from: samples of lm-eval's repeats
            of one request have different ones.
        key: what the response is recorded under; None where lm-eval asks only to keep its
            processes even.
    """

    request: int
    sample: int
    stream: int
    key: RequestKey | None


@dataclass(eq=False)
class PromptJob:
    """A prompt and the responses to it that are still wanted."""

    prompt: str
    n_tokens: int
    wanted: list[WantedResponse]


def run_in_batches(
    jobs: Iterable[PromptJob], max_rows: int, run: Callable[[list[PromptJob], int], None]
) -> int:
    """Run all jobs, a batch at a time; where one does not fit into memory, half its size.

    Args:
        jobs: in the order in which they are to run.
        max_rows: responses side by side.
        run: gets a batch of jobs and ``max_rows``; takes each response out of its job's
            ``wanted`` when it is complete, so that it is not run again.

    Returns:
        The size at which everything did fit.

    Raises:
        MemoryError: one response alone does not fit.
    """
    pending = deque(jobs)
    while pending:
        batch = _next_batch(pending, max_rows)
        error = _out_of_memory(run, batch, max_rows)
        if error is not None:
            max_rows = _halved(batch, max_rows, error)
            error = None
            # what the failed pass held is freed only now that its traceback is gone
            gc.collect()
            clear_device_cache()
        pending.extendleft(job for job in reversed(batch) if job.wanted)
    return max_rows


def _next_batch(pending: deque[PromptJob], max_rows: int) -> list[PromptJob]:
    """As many prompts as have ``max_rows`` responses together, and at least one."""
    batch = [pending.popleft()]
    rows = len(batch[0].wanted)
    while pending and rows + len(pending[0].wanted) <= max_rows:
        batch.append(pending.popleft())
        rows += len(batch[-1].wanted)
    return batch


def _out_of_memory(
    run: Callable[[list[PromptJob], int], None], batch: list[PromptJob], max_rows: int
) -> str | None:
    """Run a batch; what was said where it did not fit into memory."""
    try:
        run(batch, max_rows)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not should_reduce_batch_size(error):
            raise
        return str(error)
    return None


def _halved(batch: Sequence[PromptJob], max_rows: int, error: str) -> int:
    rows = min(max_rows, sum(len(job.wanted) for job in batch))
    if rows <= 1:
        raise MemoryError(
            f"A single response to a prompt of {batch[0].n_tokens} tokens does not fit into "
            "memory. Pass a smaller max_gen_toks or max_length, or a narrower dtype. "
            f"What the allocator said: {error}"
        )
    logger.warning("out of memory with %d responses side by side: now %d", rows, rows // 2)
    return rows // 2
