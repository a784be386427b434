"""Problems that the shipped model was trained on, so that no split may hold them.

Short problems repeat: of those that the splits would otherwise have drawn, the shipped model's
training had met these, as a replay of its stream found. Training itself leaves out every problem
of every split.
"""

from __future__ import annotations

SEEN = frozenset(
    {
        "10460bdc8e39125c",
        "16fdac9beb7a7817",
        "1fcc75c35c1cecf3",
        "32e028ef99f47783",
        "46b044310a5c8d8d",
        "5d2f567244693f50",
        "5fbba2c91d8b7a34",
        "6707651c448841c3",
        "6cd0363986651eba",
        "6f9721706910ebe3",
        "78c1536cc9cc6bd1",
        "89d8db10c8d6da3d",
        "8a0872b8295e759a",
        "8c3fc22425a2909d",
        "a619c49517de2422",
        "b09173332cd7ad26",
        "bb2f2f943fdc499d",
        "bbd5f1ca78187b5b",
        "bcf45602725fe827",
        "c325770060ed4d8f",
        "c3c318fdc3974c62",
        "c6092ca65aeef067",
        "ca0ff23858ae442d",
        "dca458739e34ab73",
        "dddbc60ea5be2245",
        "de91f8398060f79c",
        "e1cd2dabcd1e4410",
        "e5a7b9f0a75324e8",
        "e5b14a914b340a17",
        "f103d77d8a0ec064",
        "f98d8389cdd1f9a1",
    }
)
"""Fingerprints, as of :func:`l2_harness.demo.problems.fingerprint`."""
