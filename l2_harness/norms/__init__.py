"""The signal: thresholds, recorder, and the trace files (written and read).

The names below are imported where they are first used, so that importing this package costs
nothing: neither pyarrow nor pandas nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2_harness.lazy_names import lazy_names

if TYPE_CHECKING:
    from l2_harness.norms.trace_hash import hash_prompt, hash_request
    from l2_harness.norms.trace_reader import read_trace_table, read_traces
    from l2_harness.norms.trace_resume import CompletedResponse, completed_requests
    from l2_harness.norms.trace_schema import (
        SCHEMA_VERSION,
        ResumeKey,
        TraceEvent,
        TraceKey,
        TraceRecord,
        TraceWarning,
    )
    from l2_harness.norms.trace_tokens import explode_tokens
    from l2_harness.norms.trace_writer import TraceWriter, read_run_settings

_HOME = {
    "hash_prompt": "trace_hash",
    "hash_request": "trace_hash",
    "read_trace_table": "trace_reader",
    "read_traces": "trace_reader",
    "CompletedResponse": "trace_resume",
    "completed_requests": "trace_resume",
    "SCHEMA_VERSION": "trace_schema",
    "ResumeKey": "trace_schema",
    "TraceEvent": "trace_schema",
    "TraceKey": "trace_schema",
    "TraceRecord": "trace_schema",
    "TraceWarning": "trace_schema",
    "explode_tokens": "trace_tokens",
    "TraceWriter": "trace_writer",
    "read_run_settings": "trace_writer",
}

__all__ = [
    "SCHEMA_VERSION",
    "CompletedResponse",
    "ResumeKey",
    "TraceEvent",
    "TraceKey",
    "TraceRecord",
    "TraceWarning",
    "TraceWriter",
    "completed_requests",
    "explode_tokens",
    "hash_prompt",
    "hash_request",
    "read_run_settings",
    "read_trace_table",
    "read_traces",
]

__getattr__, __dir__ = lazy_names(globals(), _HOME)
