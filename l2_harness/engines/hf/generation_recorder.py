"""Norms and output statistics of every response row while stock ``generate`` runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.signals import SIGNALS
from l2_harness.norms.statistics import DistributionStatistics, distribution_statistics


class GenerationRecorder:
    """One batch of one call of ``generate`` on a decoder-only model.

    Row t is the forward pass that produced token t: row 1 the end of the prompt's pass
    (of its last chunk, where a prompt is prefilled in chunks), each later row one decode
    step. Nothing is moved to the host before :meth:`rows`.

    Args:
        causal_lm: the module whose output has ``logits``.
        norms: the monitored layers.
        prompt_width: positions of the padded prompts.
    """

    def __init__(self, causal_lm: nn.Module, norms: ResidualNorms, prompt_width: int) -> None:
        self._causal_lm = causal_lm
        self._norms = norms
        self._prompt_left = prompt_width
        self._norm_rows: list[Tensor] = []
        self._signals: list[Tensor] = []
        self._latest: DistributionStatistics | None = None
        self._row_a_token = True
        self._batch: int | None = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Hook the model while ``generate`` runs."""
        with self._norms.last_position():
            handle = self._causal_lm.register_forward_hook(self._on_pass, with_kwargs=True)
            try:
                yield
            finally:
                handle.remove()

    def responses(self, tokens: Tensor, lengths: Sequence[int]) -> list[ResponseRows]:
        """Each response's rows, on the host.

        Args:
            tokens: (batch, width) the generated ids, padding after an end included.
            lengths: each response's number of tokens; what follows is dropped, and so is
                a pass that ``generate`` ran and had no use for.
        """
        self._finish(tokens)
        norms = _on_host(self._norm_rows).transpose(2, 0, 1)
        signals = _on_host(self._signals).transpose(2, 1, 0)  # (batch, signals, rows)
        return [
            ResponseRows(norms[i, :n], dict(zip(SIGNALS.names, signals[i, :, :n], strict=True)))
            for i, n in enumerate(lengths)
        ]

    def norms_at(self, step: int, row: int) -> np.ndarray | None:
        """The monitored layers' norms, (layers,), behind the scores of one step and one row.

        None where passes and scores do not go together. Rows may be beams.
        """
        if not self._row_a_token or step >= len(self._norm_rows):
            return None
        norms: np.ndarray = self._norm_rows[step][:, row].float().cpu().numpy()
        return norms

    def follows(self, tokens: Tensor) -> bool:
        """Whether one pass was run for each of these tokens, with a row for each response.

        Beam search, assistants and the like decode otherwise: there is no row of a token then.
        """
        batch, width = tokens.shape
        # generate may look only after a pass whether it was wanted
        enough = width <= len(self._norm_rows) <= width + 1
        return self._row_a_token and enough and self._batch == batch

    def _finish(self, tokens: Tensor) -> None:
        if len(self._signals) < tokens.shape[1]:
            self._measure(tokens)

    def _on_pass(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        norms = self._norms.take()
        in_prompt, width = self._prompt_left > 0, _width(args, kwargs)
        self._batch = norms.shape[1] if self._batch is None else self._batch
        if in_prompt:  # prompt tuning puts embeddings before it
            expected = width <= self._prompt_left or kwargs.get("input_ids") is None
        else:
            expected = width == 1 and not args
        self._row_a_token &= expected and norms.shape[1] == self._batch
        if not self._row_a_token:
            return
        self._prompt_left -= width
        if self._prompt_left > 0:
            return
        if not in_prompt:
            # the token fed to this pass is the one that the previous pass produced
            self._measure(kwargs["input_ids"])
        self._latest = distribution_statistics(output.logits[:, -1])
        self._norm_rows.append(norms)

    def _measure(self, tokens: Tensor) -> None:
        """The latest pass's signals, its tokens being the last of (batch, width)."""
        assert self._latest is not None
        last = tokens[:, -1].to(self._latest.log_probs.device)
        self._signals.append(self._latest.signals(last))


def _width(args: Any, kwargs: Any) -> int:
    """Positions that a pass covers."""
    for name in ("input_ids", "inputs_embeds"):
        if kwargs.get(name) is not None:
            return int(kwargs[name].shape[1])
    return int(args[0].shape[1])


def _on_host(rows: list[Tensor]) -> np.ndarray:
    return torch.stack(rows).float().cpu().numpy()
