"""Teacher forcing: known tokens run through the model once, their states taken layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from l2_harness.analysis.states.layer_entropies import (
    AttentionWatch,
    attention_entropy,
    lens_entropy,
    use_eager_attention,
)
from l2_harness.engines.hf.output_head import OutputHead, head_logits
from l2_harness.norms.row_norms import row_norms
from l2_harness.norms.statistics import distribution_statistics

#: What a layer is asked for beside its states, if at all; see
#: :mod:`~l2_harness.analysis.states.layer_entropies`.
ENTROPIES = ("lens_entropy", "attention_entropy")

#: Rows whose distributions are held at once: bounds the memory for logits.
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class KnownTokens:
    """Prompt and response without its last token, (P + T − 1,) ids; row t is at P − 1 + t.

    Attributes:
        ids: the input of the pass.
        prompt_tokens: P, at least 1.
        predicted: (T,) the token that each row's distribution is asked about.
    """

    ids: np.ndarray
    prompt_tokens: int
    predicted: np.ndarray

    @classmethod
    def of(
        cls, prompt: Sequence[int] | np.ndarray, response: Sequence[int] | np.ndarray
    ) -> KnownTokens:
        """Of the ids of a prompt (P,) and of a response (T,)."""
        response = np.asarray(response, dtype=np.int64)
        ids = np.concatenate([np.asarray(prompt, dtype=np.int64), response[:-1]])
        return cls(ids, len(prompt), response)


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What one layer put out at the rows of a batch, one sequence after another.

    Attributes:
        states: (rows, d), of the model's own type, on its device.
        norms: (rows,) float32.
        change: (rows,) float32, ‖h_t − h_{t−1}‖; nan where no position is before.
        entropies: name → (rows,) float32, those of :data:`ENTROPIES` where they are wanted; nan
            where the layer has no attention weights.
    """

    states: Tensor
    norms: Tensor
    change: Tensor
    entropies: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class OutputRows:
    """The next-token distributions at the same rows, float32 on the host.

    Attributes:
        logprob: (rows,) of the predicted tokens, in nats.
        entropy: (rows,) in nats.
        margin: (rows,) the largest logit minus the second largest.
    """

    logprob: np.ndarray
    entropy: np.ndarray
    margin: np.ndarray


class _Complete(Exception):  # noqa: N818 - no error
    """All that was wanted of a pass is there."""


