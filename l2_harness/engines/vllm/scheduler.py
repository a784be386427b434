"""vLLM's scheduler where states are changed: a preempted request comes again as a whole.

Its rows are replayed from the first on, so that what was done to them is done again. Blocks that
it left in the prefix cache would let it skip rows; prompts that are new still use that cache.
"""

from __future__ import annotations

from typing import Any

from vllm.v1.core.sched.scheduler import Scheduler


class ReplayingScheduler(Scheduler):
    """The default scheduler, but for what a preempted request may skip."""

    def _preempt_request(self, request: Any, *args: Any, **kwargs: Any) -> None:
        request.skip_reading_prefix_cache = True
        super()._preempt_request(request, *args, **kwargs)
