"""Thinking beside direct responses to the same documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.norms.measure import Measured, measure
from l2_harness.analysis.norms.profiles import layer_profile, pair_by_document
from l2_harness.analysis.norms.responses import read_groups
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.verdicts import with_documents
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.significance import holm, sign_flip_p

if TYPE_CHECKING:
    import pandas as pd

    from l2_harness.analysis.norms.study import StudyOptions

#: What of a thinking response stands beside the direct one.
PARTS = {"all": "all rows", "answer": "the rows after the thinking"}


@dataclass(frozen=True, eq=False)
class Pairing:
    """Profiles of the documents that have both.

    Attributes:
        direct: the other task.
        pairs: part of the thinking response → how many documents have it.
        profile: a row a part and layer, of
            :func:`~l2_harness.analysis.norms.profiles.layer_profile`, with ``part``, ``p`` of the
            difference (signs flipped) and ``p_holm`` over a part's layers.
        lengths: the mean length in tokens of thinking and of direct responses.
        same: how the documents were found to be the same, in words.
        differing: how many doc_ids stand for two different documents; they are left out.
    """

    direct: str
    pairs: dict[str, int]
    profile: pd.DataFrame
    lengths: tuple[float, float]
    same: str
    differing: int


def pair_tasks(options: StudyOptions, run_id: str, thinking: Measured) -> Pairing:
    """Measure the direct task, and compare it with the thinking one document by document.

    Raises:
        ConfigError: no document has both, or their layers differ.
    """
    import pandas as pd

    task = str(options.direct)
    traces = read_groups(options.trace_dir, run_id, task)
    if options.samples is not None:
        traces = with_documents(traces, options.samples, task)
    direct = measure(
        traces, options.trace_dir, layers=options.layers, first_rows=options.first_rows
    )
    if direct.layers != thinking.layers:
        raise ConfigError(
            f"--direct {task} was recorded at layers {direct.layers}, and {options.task} at "
            f"{thinking.layers}: pass --layers with those that both have."
        )
    differing = _differing(thinking.traces, direct.traces)
    arm = _means(direct.traces, direct.statistics[0].of("mean"), differing)
    pairs, profiles = {}, []
    for part, values in (
        ("all", thinking.statistics[0].of("mean")),
        ("answer", thinking.answer_mean),
    ):
        first, second, documents = pair_by_document(_means(thinking.traces, values, differing), arm)
        pairs[part] = len(documents)
        if len(documents):
            profile = layer_profile(first, second, thinking.layers)
            p = sign_flip_p(first - second, seed=options.seed)
            profiles.append(profile.assign(part=part, p=p, p_holm=holm(p)))
    if not profiles:
        raise ConfigError(f"--direct {task} and {options.task} have no document in common.")
    return Pairing(
        direct=task,
        pairs=pairs,
        profile=pd.concat(profiles, ignore_index=True),
        lengths=(
            float(thinking.covariates["length"].mean()),
            float(direct.covariates["length"].mean()),
        ),
        same=_how(thinking.traces, direct.traces),
        differing=len(differing),
    )


def _how(first: pd.DataFrame, second: pd.DataFrame) -> str:
    if "doc" in first and "doc" in second:
        return "matched by doc_id, and the logged documents compared"
    return "matched by doc_id alone: without --samples the questions can't be compared"


def _differing(first: pd.DataFrame, second: pd.DataFrame) -> set[int]:
    """The doc_ids that stand for different documents in the two tables."""
    if "doc" not in first or "doc" not in second:
        return set()
    documents = [dict(zip(frame["doc_id"], frame["doc"], strict=True)) for frame in (first, second)]
    return {
        int(doc_id)
        for doc_id in documents[0].keys() & documents[1].keys()
        if not same_document(documents[0][doc_id], documents[1][doc_id])
    }


def same_document(first: Any, second: Any) -> bool:
    """Whether two tasks' documents agree in every field that both have, and have one."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return bool(first == second)
    shared = first.keys() & second.keys()
    return bool(shared) and all(first[name] == second[name] for name in shared)


def _means(traces: pd.DataFrame, values: Floats, differing: set[int]) -> pd.DataFrame:
    """``doc_id`` and ``norm_mean`` of the responses that count."""
    import pandas as pd

    keep = np.isfinite(values).all(axis=1) & ~traces["doc_id"].isin(differing).to_numpy()
    frame = pd.DataFrame({"doc_id": traces["doc_id"].to_numpy()[keep]})
    frame["norm_mean"] = pd.Series(list(values[keep]), dtype=object)
    return frame
