"""Which responses are under way, and which rows of theirs a forward pass brings.

All on the host: an engine knows slots and positions there, so none of this touches a device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.interventions.edit_plans import RecordedEdits
from l2_harness.interventions.row_draws import RowDraws
from l2_harness.interventions.row_set import Editable, RowSet, SlotMap, Waves

_NONE = np.empty(0, dtype=np.int64)
_ALWAYS = 2**31


@dataclass(frozen=True)
class Response:
    """What the interventions know of one response.

    Attributes:
        key: of its random numbers, :func:`~l2_harness.random_numbers.stream_key`.
        prompt_tokens: positions of its prompt; its row 0 is the last of them.
        scored: a continuation that is scored, not generated (a loglikelihood request): the
            context's rows make the threshold, and row 0 may be edited too.
        recorded: what a recorded run changed in the same response, for random controls that
            match it.
    """

    key: int
    prompt_tokens: int
    scored: bool = False
    recorded: RecordedEdits | None = None


@dataclass(frozen=True)
class ContextRows:
    """Prompt rows of a pass that enter the threshold and are never judged: not the first position.

    Attributes:
        index: (n,) where they lie in the pass.
        slots: (n,) whose they are.
        is_new: (n,) bool, False for those of a replay.
    """

    index: np.ndarray
    slots: np.ndarray
    is_new: np.ndarray


@dataclass(frozen=True)
class Pass:
    """The rows of one forward pass.

    Attributes:
        size: rows that the pass has, ignored ones included.
        context: prompt rows that enter the threshold.
        judged: response rows.
        is_new: (judged,) bool, False for rows that were seen before a replay.
        waves: the judged rows in parts with at most one row a response, in order; ``index``
            counts in ``judged``. One part, ``judged`` itself, in a decode step.
        restarted: slots whose response begins anew: their state is to be cleared.
    """

    size: int
    context: ContextRows | None
    judged: RowSet
    is_new: np.ndarray
    waves: Waves
    restarted: np.ndarray


@dataclass
class PooledRows:
    """How many rows of a run have entered its pooled thresholds so far."""

    total: int = 0


class _Latest:
    """The latest pass, of which the next one is most often the continuation."""

    def __init__(self, step: Pass, positions: np.ndarray) -> None:
        self.step = step
        self.positions = positions.copy()
        # Bytes compare in a fraction of the time that numpy takes for so few numbers.
        self._slots = step.judged.slots.tobytes()
        self._expected = (positions + 1).tobytes()

    def is_followed_by(self, slots: np.ndarray, positions: np.ndarray) -> bool:
        """Whether a pass has the same responses, each one position further."""
        return positions.tobytes() == self._expected and slots.tobytes() == self._slots


class ResponseLedger:
    """The responses in the slots, and how far each has come.

    Args:
        n_slots: responses at a time.
        layers: the monitored layers.
        warmups: technique → rows at the start that it never edits.
        prompt_counts: whether prompt rows enter the threshold (``threshold_prompt``).
        pooled: the run's count of rows, where the warm-up is the run's, not the response's.
    """

    def __init__(
        self,
        n_slots: int,
        layers: Sequence[int],
        warmups: Mapping[str, int],
        prompt_counts: bool = False,
        pooled: PooledRows | None = None,
    ) -> None:
        self.n_slots = n_slots
        self._warmups = dict(warmups)
        self._prompt_counts = prompt_counts
        self._pooled = pooled
        self._draws = RowDraws(n_slots, layers)
        #: (n_slots,) int64, the number of each slot's response: from 1, no two ever the same.
        self.numbers = np.zeros(n_slots, dtype=np.int64)
        self._numbered = 0
        self._keys = np.zeros(n_slots, dtype=np.uint64)
        self._scored = np.zeros(n_slots, dtype=bool)
        self._row_zero = np.full(n_slots, -1, dtype=np.int64)  # -1: no response here
        self._first = np.zeros(n_slots, dtype=np.int64)
        self._next = np.zeros(n_slots, dtype=np.int64)
        self._seen_to = np.zeros(n_slots, dtype=np.int64)
        self._slot_map = SlotMap(np.arange(n_slots), n_slots)
        self._latest: _Latest | None = None
        self._begun: list[int] = []  # slots in which a second or later response has begun

    def start(self, slot: int, response: Response) -> None:
        """Put a response in a slot; whatever was there is over.

        Raises:
            ValueError: no such slot, or a prompt of no token.
        """
        if not 0 <= slot < self.n_slots or response.prompt_tokens < 1:
            raise ValueError(
                f"slot {slot} with prompt_tokens={response.prompt_tokens}: slots are 0 to "
                f"{self.n_slots - 1}, and a prompt has at least one token."
            )
        self._settle()
        from_start = self._prompt_counts or response.scored
        if self.numbers[slot]:
            self._begun.append(slot)
        self._number(slot)
        self._keys[slot] = response.key
        self._scored[slot] = response.scored
        self._row_zero[slot] = response.prompt_tokens - 1
        self._first[slot] = 0 if from_start else response.prompt_tokens - 1
        self._next[slot] = self._seen_to[slot] = self._first[slot]

    def end(self, slot: int) -> None:
        """The response in a slot is over; there is none until the next one starts."""
        self._settle()
        self._row_zero[slot] = -1
        self._number(slot)

    def _number(self, slot: int) -> None:
        self._numbered += 1
        self.numbers[slot] = self._numbered

    def admit(self, slots: np.ndarray, positions: np.ndarray) -> Pass:
        """Take note of the rows of a pass.

        Args:
            slots: (n,) whose rows they are, in any order; one response's in ascending order.
            positions: (n,) absolute, from 0 at the prompt's first token, padding left out.
                A response continues where it stopped, or starts anew at its prompt (a replay
                after preemption).

        Raises:
            ValueError: a slot without a response, or a position that is skipped or comes again.
        """
        following = self._following(slots, positions)
        if following is not None:
            return following
        self._settle()
        if len(slots) != len(positions) or (self._row_zero[slots] < 0).any():
            raise ValueError("A pass needs a position for each row, and a response in each slot.")
        if self._is_next_step(slots, positions):
            return self._step(slots, positions)
        kept = np.ones(len(slots), dtype=bool)
        for slot in np.unique(slots):
            self._advance(slot, slots, positions, kept)
        return self._several(slots, positions, kept)

    def _following(self, slots: np.ndarray, positions: np.ndarray) -> Pass | None:
        """The usual step: one row more of the very responses that the latest one had."""
        if self._latest is None or not self._latest.is_followed_by(slots, positions):
            return None
        latest = self._latest.step
        rows = latest.judged.next_rows()
        following = Pass(len(slots), None, rows, latest.is_new, Waves([rows]), _NONE)
        self._look_for(following, positions)
        return following

    def _look_for(self, step: Pass, positions: np.ndarray) -> None:
        """Expect a step's continuation, unless what may be edited then is another."""
        if step.judged.same_for > 0:
            self._latest = _Latest(step, positions)
        else:
            self._latest = None
            self._next[step.judged.slots] = positions + 1

    def _settle(self) -> None:
        """Write down how far the responses of the latest steps have come."""
        if self._latest is not None:
            self._next[self._latest.step.judged.slots] = self._latest.positions + 1
            self._latest = None

    def _is_next_step(self, slots: np.ndarray, positions: np.ndarray) -> bool:
        """Whether these are one response row each, of responses that go on."""
        expected = (positions == self._next[slots]) & (positions >= self._row_zero[slots])
        if not expected.all():
            return False
        if not np.array_equal(slots, self._slot_map.slots):
            if len(set(slots.tolist())) < len(slots):
                return False
            self._slot_map = SlotMap(slots.copy(), self.n_slots)
        return True

    def _step(self, slots: np.ndarray, positions: np.ndarray) -> Pass:
        slots = self._slot_map.slots  # equal, and not the engine's to change
        is_new = positions >= self._seen_to[slots]
        self._pool(slots, positions, is_new)
        rows = self._row_set(slots, positions, None, self._slot_map)
        if is_new.all():
            rows.same_for = self._same_for(slots, positions)
        step = Pass(len(slots), None, rows, is_new, Waves([rows]), self._take_begun())
        self._look_for(step, positions)
        return step

    def _same_for(self, slots: np.ndarray, positions: np.ndarray) -> int:
        """For how many more rows each response keeps what it counts and may be edited in."""
        if self._pooled is not None or self._scored[slots].any():
            return 0
        left = [self._row_zero[slots] + 1 - positions]  # until it may be edited for the first time
        left += [self._first[slots] + warmup - positions for warmup in self._warmups.values()]
        return min((rows for own in left for rows in own.tolist() if rows > 0), default=_ALWAYS) - 1

    def _advance(
        self, slot: int, slots: np.ndarray, positions: np.ndarray, kept: np.ndarray
    ) -> None:
        """Move one response on; clear ``kept`` where a row counts nowhere."""
        where = np.flatnonzero(slots == slot)
        own = positions[where]
        if (np.diff(own) != 1).any() or own[0] < 0:
            raise ValueError(
                f"Slot {slot} has the positions {own.tolist()} in one pass: a response's rows "
                "come in order, without gaps."
            )
        kept[where[own < self._first[slot]]] = False
        begins_again = own[0] <= self._first[slot] < self._next[slot]
        if begins_again:
            self._seen_to[slot] = max(self._seen_to[slot], self._next[slot])
            self._next[slot] = self._first[slot]
        counted = own[own >= self._first[slot]]
        if len(counted) and counted[0] != self._next[slot]:
            raise ValueError(
                f"Slot {slot} is at position {self._next[slot]}, but the pass has {counted[0]}: "
                f"no row may be left out, and a replay starts at {self._first[slot]} or before."
            )
        if len(counted):
            self._next[slot] = counted[-1] + 1
        if begins_again:
            self._number(slot)
            self._begun.append(slot)

    def _several(self, slots: np.ndarray, positions: np.ndarray, kept: np.ndarray) -> Pass:
        is_new = positions >= self._seen_to[slots]
        self._pool(slots, positions, kept & is_new)
        is_judged = positions >= self._row_zero[slots]
        index = np.flatnonzero(kept & is_judged)
        context = np.flatnonzero(kept & ~is_judged & (positions > 0))
        rows = self._row_set(slots[index], positions[index], index, None)
        return Pass(
            len(slots),
            ContextRows(context, slots[context], is_new[context]) if len(context) else None,
            rows,
            is_new[index],
            self._waves(rows),
            self._take_begun(),
        )

    def _take_begun(self) -> np.ndarray:
        begun, self._begun = self._begun, []
        return np.array(begun, dtype=np.int64)

    def _pool(self, slots: np.ndarray, positions: np.ndarray, is_new: np.ndarray) -> None:
        if self._pooled is not None:
            self._pooled.total += int((is_new & self._counts(slots, positions)).sum())

    def _counts(self, slots: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Whether each row enters the threshold: of a scored response, only the context's."""
        counts: np.ndarray = ~self._scored[slots] | (positions <= self._row_zero[slots])
        return counts

    def _row_set(
        self,
        slots: np.ndarray,
        positions: np.ndarray,
        index: np.ndarray | None,
        slot_map: SlotMap | None,
    ) -> RowSet:
        rows = positions - self._row_zero[slots]
        may_edit = (rows >= 1) | self._scored[slots]
        warm = positions - self._first[slots] + 1 if self._pooled is None else self._pooled.total
        return RowSet(
            slots,
            rows,
            self.numbers[slots],
            index,
            self._keys[slots],
            self._counts(slots, positions),
            {name: Editable(may_edit & (warm > n)) for name, n in self._warmups.items()},
            slot_map,
            self._draws,
        )

    def _waves(self, rows: RowSet) -> Waves:
        """The k-th row of every response, for each k."""
        order = np.argsort(rows.slots, kind="stable")
        ordered = rows.slots[order]
        starts = np.searchsorted(ordered, ordered)
        turn = np.empty(len(order), dtype=np.int64)
        turn[order] = np.arange(len(order)) - starts
        parts = [np.flatnonzero(turn == k) for k in range(turn.max(initial=-1) + 1)]
        maps = [SlotMap(rows.slots[part], self.n_slots) for part in parts]
        return Waves([rows.take(*both) for both in zip(parts, maps, strict=True)])
