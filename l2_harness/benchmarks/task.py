"""The class of this project's benchmark tasks: an lm-eval YAML task that keeps every response.

lm-eval's own tasks drop all but the first of ``repeats`` responses before scoring. This one gets
them all (its filter is empty), takes ``l2_data`` and ``l2_repeats`` from ``--metadata``, tells from
the prompt whether the thinking was opened there, and from the limit which responses were cut off.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lm_eval.api.metrics import mean

from l2_harness.answers import TokenLimit, judge, opens_thinking, question_metrics
from l2_harness.answers.metrics import repeat_metrics
from l2_harness.benchmarks.documents import reference_of
from l2_harness.benchmarks.local_task import LocalDataTask
from l2_harness.benchmarks.token_counts import token_limit
from l2_harness.config.errors import ConfigError, unknown_value

logger = logging.getLogger(__name__)

#: What ``--metadata`` may say to these tasks.
SWITCHES = ("l2_data", "l2_repeats", "l2_direct_prefix")
#: Share of responses cut off from which a score says more about the limit than about the model.
_MANY_CUT = 0.5
_BASE_ADVICE = ", or evaluate a model without a chat template on the task's _base form"


class BenchmarkTask(LocalDataTask):
    """A task whose documents are :class:`~l2_harness.benchmarks.documents.Document` rows."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Build the task from its YAML.

        Args:
            config: the YAML's fields. ``metadata`` holds the task's own `rows`, `file` and
                `columns`, and what the user gave as ``--metadata`` and ``--model_args``.

        Raises:
            ConfigError: a switch that is unknown or has an impossible value.
            OSError: the data set could not be loaded.
        """
        super().__init__(config=apply_switches(config))
        self._cut: list[float] = []

    def process_results(self, doc: Mapping[str, Any], results: list[Any]) -> dict[str, float]:
        """The metrics of one question from its responses."""
        if self.config.process_results is not process_results:  # replaced, as by --predict_only
            return super().process_results(doc, results)
        metrics = process_results(doc, results, self._thinking_is_open(), self._limit)
        self._cut.append(metrics["truncated"])
        if len(self._cut) == len(getattr(self, "_instances", None) or ()):
            self._warn_of_cut_responses()
        return metrics

    def fewshot_docs(self) -> Any:
        """Few-shot examples are other documents of the split that the task is tested on."""
        return self.test_docs()

    @property
    def _limit(self) -> TokenLimit:
        return token_limit(self.config.generation_kwargs or {}, self.config.metadata)

    def _warn_of_cut_responses(self) -> None:
        """A model that rambles scores nothing by construction: only a box counts when cut."""
        share = sum(self._cut) / len(self._cut)
        self._cut.clear()
        if share > _MANY_CUT:
            base = "" if self.config.task.endswith("_base") else _BASE_ADVICE
            logger.warning(
                "%s: %.0f %% of the responses were cut off at max_gen_toks=%s, and of those only "
                "a \\boxed{} answer counts. Pass a larger max_gen_toks or stop strings (until) by "
                "--gen_kwargs%s.",
                self.config.task,
                100 * share,
                self._limit.most,
                base,
            )

    def _thinking_is_open(self) -> bool:
        """Whether the prompts end inside the thinking, so that responses must close it.

        Not where the model class cuts the thinking off itself (``think_end_token``): its responses
        never hold the closing tag.
        """
        instances = getattr(self, "_instances", None)
        if not instances or self.config.metadata.get("think_end_token"):
            return False
        prompt = instances[0].args[0]
        return isinstance(prompt, str) and opens_thinking(prompt)

    def aggregation(self) -> dict[str, Any]:
        """A mean over questions for every metric, which lm-eval has a standard error for."""
        added = dict.fromkeys(repeat_metrics(self.config.repeats), mean)
        return {**super().aggregation(), **added}

    def higher_is_better(self) -> dict[str, bool | None]:
        """Which way each metric points; None for lengths."""
        added = dict.fromkeys(repeat_metrics(self.config.repeats), True)
        return {**super().higher_is_better(), **added}


def apply_switches(config: Mapping[str, Any]) -> dict[str, Any]:
    """A YAML's fields as ``TaskConfig`` takes them, changed by the switches in its metadata."""
    fields = {key: value for key, value in config.items() if key != "class"}
    metadata = fields.setdefault("metadata", {})
    for name in metadata:
        if name.startswith("l2_") and name not in SWITCHES:
            raise unknown_value("--metadata", name, SWITCHES)
    if "test_split" in fields:
        # told that they are of one split, lm-eval leaves a question out of its own examples
        fields.setdefault("fewshot_split", fields["test_split"])
    if "l2_repeats" in metadata:
        fields["repeats"] = _repeats(metadata["l2_repeats"])
    if fields.get("gen_prefix") is not None and "l2_direct_prefix" in metadata:
        fields["gen_prefix"] = str(metadata["l2_direct_prefix"]) or None
    return fields


def process_results(
    doc: Mapping[str, Any],
    results: list[Any],
    opened: bool = False,
    limit: TokenLimit | None = None,
) -> dict[str, float]:
    """The metrics of one question.

    Args:
        doc: a document.
        results: a list of one item, the response or the list of responses.
        opened: whether the prompt ended inside the thinking.
        limit: on the tokens of a response.
    """
    (responses,) = results
    responses = [responses] if isinstance(responses, str) else list(responses)
    reference = reference_of(doc)
    judgements = [judge(response, reference, opened, limit) for response in responses]
    return question_metrics(judgements, reference.kind)


def _repeats(value: object) -> int:
    try:
        repeats = int(str(value))
    except ValueError:
        repeats = 0
    if repeats < 1:
        raise ConfigError(f"l2_repeats={value!r} must be a whole number of 1 or more.")
    return repeats
