from __future__ import annotations

import base64
import json
from collections.abc import Callable

import numpy as np

from l2_harness.report import ResponseSet, ResponseView
from l2_harness.report.responses.packing import NO_NORM, packed

MakeView = Callable[..., ResponseView]
MakeSet = Callable[..., ResponseSet]


def unpacked(response: dict[str, object], n_layers: int) -> np.ndarray:
    """(T, L) as the page's script gets them."""
    codes = np.frombuffer(base64.b64decode(str(response["norms"])), "<u2").reshape(n_layers, -1)
    low, step = np.array(response["low"]), np.array(response["step"])
    return np.where(codes == NO_NORM, np.nan, low[:, None] + codes * step[:, None]).T


def test_norms_are_close_and_peaks_exact(make_view: MakeView, make_responses: MakeSet) -> None:
    view = make_view(["a"] * 300, 3)
    norms = np.array(view.norms)
    norms[7, 1] = np.nan
    norms[8, 1] = np.inf
    norms[:, 2] = 5.0  # a layer without any range
    view = make_view(["a"] * 300, 3, norms=norms, tau=np.array([160.0, 230.0, np.nan]))
    (found,) = packed(make_responses(view))["responses"]
    values = unpacked(found, 3)
    finite = np.isfinite(norms)
    assert (np.isfinite(values) == finite).all()
    ranges = [np.ptp(norms[finite[:, i], i]) for i in range(3)]
    errors = [np.abs(values - norms)[finite[:, i], i].max() for i in range(3)]
    assert all(e <= r / 130_000 + 1e-9 for e, r in zip(errors, ranges, strict=True))
    assert found["peaks"] == [
        [t for t in range(300) if np.isfinite(norms[t, i]) and norms[t, i] > tau]
        for i, tau in enumerate([160.0, 230.0, np.nan])
    ]
    assert found["peaks"][0]
    assert found["tau"] == [160.0, 230.0, None]


def test_colours_span_the_middle_of_the_norms(make_view: MakeView, make_responses: MakeSet) -> None:
    views = [make_view(["a"] * 50, i) for i in range(3)]
    data = packed(make_responses(*views))
    together = np.concatenate([np.array(view.norms) for view in views])
    np.testing.assert_allclose(data["range"], np.percentile(together, [2, 98], axis=0).T)
    np.testing.assert_allclose(
        data["responses"][1]["range"], np.percentile(np.array(views[1].norms), [2, 98], axis=0).T
    )


def test_events_and_counters(make_view: MakeView, make_responses: MakeSet) -> None:
    events = [
        {
            "row": 1,
            "layer": 4,
            "kind": "recursion",
            "value": 1.0,
            "detail": '{"norm": NaN, "k": 2}',
        },
        {"row": 2, "layer": 5, "kind": "odd", "value": float("nan"), "detail": "no JSON <b>"},
        {"row": 3, "layer": 5, "kind": "odd", "value": None, "detail": None},
        {
            "row": 4,
            "layer": 4,
            "kind": "counters",
            "value": None,
            "detail": '{"rows": 5, "peaks": 2}',
        },
        {
            "row": 4,
            "layer": 5,
            "kind": "counters",
            "value": None,
            "detail": '{"rows": 5, "peaks": 3}',
        },
    ]
    data = packed(make_responses(make_view(["a"] * 5, events=events)))
    (found,) = json.loads(json.dumps(data, allow_nan=False))["responses"]
    assert [(e["kind"], e["value"], e["detail"]) for e in found["events"]] == [
        ("recursion", 1.0, {"norm": "nan", "k": "2"}),
        ("odd", None, {"": "no JSON <b>"}),
        ("odd", None, {}),
    ]
    assert found["counters"] == {"peaks": 5}


def test_a_response_without_norms(make_view: MakeView, make_responses: MakeSet) -> None:
    data = packed(make_responses(make_view(["a"], norms=None, logprob=None, entropy=None)))
    (found,) = data["responses"]
    assert (found["norms"], found["logprob"], data["range"]) == (None, None, [])
