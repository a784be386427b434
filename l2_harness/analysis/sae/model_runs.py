"""A model as the injected-token test needs it: known tokens in, the states of one layer out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from l2_harness.analysis.sae.injection import RunModel as Runner
from l2_harness.analysis.states.batches import batches
from l2_harness.analysis.states.forcing import KnownTokens, LayerOutput, TeacherForcing
from l2_harness.analysis.states.run_model import RunModel


def runner(model: RunModel, batch_tokens: int = 8192) -> Runner:
    """Run a model on known tokens, so many at a time that a pass has ``batch_tokens`` positions."""

    def run(known: Sequence[KnownTokens], layer: int) -> list[Tensor]:
        forcing = TeacherForcing(model.causal_lm, model.decoder_layers, [layer])
        found: list[Tensor] = []

        def take(_: int, rows: LayerOutput) -> None:
            found.append(rows.states.float().cpu())

        for batch in batches(known, lambda one: len(one.ids), batch_tokens):
            forcing.run(batch, take, statistics=False)
        return list(torch.cat(found).split([len(k.predicted) for k in known]))

    return run
