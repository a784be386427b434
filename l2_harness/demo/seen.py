"""Problems that the shipped model was trained on, so that no split may hold them.

Short problems repeat: of those that the splits would otherwise have drawn, the shipped model's
training had met these, as a replay of its stream found. Training itself leaves out every problem
of every split.
"""

from __future__ import annotations

SEEN = frozenset(
    {
        "090bdcba0414e8f6",
        "1fcc75c35c1cecf3",
        "20018cd44d0d1747",
        "6707651c448841c3",
        "983b605f4f7ac33f",
        "a0611da1b6f446c6",
        "a10e9ce2a165e49a",
        "c495d29111563fe9",
        "cf52d67179894a62",
        "d7f4ce555af9aa44",
        "fe3227af6078a43a",
    }
)
"""Fingerprints, as of :func:`l2_harness.demo.problems.fingerprint`."""
