"""Capturing: teacher forcing over all wanted responses, part after part, resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2_harness.analysis.states import layout, verification
from l2_harness.analysis.states.batches import batches
from l2_harness.analysis.states.forcing import KnownTokens, TeacherForcing
from l2_harness.analysis.states.part_writer import PartWriter
from l2_harness.analysis.states.run_model import RunModel
from l2_harness.analysis.states.wanted import Wanted
from l2_harness.config.errors import ConfigError
from l2_harness.config.options import choice
from l2_harness.whole_files import only_writer

_PART_BYTES = 256 * 2**20

#: Settings that all parts of a folder share.
_FIXED = ("run_id", "weights", "model_dtype", "dtype", "layers", "d_model", "entropies")


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """How states are captured and stored.

    Attributes:
        layers: which ones.
        dtype: on disk: float32, float16 or bfloat16.
        batch_size: responses of one pass, at most.
        batch_tokens: positions of one pass, padding included, at most; a longer response runs
            alone.
        tolerance: how far norms may be from the recorded ones, relative.
        outlier_dims: components with the largest mean square that the second norms leave out.
        part_bytes: of one part's states, about; what a kill can lose.
        entropies: whether each layer's logit-lens and attention entropy are kept too.
    """

    layers: tuple[int, ...]
    dtype: str = "float32"
    batch_size: int = 16
    batch_tokens: int = 8192
    tolerance: float = verification.TOLERANCE
    outlier_dims: int = 1
    part_bytes: int = _PART_BYTES
    entropies: bool = False

    def __post_init__(self) -> None:
        choice(*layout.STORED)("--dtype", self.dtype)


def capture(
    wanted: Sequence[Wanted],
    model: RunModel,
    out: Path,
    options: CaptureOptions,
    progress: Callable[[int], Any] = lambda n: None,
) -> dict[str, Any]:
    """Capture those of the responses that ``out`` does not hold yet.

    Args:
        wanted: of one run.
        model: that run's.
        out: the folder; made if it isn't there, gone on with if an earlier capture of the same
            run, layers and types left it.
        options: see there.
        progress: told the number of responses after each part.

    Returns:
        What ``states.json`` then says.

    Raises:
        ConfigError: a folder of other settings, or norms that aren't the recorded ones.
        BlockingIOError: another capture is writing into the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    with only_writer(out):
        return _capture(wanted, model, out, options, progress)


def _capture(
    wanted: Sequence[Wanted],
    model: RunModel,
    out: Path,
    options: CaptureOptions,
    progress: Callable[[int], Any],
) -> dict[str, Any]:
    from l2_harness.analysis.states.outliers import write_norms_without_outliers

    settings = _start(wanted, model, out, options)
    forcing = TeacherForcing(
        model.causal_lm, model.decoder_layers, options.layers, options.entropies
    )
    todo = _missing(out, wanted)
    progress(len(wanted) - len(todo))
    for responses in _parts(todo, options, model.d_model):
        _capture_part(responses, model, forcing, out, options)
        progress(len(responses))
    settings["outlier_dims"] = write_norms_without_outliers(out, options.outlier_dims)
    settings |= layout.deviations(out) | _counts(out) | {"complete": True}
    layout.write_settings(out, settings)
    return settings


def _start(
    wanted: Sequence[Wanted], model: RunModel, out: Path, options: CaptureOptions
) -> dict[str, Any]:
    """The settings to begin or go on with."""
    if not wanted:
        raise ConfigError("no response is left to capture: see --task, --responses and --split.")
    settings: dict[str, Any] = {
        "run_id": wanted[0].key[0],
        "pretrained": model.name,
        "weights": model.fingerprint,
        "model_dtype": model.dtype,
        "dtype": options.dtype,
        "layers": list(options.layers),
        "d_model": model.d_model,
        "entropies": options.entropies,
        "tolerance": options.tolerance,
        "complete": False,
    }
    layout.remove_unfinished(out)
    if (out / layout.SETTINGS).exists():
        before = layout.read_settings(out)
        for name in _FIXED:
            there = before.get(name, False if name == "entropies" else None)
            if there != settings[name]:
                raise ConfigError(
                    f"{out} holds states with {name}={there!r}, and this capture has "
                    f"{settings[name]!r}: pass another --out."
                )
    elif layout.part_folders(out):
        raise ConfigError(f"{out} holds parts without {layout.SETTINGS}: pass another --out.")
    layout.write_settings(out, settings)
    return settings


def _missing(out: Path, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Those that no part holds, longest first: a pass pads little, and too little memory shows."""
    there: set[tuple[Any, ...]] = set()
    for part in layout.part_folders(out):
        index = layout.read_index(part, layout.KEY)
        there |= set(index.itertuples(index=False, name=None))
    left = [w for w in wanted if w.key not in there]
    return sorted(left, key=lambda w: (-w.length, w.key))


def _parts(todo: Sequence[Wanted], options: CaptureOptions, d_model: int) -> Iterator[list[Wanted]]:
    width = 2 if options.dtype != "float32" else 4
    limit = options.part_bytes // (d_model * width * len(options.layers))
    part: list[Wanted] = []
    rows = 0
    for one in todo:
        if part and rows + len(one.tokens) > limit:
            yield part
            part, rows = [], 0
        part.append(one)
        rows += len(one.tokens)
    if part:
        yield part


def _capture_part(
    responses: Sequence[Wanted],
    model: RunModel,
    forcing: TeacherForcing,
    out: Path,
    options: CaptureOptions,
) -> None:
    writer = PartWriter(out, responses, options.layers, model.d_model, options.dtype)
    try:
        for batch in batches(
            responses, lambda one: one.length, options.batch_tokens, options.batch_size
        ):
            prompts = [model.prompt_ids(w) for w in batch]
            known = [KnownTokens.of(p, w.tokens) for p, w in zip(prompts, batch, strict=True)]
            outputs = forcing.run(known, writer.take)
            assert outputs is not None
            writer.end_batch(outputs, prompts)
        worst = verification.deviation(responses, options.layers, writer.norms, writer.entropy())
        verification.check(worst, options.tolerance, model)
        writer.commit(worst)
    except BaseException:
        writer.discard()
        raise


def _counts(out: Path) -> dict[str, Any]:
    from l2_harness.analysis.states.store import StateStore

    index = StateStore(out).index
    return {
        "responses": len(index),
        "rows": int(index["rows"].sum()),
        "tasks": {str(k): int(v) for k, v in index["task"].value_counts().sort_index().items()},
    }
