"""Recursion, steering and suppression of hidden states: tensors in, tensors out.

Nothing here knows an engine, a tokenizer or a file. An engine makes one
:class:`InterventionRun` a run, a :class:`Pipeline` for the responses that it decodes together,
tells it which rows each forward pass has, and hands it every monitored layer's output.
"""

from l2_harness.interventions.pipeline import InterventionRun, LateReport, Pipeline
from l2_harness.interventions.reports import InterventionTotals, ResponseReport
from l2_harness.interventions.responses import Response
from l2_harness.random_numbers import stream_key

__all__ = [
    "InterventionRun",
    "InterventionTotals",
    "LateReport",
    "Pipeline",
    "Response",
    "ResponseReport",
    "stream_key",
]
