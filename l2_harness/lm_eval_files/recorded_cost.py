"""What a run took, as far as its result file tells: l2hf writes its tokens and passes into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.interventions import read_interventions
from l2_harness.config.numbers import as_whole
from l2_harness.config.options import option_names
from l2_harness.config.techniques import passes_taken
from l2_harness.config.thresholds import ThresholdConfig
from l2_harness.lm_eval_files.outcomes import Cost
from l2_harness.lm_eval_files.runs import Run


def recorded_cost(run: Run, tasks: Sequence[str]) -> Cost:
    """Of some of a run's tasks.

    Seconds and memory are not in the file: its evaluation time includes loading the model, and
    all tasks. Layer passes are counted for all tasks of a run, and shared out by their tokens.
    """
    ours = run.config.get("l2")
    if not isinstance(ours, Mapping):
        return Cost(samples=_repeats(run, tasks))
    tokens = _tokens(ours, tasks)
    samples = ours.get("num_samples")
    return Cost(
        tokens=tokens,
        samples=_repeats(run, tasks) * samples if isinstance(samples, int) else None,
        extra_layer_passes=_extra_passes(ours, tokens),
        layers=_integer(ours.get("decoder_layers")),
        **taken_of(_part(_part(ours, "interventions"), "layers")),
    )


def taken_of(layers: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """A cost's fields of what became of extra passes: of all tasks of a run.

    Args:
        layers: layer → counter → number, of a result file.
    """
    taken = passes_taken(layers)
    if taken is None:
        return {}
    return {
        "passes": taken.run,
        "accepted": taken.accepted,
        "layers_without": len(taken.without),
    }


def _tokens(ours: Mapping[str, Any], tasks: Sequence[str]) -> int | None:
    by_task = ours.get("tasks")
    rows = [_integer(_part(by_task, task).get("rows")) for task in tasks]
    known = [number for number in rows if number is not None]
    return sum(known) if len(known) == len(rows) else None


def _extra_passes(ours: Mapping[str, Any], tokens: int | None) -> int | None:
    acting = ours.get("interventions")
    if not isinstance(acting, Mapping):
        return 0
    counts, rows = _part(acting, "all_layers"), _integer(ours.get("rows"))
    if not counts or tokens is None or not rows:
        return None
    # thresholds have no passes, and their calibration file need not be here
    skipped = option_names(ThresholdConfig)
    settings = {k: v for k, v in _part(acting, "settings").items() if k not in skipped}
    try:
        config = read_interventions(settings)
    except ConfigError:  # of a version with other settings
        return None
    passes = config.layer_passes(counts, _integer(ours.get("decoder_layers")))
    return None if passes is None else round(passes * tokens / rows)


def _repeats(run: Run, tasks: Sequence[str]) -> int:
    """lm-eval's own responses to a question."""
    configs = run.table("configs")
    found = [_integer(_part(configs, task).get("repeats")) for task in tasks]
    return max((number for number in found if number is not None), default=1)


def _part(table: Any, name: str) -> Mapping[str, Any]:
    found = table.get(name) if isinstance(table, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _integer(value: Any) -> int | None:
    return None if isinstance(value, str) else as_whole(value)
