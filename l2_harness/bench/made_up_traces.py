"""Made-up responses in trace files, to measure what reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from l2_harness.norms import TraceRecord

RUN_ID = "bench"
TASK = "made_up"
_QUESTIONS_A_PART = 25


def write_made_up(
    folder: Path,
    questions: int,
    samples: int,
    respond: Callable[[int, int, np.random.Generator], TraceRecord],
) -> int:
    """Trace files of so many samples of each of so many questions.

    Args:
        folder: of the trace files.
        questions: how many.
        samples: of each.
        respond: ``respond(question, sample, rng)``, such as of :func:`made_up_response`.

    Returns:
        The size of the files in bytes.
    """
    from l2_harness.norms import TraceWriter

    writer = TraceWriter(folder, RUN_ID)
    writer.describe_run({"tokenizer": "demo"})
    for start in range(0, questions, _QUESTIONS_A_PART):
        rng = np.random.default_rng(start)
        part = range(start, min(start + _QUESTIONS_A_PART, questions))
        writer.write([respond(question, n, rng) for question in part for n in range(samples)])
    return sum(path.stat().st_size for path in folder.iterdir())


def made_up_response(
    question: int,
    sample: int,
    rng: np.random.Generator,
    *,
    tokens: np.ndarray,
    layers: int,
    truncated: float,
    **columns: Any,
) -> TraceRecord:
    """A response of random norms and signals.

    Args:
        question: which.
        sample: which one of its.
        rng: of all that is drawn.
        tokens: (T,) ids.
        layers: how many are monitored.
        truncated: the share of responses that the token limit cuts off.
        columns: further ones of the record.
    """
    from l2_harness.norms import TraceRecord, hash_prompt

    prompt = hash_prompt(str(question))
    values = rng.exponential(size=(4, len(tokens))).astype(np.float32)
    return TraceRecord(
        run_id=RUN_ID,
        task=TASK,
        doc_id=question,
        request_type="generate_until",
        prompt_hash=prompt,
        request_hash=prompt,
        tokens=tokens,
        text="",
        response="",
        sample=sample,
        finish_reason="length" if rng.random() < truncated else "eos",
        layers=range(layers),
        norms=100 * rng.standard_gamma(20, (len(tokens), layers), dtype=np.float32),
        signals={
            "logprob": -values[0],
            "entropy": values[1],
            "self_certainty": values[2],
            "confidence": values[3],
        },
        **columns,
    )
