"""The desk with an engine of a few lines: any order, kills at any time, a step too many."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.config import ConfigError
from l2_harness.config.errors import NumbersError
from l2_harness.config.model_args import split_model_args
from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.interventions import ResponseReport
from l2_harness.interventions.reports import RowCounts, no_counts, recorded_counters
from l2_harness.models.evaluation import Evaluation, RunPlan
from l2_harness.models.generation_settings import GenerationSettings
from l2_harness.models.response_desk import DeskRules, ResponseDesk
from l2_harness.models.response_jobs import WantedResponse
from l2_harness.models.response_text import ResponseTexts
from l2_harness.norms import TraceEvent, read_traces
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.signals import SIGNALS

LAYERS = (3, 4)
N = 3
SELECTING = {"num_samples": N, "selection": "l2"}
RECURSION = {"recursion": "norm", "num_samples": N}


def text(tokens: Sequence[int]) -> str:
    return " ".join(map(str, tokens))


class Engine:
    """Decodes a response from a generator that only its prompt and stream have a say in."""

    def __init__(self, folder: Path, extra_rows: int = 0, **args: Any) -> None:
        record = {"record": "tokens", "trace_dir": str(folder)}
        config, _ = split_model_args({**record, **args}, lambda self: None)
        self.evaluation = Evaluation(RunPlan(config, args, LAYERS), seed=5)
        self.acts = config.interventions.enabled
        self.rules = DeskRules(
            num_samples=config.decoding.num_samples,
            choosing=config.selection.enabled,
            max_length=100,
            prompt_tokens=lambda prompt: len(prompt.split()),
            settings=lambda request: GenerationSettings(["9"], 12, 12, True, {}),
            answered=lambda request, answer, is_drawn: None,
        )
        self.extra_rows = extra_rows
        self.decoded = 0

    def desk(self, requests: Sequence[Any]) -> ResponseDesk:
        return ResponseDesk(requests, self.evaluation, ResponseTexts(text, text), self.rules)

    def run(
        self, requests: Sequence[Any], order: int = 0, flush_every: int = 1, kill_at: int = -1
    ) -> list[str]:
        desk = self.desk(requests)
        desk.recall()
        jobs = desk.open_jobs(lambda n: None)
        work = [(j.prompt, wanted) for _, own in jobs for j in own for wanted in j.wanted]
        random.Random(order).shuffle(work)
        for prompt, wanted in work:
            if self.decoded == kill_at:
                raise KeyboardInterrupt
            desk.take(wanted, self.finished(prompt, wanted))
            self.decoded += 1
            if self.decoded % flush_every == 0:
                desk.flush()
        desk.flush()
        assert not any(job.wanted for _, own in jobs for job in own)
        return desk.answers()

    def finished(self, prompt: str, wanted: WantedResponse) -> FinishedResponse:
        rng = np.random.default_rng([*prompt.encode(), wanted.stream])
        n = int(rng.integers(3, 12))
        tokens = rng.integers(10, 90, n).tolist()
        rows = ResponseRows(
            rng.uniform(1, 9, (n, len(LAYERS))).astype(np.float32),
            {name: -rng.exponential(size=n).astype(np.float32) for name in SIGNALS.names},
        )
        report = self.report(n) if self.acts else None
        return FinishedResponse(len(prompt.split()), tokens, "length", rows, report)

    def report(self, n: int) -> ResponseReport:
        """A pass is accepted at every row, those that are not kept included."""
        ran = n + self.extra_rows
        at = RowCounts(np.arange(ran), np.ones(ran, dtype=np.int64))
        counts = no_counts() | {"rows": ran, "passes_run": ran, "passes_accepted": ran}
        return ResponseReport(
            {layer: dict(counts) for layer in LAYERS},
            tuple(
                TraceEvent(row, layer, "recursion", 1.0) for row in range(ran) for layer in LAYERS
            ),
            {layer: {"passes_run": at, "passes_accepted": at} for layer in LAYERS},
        )


@pytest.fixture
def requests_(instances: Callable[..., list[Any]]) -> list[Any]:
    return instances("generate_until", [(f"question {i}", {"until": []}) for i in range(5)])


def traces(folder: Path) -> list[tuple[Any, ...]]:
    table = read_traces(folder).sort_values(["doc_id", "repeat", "sample"])
    names = ("doc_id", "repeat", "sample", "text", "response", "chosen", "finish_reason")
    return list(zip(*(table[name] for name in names), strict=True))


@pytest.mark.parametrize("args", [{}, {"num_samples": N}, SELECTING], ids=str)
def test_the_order_of_responses_has_no_say(
    args: dict[str, Any], requests_: list[Any], tmp_path: Path
) -> None:
    first = Engine(tmp_path / "0", **args).run(requests_)
    for order in (1, 2):
        folder = tmp_path / str(order)
        assert Engine(folder, **args).run(requests_, order, flush_every=4) == first
        assert traces(folder) == traces(tmp_path / "0")
    for request, answer in zip(requests_, first, strict=True):
        streams = [WantedResponse(0, s, s, None) for s in range(args.get("num_samples", 1))]
        engine = Engine(tmp_path / "none", **args)
        whole = [text(engine.finished(request.args[0], w).tokens) for w in streams]
        possible = [one.split("9")[0] for one in whole]  # the stop string
        assert answer in (possible if args.get("selection") else possible[:1])


@pytest.mark.parametrize("args", [{"num_samples": N}, SELECTING, RECURSION], ids=str)
@pytest.mark.parametrize("kill_at", range(0, 5 * N, 2))
def test_a_kill_loses_what_was_not_flushed(
    args: dict[str, Any], kill_at: int, requests_: list[Any], tmp_path: Path
) -> None:
    whole = Engine(tmp_path / "whole", **args)
    expected = whole.run(requests_)
    killed = Engine(tmp_path / "killed", **args)
    with pytest.raises(KeyboardInterrupt):
        killed.run(requests_, order=3, flush_every=2, kill_at=kill_at)
    again = Engine(tmp_path / "killed", **args)
    assert again.run(requests_, order=4) == expected
    assert again.decoded == 5 * N - kill_at
    assert traces(tmp_path / "killed") == traces(tmp_path / "whole")
    ours, theirs = again.evaluation.info(), whole.evaluation.info()
    assert (ours["responses"], ours["rows"]) == (theirs["responses"], theirs["rows"])
    assert ours.get("interventions") == theirs.get("interventions")


@pytest.mark.parametrize("extra_rows", [0, 1, 3])
def test_steps_that_an_engine_ran_too_far_are_in_no_trace_and_no_total(
    extra_rows: int, requests_: list[Any], tmp_path: Path
) -> None:
    engine = Engine(tmp_path, extra_rows, **RECURSION)
    engine.run(requests_)
    table = read_traces(tmp_path)
    for trace in table.itertuples():
        events = [TraceEvent(**event) for event in trace.events]
        n = len(trace.tokens)
        assert sum(event.kind == "recursion" for event in events) == n * len(LAYERS)
        assert max(event.row for event in events) == n - 1
        counts = recorded_counters(events)
        assert {c["rows"] for c in counts.values()} == {n}
        assert {c["passes_accepted"] for c in counts.values()} == {n}
    totals = engine.evaluation.info()["interventions"]["all_layers"]
    assert totals["passes_run"] == sum(map(len, table.tokens)) * len(LAYERS)


def test_equal_prompts_are_told_once(
    instances: Callable[..., list[Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def told(*prompts: str) -> Iterator[str]:
        caplog.clear()
        folder = tmp_path / "-".join(prompts)
        requests = instances("generate_until", [(p, {"until": []}) for p in prompts], repeats=2)
        with caplog.at_level("INFO", logger="lm_eval.l2_harness"):
            Engine(folder).run([r for r in requests for _ in range(2)])
        return (m for m in caplog.messages if "the same text draws the same samples" in m)

    assert [*told("a", "b")] == []
    (line,) = told("a", "b", "a")
    assert line.startswith("1 prompt repeats an earlier one")
    (line,) = told("a", "b", "a", "a", "b")
    assert line.startswith("3 prompts repeat an earlier one")


@pytest.mark.parametrize(
    ("prompt", "message"), [("", "has no tokens"), ("x", "leaves no room for a prompt")]
)
def test_a_request_that_cannot_be_answered_is_refused_before_any_runs(
    prompt: str, message: str, instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    engine = Engine(tmp_path)
    if prompt:
        object.__setattr__(engine.rules, "max_length", 12)
    with pytest.raises(ConfigError, match=message):
        engine.run(instances("generate_until", [(prompt, {"until": []})]))
    assert engine.decoded == 0


class Broken(Engine):
    """Some responses have no number from their first token on, or from a later one."""

    broken: dict[tuple[int, int], int]  # (request, sample) → tokens

    def finished(self, prompt: str, wanted: WantedResponse) -> FinishedResponse:
        whole = super().finished(prompt, wanted)
        n = self.broken.get((wanted.request, wanted.sample))
        if n is None:
            return whole
        assert whole.rows is not None
        rows = whole.rows.cut(n)
        rows.norms[-1] = np.inf
        logprob = rows.signals["logprob"]
        assert logprob is not None
        logprob[-1] = np.nan
        assert rows.first_broken == n - 1
        return FinishedResponse(3, whole.tokens[:n], "length", rows, broken=True)


def many(instances: Callable[..., list[Any]]) -> list[Any]:
    return instances("generate_until", [(f"question {i}", {"until": []}) for i in range(20)])


@pytest.mark.parametrize(
    ("broken", "ends"),
    [
        (dict.fromkeys([(i, s) for i in range(7) for s in range(N)], 1), False),
        (dict.fromkeys([(i, s) for i in range(8) for s in range(N)], 1), True),
        (dict.fromkeys([(i, s) for i in range(8) for s in range(N)], 2), False),
        (dict.fromkeys([(i, 0) for i in range(20)], 1), False),
        (dict.fromkeys([(i, s) for i in range(20) for s in range(N)], 3), False),
    ],
)
def test_a_model_is_given_up_only_where_it_gives_no_number(
    broken: dict[tuple[int, int], int],
    ends: bool,
    instances: Callable[..., list[Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = Broken(tmp_path, num_samples=N)
    engine.broken = broken
    requests = many(instances)

    def in_order() -> list[str]:
        desk = engine.desk(requests)
        desk.recall()
        for _, jobs in desk.open_jobs(lambda n: None):
            for job in sorted(jobs, key=lambda job: int(job.prompt.split()[1])):
                for wanted in list(job.wanted):
                    desk.take(wanted, engine.finished(job.prompt, wanted))
                    desk.flush()
        return desk.answers()

    if ends:
        with pytest.raises(NumbersError, match="its first 22 responses are not finite"):
            in_order()
        assert not list(tmp_path.glob("part-*"))
    else:
        assert len(in_order()) == 20
        assert len(read_traces(tmp_path)) == 20 * N
        assert engine.evaluation.info()["not_finite"] == len(broken)
        engine.evaluation.say_what_it_came_to()
        assert f"the logits of {len(broken)} responses were not finite" in caplog.text
    assert sum("are not finite (its norm" in m for m in caplog.messages) == 5


@pytest.mark.parametrize("sample", range(N))
def test_a_sample_without_numbers_is_not_chosen(
    sample: int, requests_: list[Any], tmp_path: Path
) -> None:
    """Also where all others were cut off as well."""
    engine = Broken(tmp_path, num_samples=N, selection="l2")
    engine.broken = dict.fromkeys([(i, sample) for i in range(5)], 2)
    engine.run(requests_)
    chosen = [one for one in traces(tmp_path) if one[5]]
    assert len(chosen) == 5
    assert all(one[2] != sample for one in chosen)
