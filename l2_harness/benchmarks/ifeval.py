"""IFEval for models that think: lm-eval's own scoring of what follows the thinking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from l2_harness.answers import final_text


def process_results(doc: Mapping[str, Any], results: list[str]) -> dict[str, Any]:
    """lm-eval's four IFEval metrics; thinking that never closed leaves an empty response."""
    from lm_eval.tasks.ifeval.utils import process_results as score

    return score(doc, [(final_text(response) or "").strip() for response in results])


def instruction_accuracy(items: Iterable[Iterable[bool]]) -> float:
    """The share of instructions that were followed, over all prompts."""
    followed = [outcome for prompt in items for outcome in prompt]
    return sum(followed) / len(followed)
