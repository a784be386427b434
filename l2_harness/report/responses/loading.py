"""Recorded responses, chosen, judged and with their tokens' text: what a page of them needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.norms.token_pieces import token_pieces
from l2_harness.analysis.norms.token_texts import TokenTexts, load_token_texts
from l2_harness.config.errors import ConfigError
from l2_harness.norms import read_run_settings, read_traces
from l2_harness.norms.trace_reader import one_run
from l2_harness.norms.trace_schema import TraceKey
from l2_harness.report.responses.choosing import choose, describe
from l2_harness.report.responses.judging import VerdictSource, known_of
from l2_harness.report.responses.views import Known, ResponseSet, ResponseView
from l2_harness.selection.group_threshold import K, group_thresholds

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    *(*TraceKey._fields, "prompt_hash", "text", "response", "finish_reason", "thinking_end"),
    "n_tokens",
)
#: Read of the prompts that were chosen.
_LONG = ("tokens", "layers", "norms", "logprob", "entropy", "events")
_PROMPT = ["task", "doc_id", "idx"]


@dataclass(frozen=True)
class ResponseSource:
    """Which responses a page is made of.

    Attributes:
        trace_dir: where the run was recorded.
        samples: where verdicts come from; None for a page without.
        wanted: how many responses at most.
        task: only of this one.
        run_id: of the run; None where the folder holds one.
        tokenizer: a folder or hub name in place of the run's own.
        seed: of the choice.
    """

    trace_dir: Path
    samples: VerdictSource | None = None
    wanted: int = 40
    task: str | None = None
    run_id: str | None = None
    tokenizer: str | None = None
    seed: int = 0


def load_responses(source: ResponseSource) -> ResponseSet:
    """Read a run, choose among its responses and look up what is known of them.

    Raises:
        ConfigError: several runs and none named; no generated response; samples of another run;
            a tokenizer that cannot be loaded.
        FileNotFoundError: no traces, or no sample file of the tasks.
    """
    try:
        return _load(source)
    except ConfigError:
        raise
    except ValueError as error:  # of the traces or the sample files, which name what is wrong
        raise ConfigError(str(error)) from error


def _load(source: ResponseSource) -> ResponseSet:
    run_id = source.run_id or one_run(
        read_traces(source.trace_dir, columns=["run_id"])["run_id"], source.trace_dir
    )
    traces = _generated(source, run_id)
    settings = read_run_settings(source.trace_dir, run_id)
    known = [Known()] * len(traces)
    if source.samples is not None:
        known = known_of(traces, source.samples, settings)
    verdicts, tasks = [one.verdict for one in known], [str(task) for task in traces["task"]]
    chosen = choose(verdicts, tasks, source.wanted, source.seed)
    shown = traces.iloc[chosen]
    prompts = set(shown[_PROMPT].itertuples(index=False, name=None))
    columns = [*TraceKey._fields, *_LONG]
    rows = read_traces(source.trace_dir, run_id=run_id, columns=columns, prompts=prompts)
    thresholds = _Thresholds(rows, settings, int(traces.groupby(_PROMPT).size().max()))
    texts = load_token_texts(source.trace_dir, run_id, source.tokenizer)
    keys = list(TraceKey._fields)
    found = shown.merge(rows, on=keys, how="left", validate="one_to_one")
    layers = sorted({int(layer) for row in found["layers"] for layer in row})
    views = [
        _view(row, known[i], layers, thresholds, texts)
        for i, (_, row) in zip(chosen, found.iterrows(), strict=True)
    ]
    return ResponseSet(
        run_id=run_id,
        layers=layers,
        views=views,
        chosen=describe(verdicts, tasks, chosen, source.seed),
        threshold=thresholds.words,
    )


def _generated(source: ResponseSource, run_id: str) -> pd.DataFrame:
    traces = read_traces(source.trace_dir, run_id=run_id, task=source.task, columns=list(_COLUMNS))
    generated = traces[traces["request_type"] == "generate_until"].reset_index(drop=True)
    if generated.empty:
        kinds = ", ".join(sorted(set(traces["request_type"])))
        raise ConfigError(
            f"{source.trace_dir} holds {kinds} requests only: no response to show. Record a task "
            "that generates, or leave --traces out."
        )
    return generated


class _Thresholds:
    """τ of each layer: the run's own where it had fixed ones, else of the prompt's rows."""

    def __init__(self, traces: pd.DataFrame, settings: Mapping[str, Any], most: int) -> None:
        """``traces``: all responses to some prompts; ``most``: to any prompt of the run."""
        fixed = settings.get("thresholds") or {}
        self._fixed = {int(layer): float(value) for layer, value in fixed.items()}
        self._traces = traces
        self._members = traces.groupby(_PROMPT, sort=False).indices
        self.words = self._described(most)

    def of(self, row: pd.Series) -> dict[int, float]:
        """Layer → τ for a response."""
        if self._fixed:
            return self._fixed
        group = self._traces.iloc[self._members[tuple(row[name] for name in _PROMPT)]]
        norms = [one for one in group["norms"] if one is not None]
        if not norms:
            return {}
        tau = group_thresholds(np.concatenate(norms))
        return dict(zip(row["layers"].tolist(), tau.tolist(), strict=True))

    def _described(self, most: int) -> str:
        if self._fixed:
            return "the run's own fixed or calibrated value of the layer"
        of = f"the up to {most} responses to the prompt" if most > 1 else "this response"
        return f"Q3 + {K:g}·IQR of the layer's norms over all rows of {of}"


def _view(
    row: pd.Series, known: Known, layers: Sequence[int], thresholds: _Thresholds, texts: TokenTexts
) -> ResponseView:
    tau = thresholds.of(row)
    ids = row["tokens"].tolist()
    return ResponseView(
        task=str(row["task"]),
        doc_id=int(row["doc_id"]),
        idx=int(row["idx"]),
        repeat=int(row["repeat"]),
        sample=int(row["sample"]),
        pieces=token_pieces(texts, ids),
        special=[place for place, token in enumerate(ids) if token in texts.special],
        norms=_at(layers, row),
        tau=np.array([tau.get(layer, np.nan) for layer in layers]),
        logprob=row["logprob"],
        entropy=row["entropy"],
        events=row["events"] or (),
        finish_reason=row["finish_reason"],
        thinking_end=_whole(row["thinking_end"]),
        **vars(known),
    )


def _at(layers: Sequence[int], row: pd.Series) -> np.ndarray | None:
    """(T, L) norms at ``layers``, NaN where this response was not monitored."""
    norms = row["norms"]
    if norms is None:
        return None
    own = row["layers"].tolist()
    if own == list(layers):
        return np.asarray(norms)
    result = np.full((len(norms), len(layers)), np.nan, dtype=np.float32)
    for place, layer in enumerate(own):
        result[:, layers.index(layer)] = norms[:, place]
    return result


def _whole(value: Any) -> int | None:
    import pandas as pd

    return None if pd.isna(value) else int(value)
