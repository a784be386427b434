"""Which recorded responses are right: as lm-eval logged it, or judged again by the same task.

lm-eval logs one verdict a document. Where several responses to it were recorded, the log judges
the one that lm-eval got, so all of them are put through the task's own filters and
``process_results`` here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.join import joined
from l2_harness.lm_eval_files.judging import Answered, Judged, Judging, judge
from l2_harness.lm_eval_files.questions import as_number
from l2_harness.lm_eval_files.samples import LoggedSample, read_samples
from l2_harness.selection.sampled_text import SampledText
from l2_harness.whole_files import storable


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What each response is worth.

    Attributes:
        values: (n,) float64; 1 and 0 for most metrics.
        metric: which.
        source: where they come from, in words.
        answers: what the task's filter made of each response.
    """

    values: np.ndarray
    metric: str
    source: str
    answers: Sequence[Any] = ()

    @property
    def binary(self) -> bool:
        """Whether a response is right or wrong and nothing between."""
        return bool(np.isin(self.values, (0.0, 1.0)).all())


def with_documents(
    traces: pd.DataFrame, samples: Path, task: str, filter: str | None = None
) -> pd.DataFrame:
    """The traces that the sample file has a document of, with it and its prompt.

    Args:
        traces: of one task, with the columns that
            :func:`~l2_harness.lm_eval_files.join_samples` needs.
        samples: lm-eval's sample file of the same run, or its folder.
        task: which.
        filter: whose verdicts come along; the first in the file by default.

    Returns:
        Also the columns ``doc`` and ``prompt``, and those of ``join_samples``.

    Raises:
        FileNotFoundError: no sample file of the task.
        ConfigError: no document of the traces is in it, or they do not belong together.
    """
    logged = read_samples(samples, [task])[task]
    names = [sample.filter for sample in logged]
    if not names:
        raise ConfigError(f"{samples} has no sample of {task!r}.")
    table = joined(traces, {task: logged}, filter if filter in names else names[0])
    table = table[table["logged_doc_id"].notna()].reset_index(drop=True)
    if table.empty:
        raise ConfigError(f"{samples} has no document of the traces of {task!r}.")
    documents: dict[int, LoggedSample] = {sample.doc_id: sample for sample in logged}
    found = [documents[int(doc_id)] for doc_id in table["logged_doc_id"]]
    table["doc"] = pd.Series([sample.doc for sample in found], dtype=object)
    table["prompt"] = [
        storable(sample.prompts[idx] or "") for sample, idx in zip(found, table["idx"], strict=True)
    ]
    return table


def check_judging(traces: pd.DataFrame, judging: Judging, settings: Mapping[str, Any]) -> None:
    """Load the task now if it will have to judge: what takes long should not come first.

    Raises:
        ConfigError: it can't be loaded, or generates nothing.
    """
    if _logged(traces, judging) is None:
        judging.load(settings)


def verdicts(traces: pd.DataFrame, judging: Judging, settings: Mapping[str, Any]) -> Verdicts:
    """Each response's verdict: the logged one where it judges this response, else a new one.

    Args:
        traces: of :func:`with_documents`.
        judging: how.
        settings: of the run.

    Raises:
        ConfigError: the task cannot be loaded, or an option does not fit it.
    """
    logged = _logged(traces, judging)
    if logged is not None:
        return logged
    found = judged(traces, [{}] * len(traces), judging, settings)
    values = np.array([one.value for one in found])
    answers = [one.answer for one in found]
    return Verdicts(values, found[0].metric, "every response judged again by its task", answers)


def judged(
    traces: pd.DataFrame,
    scores: Sequence[Mapping[str, float]],
    judging: Judging,
    settings: Mapping[str, Any],
) -> list[Judged]:
    """Each response on its own, by its task: its answer and one metric.

    Args:
        traces: of :func:`with_documents`, with ``response``, ``finish_reason``, ``tokens``.
        scores: of each response, for filters that choose.
        judging: how.
        settings: of the run.

    Raises:
        ConfigError: the task cannot be loaded, generates nothing, or an option does not fit it.
    """
    answered = [
        Answered(
            SampledText(
                str(row.response),
                finish_reason=row.finish_reason,
                n_tokens=int(row.n_tokens),
                scores=dict(scores[i]),
            ),
            row.doc,
            row.prompt,
        )
        for i, row in enumerate(traces.itertuples(index=False))
    ]
    return judge(judging.load(settings), answered, judging.filter, judging.metric)


def _logged(traces: pd.DataFrame, judging: Judging) -> Verdicts | None:
    """The verdicts of the log, where it has one for every response and the metric asked for."""
    if not (traces["metrics_judge"] == "response").all():
        return None
    if judging.filter is not None and (traces["filter"] != judging.filter).any():
        return None
    names = [str(name) for name in traces.columns if str(name).startswith("metric_")]
    for name in [f"metric_{judging.metric}"] if judging.metric else names:
        values = [as_number(value) for value in traces[name].tolist()] if name in names else [None]
        known = [value for value in values if value is not None]
        if len(known) == len(traces):
            metric, answers = name.removeprefix("metric_"), list(traces["filtered_resp"])
            return Verdicts(np.array(known), metric, "lm-eval's log", answers)
    return None
