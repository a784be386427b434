"""EGLR, the rival of ALRR: where the next token is uncertain, the top layers run again.

Source: entropy-gated recursion of the top L layers, at most K times, until the next-token
distribution converges (arXiv 2606.16620). Convergence is a divergence KL(new ‖ old) below a
tolerance; a result that is not finite is dropped and ends the row's recursion.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from l2_harness.config.recursion import RecursionConfig
from l2_harness.interventions.layer_technique import RunAgain
from l2_harness.interventions.mixing import relative_change, weighted_sum, where_rows
from l2_harness.interventions.row_set import RowSet
from l2_harness.interventions.step_log import StepLog
from l2_harness.norms.row_norms import row_norms

#: Next-token log-probabilities of states: (m, d) after the last layer, those of the rows (m,)
#: of the states that were handed over; (m, vocabulary).
LogProbs = Callable[[Tensor, Tensor], Tensor]


class EntropyRecursion:
    """Recursion of the top layers, ``layer`` being the last one."""

    def __init__(self, config: RecursionConfig, layer: int, log: StepLog) -> None:
        self._config = config
        self._layer = layer
        self._log = log

    def run(
        self, rows: RowSet, hidden: Tensor, run_top_again: RunAgain, log_probs: LogProbs
    ) -> Tensor:
        """The states after recursion, hidden: (n, d) after the last layer.

        Itself where no row's entropy is above the gate. One host synchronisation, and one
        for each pass that runs: its number of rows has to be known.
        """
        before = log_probs(hidden, torch.arange(len(hidden), device=hidden.device))
        entropy = entropies(before)
        gate = rows.only_editable("recursion", entropy > self._config.recursion_entropy)
        gate = gate & row_norms(hidden).isfinite()
        which = gate.cpu().numpy().nonzero()[0]
        if not len(which):
            return hidden
        index = torch.from_numpy(which).to(hidden.device)
        states, passes, kept = self._passes(
            hidden[index], before[index], index, run_top_again, log_probs
        )
        self._log.add(
            *("entropy", self._layer, rows.take(which, None), None),
            *(passes, kept, passes - kept, entropy[index]),
            relative_change(hidden[index], states),
        )
        if self._config.recursion_alpha == 0:
            return hidden
        return hidden.index_copy(0, index, states)

    def _passes(
        self,
        states: Tensor,
        before: Tensor,
        index: Tensor,
        run_top_again: RunAgain,
        log_probs: LogProbs,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The final states, how many passes each row had, and how many of them were kept."""
        passes = torch.zeros_like(index)
        kept = torch.zeros_like(index)
        active = torch.arange(len(index), device=index.device)
        for _ in range(self._config.passes):
            old = states[active]
            again = run_top_again(old, index[active])
            finite = row_norms(again).isfinite()
            new = where_rows(finite, self._mix(old, again), old)
            after = log_probs(new, index[active])
            states = states.index_copy(0, active, new)
            passes = passes.index_add(0, active, torch.ones_like(active))
            kept = kept.index_add(0, active, finite.long())
            moves = divergences(after, before) >= self._config.recursion_tolerance
            goes_on = finite & moves
            active, before = active[goes_on], after[goes_on]
            if not len(active):
                break
        return states, passes, kept

    def _mix(self, states: Tensor, again: Tensor) -> Tensor:
        alpha = self._config.recursion_alpha
        if alpha in (0, 1):
            return again if alpha else states
        return weighted_sum(states, 1 - alpha, again, alpha)


def entropies(log_probs: Tensor) -> Tensor:
    """−Σ p log p in nats, log_probs: (n, vocabulary); (n,). A token of p = 0 adds nothing."""
    return -(log_probs.exp() * _possible(log_probs)).sum(-1)


def divergences(after: Tensor, before: Tensor) -> Tensor:
    """KL(after ‖ before) in nats, both (n, vocabulary) log-probabilities; (n,)."""
    return (after.exp() * (_possible(after) - _possible(before))).sum(-1)


def _possible(log_probs: Tensor) -> Tensor:
    return torch.where(log_probs > -torch.inf, log_probs, 0.0)