class TeacherForcing:
    """A model, its decoder layers, and those of them that are watched.

    Args:
        causal_lm: the module whose output has the logits.
        decoder_layers: all of them.
        layers: which ones are watched.
        entropies: whether :data:`ENTROPIES` are wanted too. The model's attention is then eager,
            from now on.

    Raises:
        ConfigError: a model that cannot give them.
    """

    def __init__(
        self,
        causal_lm: Any,
        decoder_layers: Sequence[nn.Module],
        layers: Sequence[int],
        entropies: bool = False,
    ) -> None:
        self._causal_lm = causal_lm
        self._watched = {layer: decoder_layers[layer] for layer in layers}
        self._head: OutputHead | None = None
        if entropies:
            use_eager_attention(causal_lm)
            self._head = OutputHead(causal_lm, decoder_layers)

    @torch.inference_mode()
    def run(
        self,
        batch: Sequence[KnownTokens],
        take: Callable[[int, LayerOutput], None],
        statistics: bool = True,
    ) -> OutputRows | None:
        """One forward pass.

        Args:
            batch: padded on the right here, where causal attention never looks back at it.
            take: gets each watched layer's rows as soon as that layer has run, so that the
                states of no two layers need be held.
            statistics: whether the distributions are wanted. Where they aren't, the pass ends
                with the last watched layer.

        Raises:
            RuntimeError: a watched layer did not run.
        """
        device = next(self._causal_lm.parameters()).device
        ids, mask = _padded(batch, device)
        where = _rows(batch)
        done: set[int] = set()

        def taken(layer: int, rows: LayerOutput) -> None:
            done.add(layer)
            take(layer, rows)
            if not statistics and len(done) == len(self._watched):
                raise _Complete

        output = None
        with suppress(_Complete), ExitStack() as stack:
            for layer, module in self._watched.items():
                watch = None if self._head is None else AttentionWatch(module)
                if watch is not None:
                    stack.callback(watch.remove)
                hook = _hook(layer, where, taken, self._entropies(where, watch))
                handle = module.register_forward_hook(hook)
                stack.callback(handle.remove)
            output = self._causal_lm.base_model(
                input_ids=ids, attention_mask=mask, use_cache=False, return_dict=True
            )
        if len(done) < len(self._watched):
            missing = sorted(set(self._watched) - done)
            raise RuntimeError(f"layers {missing} did not run: capture only those that always do.")
        if not statistics or output is None:
            return None
        last = output.last_hidden_state
        predicted = torch.from_numpy(np.concatenate([s.predicted for s in batch])).to(device)
        return self._outputs(last[where[0].to(last.device), where[1].to(last.device)], predicted)

    def _entropies(
        self, where: tuple[Tensor, Tensor], watch: AttentionWatch | None
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        """What gives a layer's entropies from its states (rows, d), once it has run."""

        def entropies(states: Tensor) -> dict[str, Tensor]:
            if self._head is None or watch is None:
                return {}
            weights = watch.take()
            none = states.new_full(states.shape[:1], torch.nan, dtype=torch.float32)
            attention = none if weights is None else attention_entropy(weights, *where)
            return dict(zip(ENTROPIES, (lens_entropy(self._head, states), attention), strict=True))

        return entropies

    def _outputs(self, last: Tensor, predicted: Tensor) -> OutputRows:
        """Statistics of the rows' distributions from the base's output, (rows, d)."""
        parts = []
        for states, tokens in zip(last.split(_BLOCK), predicted.split(_BLOCK), strict=True):
            logits = head_logits(self._causal_lm, states.unsqueeze(1))[:, -1]
            found = distribution_statistics(logits)
            top = logits.float().topk(min(2, logits.shape[-1]), -1).values
            parts.append(
                torch.stack([found.of_tokens(tokens), found.entropy, top[:, 0] - top[:, -1]])
            )
        table = torch.cat(parts, dim=1).float().cpu().numpy()
        return OutputRows(table[0], table[1], table[2])


def _hook(
    layer: int,
    where: tuple[Tensor, Tensor],
    take: Callable[[int, LayerOutput], None],
    entropies: Callable[[Tensor], dict[str, Tensor]],
) -> Callable[[nn.Module, Any, Any], None]:
    def on_output(module: nn.Module, args: Any, output: Any) -> None:
        hidden = output if isinstance(output, Tensor) else output[0]
        rows, positions = (index.to(hidden.device) for index in where)
        states = hidden[rows, positions]
        before = hidden[rows, (positions - 1).clamp_min(0)]
        wide = torch.promote_types(hidden.dtype, torch.float32)
        change = row_norms(states.to(wide) - before.to(wide)).masked_fill(positions == 0, torch.nan)
        take(layer, LayerOutput(states, row_norms(states), change, entropies(states)))

    return on_output


def _padded(batch: Sequence[KnownTokens], device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(len(s.ids) for s in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.int64)
    mask = torch.zeros(len(batch), width, dtype=torch.int64)
    for row, sequence in enumerate(batch):
        ids[row, : len(sequence.ids)] = torch.from_numpy(sequence.ids)
        mask[row, : len(sequence.ids)] = 1
    return ids.to(device), mask.to(device)


def _rows(batch: Sequence[KnownTokens]) -> tuple[Tensor, Tensor]:
    """Batch row and position of each response row, (rows,) each."""
    lengths = torch.tensor([len(s.predicted) for s in batch])
    rows = torch.repeat_interleave(torch.arange(len(batch)), lengths)
    positions = [torch.arange(len(s.predicted)) + s.prompt_tokens - 1 for s in batch]
    return rows, torch.cat(positions)
