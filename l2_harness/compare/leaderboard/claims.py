"""What a suite claims, on one board."""

from __future__ import annotations

from collections.abc import Sequence

from l2_harness.compare.decision import Claim, Decision
from l2_harness.compare.leaderboard.families import Families
from l2_harness.compare.leaderboard.table import ClaimRow, Row
from l2_harness.statistics.paired import Difference
from l2_harness.statistics.verdicts import verdict


def claim_rows(
    decision: Decision | None,
    tested: Families,
    rows: Sequence[Row],
    margin: float | None,
    higher_is_better: bool,
) -> list[ClaimRow]:
    """A row a claim, in the suite's order; none without a plain run to compare with.

    Args:
        decision: with the claims.
        tested: differences between methods.
        rows: of the board, for what methods did.
        margin: within which a difference counts as none, in the metric's unit.
        higher_is_better: of the metric.
    """
    if decision is None or tested.plain is None:
        return []
    edits = {row.method: row.cost.edits for row in rows}
    found = []
    for claim in decision.claims:
        over = claim.over or tested.plain
        difference = _difference(claim, over, tested)
        decided = None
        if difference is not None:
            decided = verdict(difference, margin, higher_is_better=higher_is_better)
        changed = edits.get(claim.method)
        found.append(ClaimRow(claim.says, claim.method, over, difference, decided, changed))
    return found


def _difference(claim: Claim, over: str, tested: Families) -> Difference | None:
    if over == tested.plain:
        return tested.to_plain.get(claim.method)
    return tested.claimed.get((claim.method, over))
