"""``l2-harness bench sae``: training an SAE, beside sae-lens' own loop and its matrix products."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from l2_harness.analysis.sae.lens import quiet
from l2_harness.analysis.sae.row_batches import RowBatches
from l2_harness.analysis.sae.train_options import TrainOptions
from l2_harness.analysis.sae.training import make_trainer, train_layer, training_rows
from l2_harness.analysis.states.store import StateStore
from l2_harness.bench.figure import Figure
from l2_harness.bench.rounds import Ratio, Say, alternate
from l2_harness.bench.timed_ways import TimedWays

#: Encoder and decoder, each forwards and, for inputs and weights, backwards. The states need no
#: gradient, which is one fewer.
_PRODUCTS = 5


def measure_training(
    store: StateStore, layer: int, options: TrainOptions, rounds: int, say: Say
) -> TimedWays:
    """Time training from states on the disk to an SAE on the disk, in CPU time.

    Args:
        store: the states.
        layer: which of its layers.
        options: of the training, on a CPU.
        rounds: runs of each way, after one that does not count.
        say: told what is being run.
    """
    rows = training_rows(store, options)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            train_layer(store, layer, Path(folder), options)

    def lens() -> None:
        trainer = make_trainer(store, layer, options)
        trainer.data_provider = RowBatches(store, layer, rows, options.batch, options.seed)
        with quiet():
            trainer.fit()

    features = options.expansion * store.d_model
    states = torch.randn(options.batch, store.d_model)
    weights = torch.randn(store.d_model, features)

    def products() -> None:
        for _ in range(_PRODUCTS * options.steps):
            states @ weights

    ways = {"sae train": ours, "sae-lens": lens, "matrix products": products}
    times = alternate(ways, rounds, say, time.process_time)
    step = min(times["sae train"]) / options.steps
    figures = [
        Figure.of("sae", f"sae train / {rival}", Ratio.of(times["sae train"], times[rival]))
        for rival in ("sae-lens", "matrix products")
    ]
    figures.append(Figure.of("sae", "a step, ms", 1000 * step, note="CPU time"))
    settings = {"layer": layer, "d_model": store.d_model, "rounds": rounds, **options.as_dict()}
    return TimedWays(settings, times, figures)
