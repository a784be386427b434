"""``intervene_on=all``: each request has its own threshold and edits, whatever row it shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from l2_harness.config import ConfigError
from l2_harness.engines.decoder_layers import find_decoder_layers
from l2_harness.interventions.reports import recorded_counters
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import TraceEvent, read_traces

LAYERS = (9, 10)
K = 0.0
WARMUP = 4
ACTING: dict[str, Any] = {
    "suppression": "peaks",
    "threshold_k": K,
    "threshold_warmup": WARMUP,
    "intervene_on": "all",
}
TEXT = "Ada has 12 shells . Ben has 7 more than Ada . How many shells does Ben have ?"


def demo(folder: Path | None = None, **args: Any) -> L2HF:
    record = {"record": "tokens", "trace_dir": str(folder)} if folder else {"record": "off"}
    return L2HF("demo", device="cpu", batch_size=8, seed=1, **{**record, **ACTING, **args})


@pytest.fixture
def splits(instances: Callable[..., list[Any]]) -> list[Any]:
    """One text, split in four places; and another one with one-token choices."""
    words = TEXT.split()
    pairs = [(" ".join(words[:n]), " " + " ".join(words[n:])) for n in (17, 9, 13, 6)]
    choices = [(" ".join(words[:12]), f" {word}") for word in ("Ada", "Ben", "12", "7")]
    return instances("loglikelihood", [*pairs, *choices])


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("args", [{}, {"recursion": "norm", "recursion_min_growth": 0}], ids=str)
def test_requests_of_one_text_split_elsewhere_are_as_if_alone(
    recorded: bool, args: dict[str, Any], splits: list[Any], tmp_path: Path
) -> None:
    lm = demo(tmp_path if recorded else None, **args)
    alone = [demo(**args).loglikelihood([request])[0][0] for request in splits]
    together = [score for score, _ in lm.loglikelihood(splits)]
    assert together == pytest.approx(alone, rel=1e-4)
    plain = [score for score, _ in demo(suppression="off").loglikelihood(splits)]
    assert sum(abs(a - b) > 1e-3 for a, b in zip(alone, plain, strict=True)) > 2


def test_traces_and_the_result_file_count_alike(splits: list[Any], tmp_path: Path) -> None:
    """Choices of one token share a row of the pass; each counts."""
    lm = demo(tmp_path)
    lm.loglikelihood(splits)
    told = lm.get_model_info()["l2"]["interventions"]
    by_layer: dict[int, dict[str, float]] = {}
    for events in read_traces(tmp_path).events:
        for layer, counts in recorded_counters(TraceEvent(**e) for e in events).items():
            sums = by_layer.setdefault(layer, {})
            for name, number in counts.items():
                sums[name] = sums.get(name, 0) + number
    assert told["responses"] == len(splits)
    assert {int(layer) for layer in told["layers"]} == by_layer.keys()
    for layer, counts in told["layers"].items():
        assert {n: c for n, c in counts.items() if c} == pytest.approx(by_layer[int(layer)])
    again = demo(tmp_path)
    again.loglikelihood(splits)
    assert again.get_model_info()["l2"]["interventions"] == told


def slow_threshold(norms: list[float]) -> float:
    q1, q3 = np.percentile(norms, [25, 75])
    return float(q3 + K * max(q3 - q1, 1e-3))


@contextmanager
def slowly_suppressed(model: Any, skipped: int) -> Iterator[None]:
    """Row after row by the definition: its norm counts, then it is judged, unless in warm-up.

    Of the rows that are scored: ``skipped`` ones before them do not count.
    """

    def on_output(module: Any, args: Any, output: Any) -> Any:
        hidden: Tensor = output if isinstance(output, Tensor) else output[0]
        edited, norms = hidden.clone(), []
        for row in range(skipped, hidden.shape[1]):
            norms.append(float(hidden[0, row].norm()))
            if len(norms) > WARMUP and norms[-1] > slow_threshold(norms):
                edited[0, row] = 0.1 * hidden[0, row]
        return edited if isinstance(output, Tensor) else (edited, *output[1:])

    handles = [find_decoder_layers(model)[i].register_forward_hook(on_output) for i in LAYERS]
    yield
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("max_length", [64, 20])
def test_rolling_is_acted_on_by_the_rows_so_far(
    max_length: int, instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    """Window by window, as a response that is generated."""
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    lm = demo(tmp_path, max_length=max_length)
    (request,) = instances("loglikelihood_rolling", [(TEXT * 2,)])
    (score,) = lm.loglikelihood_rolling([request])
    expected, n_edits = 0.0, 0
    windows = get_rolling_token_windows(
        lm.tok_encode(TEXT * 2), lm.prefix_token_id, lm.max_length, context_len=1
    )
    windows = [make_disjoint_window(window) for window in windows]
    plain = L2HF("demo", device="cpu", record="off")
    for context, continuation in windows:
        ids = [*context, *continuation][:-1]
        skipped = len(context) - 1
        with torch.no_grad(), slowly_suppressed(plain.model, skipped):
            logits = plain.model(torch.tensor([ids])).logits[0, -len(continuation) :]
        logprobs = logits.log_softmax(-1)
        expected += float(logprobs.gather(1, torch.tensor(continuation)[:, None]).sum())
    assert score == pytest.approx(expected, rel=1e-4)
    traces = read_traces(tmp_path)
    assert len(traces) == len(windows)
    for events in traces.events:
        rows = [event["row"] for event in events if event["kind"] == "suppression"]
        assert min(rows, default=WARMUP) >= WARMUP
        n_edits += len(rows)
    assert n_edits > 5


def test_rolling_where_rows_must_come_one_by_one(instances: Callable[..., list[Any]]) -> None:
    request = instances("loglikelihood_rolling", [(TEXT,)])
    with pytest.raises(ConfigError, match=r"loglikelihood_rolling.*Pass suppression=random"):
        demo(suppression="shuffled").loglikelihood_rolling(request)
    plain = demo(suppression="shuffled", intervene_on="decode").loglikelihood_rolling(request)
    assert plain == demo(suppression="off").loglikelihood_rolling(request)
