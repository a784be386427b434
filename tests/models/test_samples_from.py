"""Samples that another run drew: those that this run would have drawn, and only those."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from l2_harness.config import ConfigError
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces

SETTINGS = {"until": ["####"], "max_gen_toks": 24, "do_sample": True, "temperature": 1.5}
N = 4


def demo(folder: Path | None = None, **args: Any) -> L2HF:
    record = {"record": "tokens", "trace_dir": str(folder)} if folder else {}
    common = {"device": "cpu", "dtype": "float64", "batch_size": 8, "seed": 3}
    return L2HF("demo", **{**common, **record, **args})


@pytest.fixture(scope="module")
def requests_(instances: Callable[..., list[Any]], prompts: list[str]) -> list[Any]:
    return instances("generate_until", [(prompt, SETTINGS) for prompt in prompts[:3]])


@pytest.fixture(scope="module")
def drawn(requests_: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples of a run with selection off, Chain-of-Embedding kept."""
    folder = tmp_path_factory.mktemp("drawn")
    demo(folder, num_samples=N, coe=True, layers="all").generate_until(requests_)
    return folder


def traces(folder: Path) -> pd.DataFrame:
    return read_traces(folder).sort_values(["doc_id", "repeat", "sample"]).reset_index(drop=True)


def forwards(lm: L2HF) -> list[int]:
    """Grows with each forward pass of the model."""
    passes: list[int] = []
    lm.model.register_forward_pre_hook(lambda *args: passes.append(1))
    return passes


@pytest.mark.parametrize(
    "args",
    [
        {"num_samples": N, "selection": "l2"},
        {"num_samples": 2, "selection": "majority"},
        {"num_samples": N, "selection": "random"},
        {"num_samples": N, "selection": "coe_r"},
        {"num_samples": 3, "selection": "deepconf_tail", "selection_window": 4},
        {"num_samples": 2},
        {},
    ],
)
def test_it_is_as_if_drawn_here(
    drawn: Path, requests_: list[Any], tmp_path: Path, args: dict[str, Any]
) -> None:
    args = {"layers": "all", **args}
    own = demo(tmp_path / "own", **args)
    expected = own.generate_until(requests_)
    lm = demo(tmp_path / "taken", samples_from=str(drawn), **args)
    passes = forwards(lm)
    assert lm.generate_until(requests_) == expected
    assert passes == []
    mine, theirs = traces(tmp_path / "taken"), traces(tmp_path / "own")
    for name in ("text", "response", "answer", "finish_reason", "prompt_tokens", "chosen"):
        assert list(mine[name]) == list(theirs[name]), name
    for a, b in zip(mine["scores"], theirs["scores"], strict=True):
        # of batches of other sizes; float64 makes norms, which are kept as float32
        assert a == pytest.approx(b, rel=1e-5, nan_ok=True)
    info, own_info = lm.get_model_info()["l2"], own.get_model_info()["l2"]
    assert (info["responses"], info["rows"]) == (own_info["responses"], own_info["rows"])


def test_repeats_have_streams_of_their_own(
    instances: Callable[..., list[Any]], prompts: list[str], tmp_path: Path
) -> None:
    """Repeat 1 of two samples is what samples 2 and 3 of four are."""
    (request,) = instances("generate_until", [(prompts[0], SETTINGS)], repeats=2)
    demo(tmp_path / "drawn", num_samples=2).generate_until([request, request])
    lm = demo(tmp_path / "taken", num_samples=4, samples_from=str(tmp_path / "drawn"))
    passes = forwards(lm)
    (single,) = instances("generate_until", [(prompts[0], SETTINGS)])
    lm.generate_until([single])
    assert passes == []
    assert list(traces(tmp_path / "taken")["text"]) == list(traces(tmp_path / "drawn")["text"])


def test_what_is_not_there_is_drawn(
    drawn: Path,
    instances: Callable[..., list[Any]],
    prompts: list[str],
    requests_: list[Any],
    tmp_path: Path,
) -> None:
    more = instances("generate_until", [(prompt, SETTINGS) for prompt in prompts[:5]])
    args: dict[str, Any] = {"layers": "all", "num_samples": N + 1, "selection": "longest"}
    expected = demo(**args).generate_until(more)
    lm = demo(tmp_path, samples_from=str(drawn), **args)
    passes = forwards(lm)
    assert lm.generate_until(more) == expected
    assert len(passes) > 0
    assert len(traces(tmp_path)) == 5 * (N + 1)


def test_a_document_that_is_there_twice(
    drawn: Path, instances: Callable[..., list[Any]], prompts: list[str]
) -> None:
    twice = instances("generate_until", [(prompts[0], SETTINGS), (prompts[0], SETTINGS)])
    lm = demo(layers="all", num_samples=2, samples_from=str(drawn))
    passes = forwards(lm)
    first, second = lm.generate_until(twice)
    assert first == second
    assert passes == []


def test_a_rerun_takes_its_own_first(
    drawn: Path, requests_: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args: dict[str, Any] = {"layers": "all", "num_samples": 3, "selection": "l2"}
    args |= {"samples_from": str(drawn), "record": "summary", "trace_dir": str(tmp_path)}
    expected = demo(**args).generate_until(requests_)
    again = demo(**args)
    source = again._evaluation.source
    assert source is not None

    def take(wanted: Any) -> Any:
        assert not wanted
        return iter(())

    monkeypatch.setattr(source, "take", take)
    assert again.generate_until(requests_) == expected
    assert len(traces(tmp_path)) == 3 * len(requests_)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"seed": 4}, "seed=3 there, 4 here"),
        ({"layers": "late"}, "monitored_layers="),
        ({"dtype": "float32"}, "dtype=float64 there, float32 here"),
        ({"temperature": 0.7}, "temperature=None there, 0.7 here"),
        ({"recursion": "norm"}, "samples_from takes samples that were drawn before, and recursion"),
        ({"record": "off"}, "samples_from takes norms along with the samples, and record=off"),
    ],
)
def test_samples_of_another_kind_are_refused(
    drawn: Path, args: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        demo(**{"layers": "all", "samples_from": str(drawn), **args})


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no run\. Pass the trace_dir of a run"):
        demo(samples_from=str(tmp_path))
