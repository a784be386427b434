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


class PromptQueue:
    """Jobs that are to run, in order.

    A job that was taken and not put back has to be run; its responses that are complete are no
    longer among its ``wanted``.
    """

    def __init__(self, jobs: Iterable[PromptJob]) -> None:
        self._pending = deque(jobs)
        self._taken: list[PromptJob] = []

    def __bool__(self) -> bool:
        return bool(self._pending)

    def take(self, max_rows: int) -> list[PromptJob]:
        """As many jobs as have ``max_rows`` responses together, and at least one if there is."""
        batch: list[PromptJob] = []
        rows = 0
        while self._pending and (not batch or rows + len(self._pending[0].wanted) <= max_rows):
            batch.append(self._pending.popleft())
            rows += len(batch[-1].wanted)
        self._taken += batch
        return batch

    @property
    def open(self) -> list[PromptJob]:
        """Jobs that were taken and have responses that are not complete."""
        return [job for job in self._taken if job.wanted]

    def put_back(self) -> None:
        """What is open comes next."""
        self._pending.extendleft(reversed(self.open))
        self._taken = []


def run_jobs(
    jobs: Iterable[PromptJob], max_rows: int, run: Callable[[PromptQueue, int], None]
) -> int:
    """Run all jobs; where they do not fit into memory, with half as many rows.

    Args:
        jobs: in the order in which they are to run.
        max_rows: responses side by side.
        run: takes jobs from a queue, some or all, and runs them with ``max_rows``; takes each
            response out of its job's ``wanted`` when it is complete, so that it is not run again.

    Returns:
        The size at which everything did fit.

    Raises:
        MemoryError: one response alone does not fit.
    """
    queue = PromptQueue(jobs)
    while queue:
        error = _out_of_memory(run, queue, max_rows)
        if error is not None:
            max_rows = _halved(queue.open, max_rows, error)
            error = None
            # what the failed pass held is freed only now that its traceback is gone
            gc.collect()
            clear_device_cache()
        queue.put_back()
    return max_rows


def _out_of_memory(
    run: Callable[[PromptQueue, int], None], queue: PromptQueue, max_rows: int
) -> str | None:
    """Run jobs; what was said where they did not fit into memory."""
    try:
        run(queue, max_rows)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not should_reduce_batch_size(error):
            raise
        return str(error)
    return None


def _halved(jobs: Sequence[PromptJob], max_rows: int, error: str) -> int:
    rows = min(max_rows, sum(len(job.wanted) for job in jobs))
    if rows <= 1:
        raise MemoryError(
            f"A single response to a prompt of {jobs[0].n_tokens} tokens does not fit into "
            "memory. Pass a smaller max_gen_toks or max_length, or a narrower dtype. "
            f"What the allocator said: {error}"
        )
    logger.warning("out of memory with %d responses side by side: now %d", rows, rows // 2)
    return rows // 2
