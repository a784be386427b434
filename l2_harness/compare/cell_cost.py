"""What a cell cost, from what lm-eval reports and what our classes recorded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2_harness.compare.evaluation import Evaluated
from l2_harness.compare.suite import Cell
from l2_harness.config.interventions import read_interventions
from l2_harness.config.looping import LoopingConfig
from l2_harness.config.options import read_options
from l2_harness.config.techniques import edit_sums
from l2_harness.lm_eval_files.outcomes import Cost
from l2_harness.lm_eval_files.recorded_cost import taken_of
from l2_harness.models.capabilities import capabilities


def cell_cost(
    evaluated: Evaluated, cell: Cell, trace_dir: Path, seconds: float, peak: int | None
) -> Cost:
    """The cost of a cell as if it had run alone, but for samples that it took from elsewhere.

    Args:
        evaluated: what lm-eval made of it.
        cell: which one it is.
        trace_dir: of the cell, where it has one.
        seconds: of answering, over all attempts.
        peak: bytes.
    """
    layers = _layers(evaluated.lm)
    info = evaluated.results["config"].get("l2") or {}
    done = info.get("interventions") or {}
    edits, change, places = edit_sums(done.get("all_layers") or {}) or (None, None, None)
    return Cost(
        seconds=round(seconds, 3),
        tokens=info.get("rows") or _encoded_tokens(evaluated),
        samples=_samples(evaluated, cell),
        extra_layer_passes=_extra_passes(cell, info, trace_dir, layers),
        layers=layers,
        **taken_of(done.get("layers") or {}),
        peak_bytes=peak,
        edits=edits,
        edit_change=change,
        edit_places=places,
    )


def _samples(evaluated: Evaluated, cell: Cell) -> int:
    """Responses to a question: our samples times lm-eval's repeats."""
    configs = evaluated.results.get("configs") or {}
    repeats = max((int(c.get("repeats") or 1) for c in configs.values()), default=1)
    own = cell.num_samples if capabilities(cell.model_class).records else 1
    return own * repeats


def _encoded_tokens(evaluated: Evaluated) -> int | None:
    """Tokens of the responses' texts, of a model that has a tokenizer and records nothing.

    What was cut from a text, a thinking part or an end token, is not counted.
    """
    encode = getattr(evaluated.lm, "tok_encode", None)
    texts = [
        text
        for samples in evaluated.samples.values()
        for sample in samples
        if sample["filter"] == samples[0]["filter"]
        for responses in sample["resps"]
        for text in responses
        if isinstance(text, str)
    ]
    if encode is None or not texts:
        return None
    return sum(len(encode(text, add_special_tokens=False)) for text in texts)


def _layers(lm: Any) -> int | None:
    from l2_harness.engines.decoder_layers import number_of_layers

    # lm-eval's hf has it as a property, its vllm as an attribute
    config = getattr(lm, "config", None) or getattr(lm, "_config", None)
    return None if config is None else number_of_layers(config)


def _extra_passes(
    cell: Cell, info: Mapping[str, Any], trace_dir: Path, layers: int | None
) -> int | None:
    """Passes of single layers; one of EGLR's passes runs all its top layers."""
    if not capabilities(cell.model_class).records:
        return 0
    looping = read_options(LoopingConfig, cell.args)
    if looping.enabled:  # which no recursion goes with
        if layers is None or not info.get("rows"):
            return None
        return (len(looping.path(layers)) - layers) * int(info["rows"])
    acting = read_interventions(cell.args)
    if not any(technique.reruns for technique in acting.acting().values()):
        return 0
    run_id = info.get("run_id")
    if run_id is not None and trace_dir.is_dir():
        counts: Mapping[str, int] = recorded_counts(trace_dir, str(run_id))
    else:
        counts = info["interventions"]["all_layers"]
    return acting.layer_passes(counts, layers)


def recorded_counts(trace_dir: Path, run_id: str) -> Counter[str]:
    """Sums of the counters that the traces of a run hold, those of earlier attempts included."""
    import pyarrow.compute as pc

    from l2_harness.norms import read_trace_table

    events = pc.list_flatten(read_trace_table(trace_dir, run_id=run_id, columns=["events"])[0])
    counters = events.filter(pc.equal(pc.struct_field(events, "kind"), "counters"))
    details = pc.struct_field(counters, "detail").to_pylist()
    total: Counter[str] = Counter()
    for detail in details:
        total.update(json.loads(detail))
    return total
