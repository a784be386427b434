"""What random controls match: the ``matched_to`` argument."""

from __future__ import annotations

from dataclasses import dataclass

from l2_harness.config.options import option, text


@dataclass(frozen=True)
class MatchingConfig:
    """``matched_to``.

    Without it a random control answers the triggers of its own response as they come: a few rows
    late, and with some left over when the response ends.
    """

    matched_to: str | None = option(
        None,
        text("the trace_dir of a run with record=tokens"),
        "trace folder of the technique's own run over the same questions: `random` controls then "
        "change as many states of each generated response as it did, at rows drawn near its own",
    )
