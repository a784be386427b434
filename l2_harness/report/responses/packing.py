"""Responses as the page's script reads them: plain JSON, the norms in 16 bits each.

A norm x at a layer is stored as the nearest of 65,535 evenly spaced values between the
response's least and largest norm there, so it is shown to within 1/130,000 of that range.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2_harness.config.techniques import event_kinds
from l2_harness.report.responses.views import ResponseSet, ResponseView

#: Stands for a norm that is not finite.
NO_NORM = 65_535
_STEPS = NO_NORM - 1
#: Colours that the scale is cut into.
_COLOURS = 64


def packed(responses: ResponseSet) -> dict[str, Any]:
    """The page's data; plain values throughout."""
    views = responses.views
    return {
        "run": responses.run_id,
        "layers": [int(layer) for layer in responses.layers],
        "threshold": responses.threshold,
        "colours": colour_map(),
        "events": {n: [k.meaning, k.value_is] for n, k in event_kinds().items()},
        "range": _ranges([view.norms for view in views if view.norms is not None]),
        "responses": [_packed(view) for view in views],
    }


def colour_map(n: int = _COLOURS) -> list[str]:
    """``n`` colours from low to high, as ``#rrggbb``.

    Cividis: its lightness rises evenly, and it looks nearly the same with and without the common
    kinds of colour blindness (Nuñez, Anderton and Renslow, PLOS ONE 2018).
    """
    import matplotlib
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in matplotlib.colormaps["cividis"](np.linspace(0, 1, n))]


def _packed(view: ResponseView) -> dict[str, Any]:
    return {
        "task": view.task,
        **{name: int(getattr(view, name)) for name in ("doc_id", "idx", "repeat", "sample")},
        "verdict": view.verdict,
        "metric": view.metric,
        "prompt": view.prompt,
        "question": view.question,
        "reference": view.reference,
        "extracted": view.extracted,
        "finish": view.finish_reason,
        "thinking_end": view.thinking_end,
        "pieces": list(view.pieces),
        "special": [int(row) for row in view.special],
        "logprob": _rounded(view.logprob),
        "entropy": _rounded(view.entropy),
        "events": [_event(event) for event in view.events if event["kind"] != "counters"],
        "counters": _counters(view.events),
        **_norms(view),
    }


def _norms(view: ResponseView) -> dict[str, Any]:
    if view.norms is None:
        return {"norms": None}
    by_layer = np.asarray(view.norms, dtype=np.float64).T  # (L, T)
    finite = np.isfinite(by_layer)
    low = np.where(finite, by_layer, np.inf).min(axis=1, initial=np.inf)
    high = np.where(finite, by_layer, -np.inf).max(axis=1, initial=-np.inf)
    low, high = (np.where(np.isfinite(end), end, 0.0) for end in (low, high))
    step = np.where(high > low, (high - low) / _STEPS, 1.0)
    places = np.rint((np.where(finite, by_layer, low[:, None]) - low[:, None]) / step[:, None])
    codes = np.where(finite, places, NO_NORM).astype("<u2")
    # Judged before rounding, so that no norm close to τ changes sides.
    peaks = by_layer > np.asarray(view.tau)[:, None]
    return {
        "norms": base64.b64encode(codes.tobytes()).decode("ascii"),
        "low": low.tolist(),
        "step": step.tolist(),
        "tau": [_finite(value) for value in view.tau.tolist()],
        "peaks": [
            np.flatnonzero(layer & ok).tolist() for layer, ok in zip(peaks, finite, strict=True)
        ],
        "range": _ranges([view.norms]),
    }


def _ranges(norms: Sequence[np.ndarray]) -> list[list[float]]:
    """(L, 2) the norms that the ends of the colour scale stand for: the 2nd and 98th percentile.

    A few rows of very large norm would else leave one colour to all others.
    """
    if not norms:
        return []
    by_layer = np.concatenate([np.asarray(n, dtype=np.float64) for n in norms]).T
    finite = [layer[np.isfinite(layer)] for layer in by_layer]
    return [np.percentile(v, [2, 98]).tolist() if len(v) else [0.0, 1.0] for v in finite]


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "row": int(event["row"]),
        "layer": int(event["layer"]),
        "kind": str(event["kind"]),
        "value": _finite(event["value"]),
        "detail": _detail(event["detail"]),
    }


def _detail(text: str | None) -> dict[str, str]:
    """Name → text; what is no JSON object is one text without a name."""
    if not text:
        return {}
    try:
        # Details may hold NaN and Infinity, which the page's JSON may not.
        found = json.loads(text)
    except ValueError:
        found = text
    if not isinstance(found, dict):
        return {"": str(found)}
    return {str(name): _shown(value) for name, value in found.items()}


def _shown(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _counters(events: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Counters summed over layers, those that are not 0."""
    totals: dict[str, int] = {}
    for event in events:
        if event["kind"] == "counters":
            for name, number in _detail(event["detail"]).items():
                if number.lstrip("-").isdigit():
                    totals[name] = totals.get(name, 0) + int(number)
    return {name: number for name, number in totals.items() if number and name != "rows"}


def _rounded(values: np.ndarray | None) -> list[float | None] | None:
    """Four significant digits."""
    if values is None:
        return None
    return [_finite(float(f"{value:.4g}")) for value in np.asarray(values, dtype=float).tolist()]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
