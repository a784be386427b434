"""Sections and responses in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.findings.figures import new_figure
from l2_harness.findings.section import Figure, Section, Table, write_section
from l2_harness.report import ResponseSet, ResponseView

LAYERS = (4, 5, 9)
HOSTILE = (
    "<script>window.__pwned = 1</script>",
    "</script><script>window.__pwned = 2</script>",
    '<img src=x onerror="window.__pwned = 3">',
    '" onmouseover="window.__pwned = 4" x=\'',
    "<a href='javascript:window.__pwned=5'>press</a>",
    "<!--",
    "--></style>{{ 7 * 7 }}&lt;&amp;",
    "\u2028line\u2029separators",
    "\u202egnol dna desrever\u202c",
    "\x00\x07\x1b[31m",
    "https://example.com/x.js",
)


def _view(pieces: Sequence[str], number: int = 0, **changes: Any) -> ResponseView:
    rng = np.random.default_rng(number)
    rows = len(pieces)
    norms = rng.lognormal(5, 0.3, (rows, len(LAYERS))).astype(np.float32) * np.array(
        [1, 1.5, 4], dtype=np.float32
    )
    defaults: dict[str, Any] = {
        "task": "gsm8k",
        "doc_id": number,
        "idx": 0,
        "repeat": 0,
        "sample": 0,
        "pieces": list(pieces),
        "special": [rows - 1],
        "norms": norms,
        "tau": np.quantile(norms, 0.9, axis=0),
        "logprob": -rng.exponential(size=rows).astype(np.float32),
        "entropy": rng.exponential(size=rows).astype(np.float32),
        "events": [],
        "finish_reason": "eos",
        "thinking_end": rows // 2,
        "prompt": f"user: question {number}",
        "question": f"question {number}",
        "reference": "4",
        "extracted": "4" if number % 2 else "5",
        "verdict": "correct" if number % 2 else "wrong",
        "metric": f"exact_match {number % 2}",
    }
    return ResponseView(**{**defaults, **changes})


@pytest.fixture(scope="session")
def make_view() -> Callable[..., ResponseView]:
    """``make_view(pieces, number, **columns)``: a response; odd numbers are correct."""
    return _view


@pytest.fixture(scope="session")
def make_responses() -> Callable[..., ResponseSet]:
    """``make_responses(*views)``: a set of them."""

    def make(*views: ResponseView) -> ResponseSet:
        return ResponseSet(
            run_id="run1", layers=LAYERS, views=views, chosen="All of them.", threshold="a quantile"
        )

    return make


def _section(name: str = "norms", **changes: Any) -> Section:
    drawing, (axes,) = new_figure("a line")
    axes.plot([0, 1], [2, 3])
    frame = pd.DataFrame(
        {
            "layer": range(30),
            "auroc": np.linspace(0.7, 0.4, 30),
            "auroc_low": np.linspace(0.66, 0.36, 30),
            "auroc_high": np.linspace(0.74, 0.44, 30),
        }
    )
    ranks = pd.DataFrame(
        {
            "rank": [1, 2, 2, 10],
            "system": ["b10", "a", "b9", "C"],
            "rate": [np.nan, 3.5, 0.25, -20.0],
            "verdict": ["no difference shown", "worse", "worse", "not enough questions"],
        }
    )
    defaults: dict[str, Any] = {
        "title": "Norms & correctness",
        "findings": ["The first finding of `norms`: 0.61 (0.55 to 0.67).", "The second finding."],
        "caveats": ["One model only."],
        "settings": {"resamples": 2000, "nested": {"seed": 0}, "path": None},
        "command": "l2-harness analyze traces --out results",
        "tables": [
            Table("by_layer", "By layer", frame, "A caption.", {"auroc": "area under the curve"}),
            Table("ranks", "Ranks", ranks),
        ],
        "figures": [Figure("line", "A line", "It rises.", "a rising line", drawing)],
    }
    return Section(name=name, **{**defaults, **changes})


@pytest.fixture(scope="session")
def make_section() -> Callable[..., Section]:
    """``make_section(name, **attributes)``: a section to be written."""
    return _section


@pytest.fixture(scope="session")
def hostile() -> Sequence[str]:
    """What a model may write to break out of a page."""
    return HOSTILE


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sections, one of them a folder deeper and full of markup."""
    folder = tmp_path_factory.mktemp("results")
    write_section(_section(order=10), folder)
    frame = pd.DataFrame({"<b>text</b>": HOSTILE, "n": range(len(HOSTILE))})
    hostile = Section(
        name="hostile",
        title=HOSTILE[0],
        order=5,
        findings=HOSTILE,
        caveats=HOSTILE,
        settings=dict.fromkeys(HOSTILE, HOSTILE[2]),
        command=HOSTILE[1],
        tables=[Table("texts", HOSTILE[2], frame, HOSTILE[1], {"n": HOSTILE[3]})],
    )
    write_section(hostile, folder / "deeper #1: a")
    return folder
