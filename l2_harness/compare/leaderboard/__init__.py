"""Leaderboards of outcomes: who is better than plain, by how much, how surely, at what cost."""

from l2_harness.compare.leaderboard.build import PublishedFigure, leaderboard
from l2_harness.compare.leaderboard.options import Options
from l2_harness.compare.leaderboard.output import write_leaderboard
from l2_harness.compare.leaderboard.table import Board, Leaderboard, Row

__all__ = [
    "Board",
    "Leaderboard",
    "Options",
    "PublishedFigure",
    "Row",
    "leaderboard",
    "write_leaderboard",
]
