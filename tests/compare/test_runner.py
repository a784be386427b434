"""A suite run on the embedded model, beside the same methods run alone by lm-eval."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from l2_harness.compare.cell_files import CellRecord, read_record
from l2_harness.compare.plan import Plan, PlannedCell
from l2_harness.compare.runner import run_suite
from l2_harness.compare.suite import Suite
from l2_harness.compare.suite_reader import parse_suite
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.outcomes import Outcome
from l2_harness.norms import read_traces
from l2_harness.paths import tasks_dir

DRAWN = "gen_kwargs: {do_sample: true, temperature: 3.0}"
#: Interventions that change what comes out, so that a trace of one in the next would show.
METHODS = {
    "alrr": "{args: {recursion: always, recursion_min_growth: 0, recursion_max_ratio: 99, "
    "layers: all, threshold_warmup: 4}}",
    "one": f"{{{DRAWN}}}",
    "suppress": "{args: {suppression: peaks, threshold_warmup: 4}, role: control}",
    "hf": "{class: hf, role: null}",
    "best": f"{{{DRAWN}, args: {{num_samples: 3, selection: mean_logprob}}}}",
    "eglr": "{role: rival, args: {recursion: entropy, threshold_warmup: 4}}",
    "again": "{extends: plain, role: null, batch_size: 3}",
    "most": "{extends: best, role: rival, args: {num_samples: 4, selection: majority}}",
}


@dataclass
class Spy:
    """Notes which cells ran."""

    ran: list[str] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)

    def begin(self, plan: Plan) -> None:
        """Nothing."""

    def started(self, planned: PlannedCell, record: CellRecord) -> None:
        """A cell."""
        self.ran.append(planned.cell.method.name)

    def ended(self, planned: PlannedCell, record: CellRecord) -> None:
        """Its end."""
        self.statuses[planned.cell.method.name] = record.status

    def end(self) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Run:
    suite: Suite
    out: Path
    outcomes: list[Outcome]
    ran: list[str]
    loads: int

    def cell(self, method: str) -> Path:
        return self.out / "cells/demo/l2_demo" / method / "seed0"


def recorded(folder: Path) -> Any:
    record = read_record(folder)
    assert record is not None
    return record


def responses(folder: Path) -> dict[int, str]:
    (path,) = folder.glob("samples_l2_demo_*.jsonl")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {line["doc_id"]: line["resps"][0][0] for line in lines}


@pytest.fixture(scope="module")
def text(head: str) -> str:
    short = head.replace("limit: 6", "limit: 3").replace("48", "40")
    return short + "".join(f"  {name}: {what}\n" for name, what in METHODS.items())


@pytest.fixture(scope="module")
def run(text: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    from transformers import AutoModelForCausalLM

    suite, out, spy = parse_suite(text, "t.yaml"), tmp_path_factory.mktemp("suite"), Spy()
    loads = []
    load = AutoModelForCausalLM.from_pretrained

    def counted(*args: Any, **kwargs: Any) -> Any:
        loads.append(args)
        return load(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AutoModelForCausalLM, "from_pretrained", counted)
        outcomes = run_suite(suite, out, progress=spy)
    return Run(suite, out, outcomes, spy.ran, len(loads))


def alone(run: Run, method: str) -> Any:
    """The same method in a run of lm-eval's own, with weights of its own."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    from l2_harness.engines.hf.loading import resolve_pretrained

    (chosen,) = (m for m in run.suite.methods if m.name == method)
    args = {"dtype": "float32", **chosen.args}
    model_class = chosen.model_class or "l2hf"
    return lm_eval.simple_evaluate(
        model=model_class,
        model_args={"pretrained": resolve_pretrained("demo"), **args},
        tasks=["l2_demo"],
        batch_size=8,
        device="cpu",
        limit=3,
        apply_chat_template=True,
        gen_kwargs={"max_gen_toks": 40, **chosen.gen_kwargs},
        task_manager=TaskManager(include_path=str(tasks_dir()), include_defaults=False),
        torch_random_seed=0,
    )


class TestOneRun:
    @pytest.mark.parametrize("method", ["plain", *METHODS])
    def test_a_method_is_what_it_is_alone(self, run: Run, method: str) -> None:
        """Nothing of one method reaches another; shared samples are those of a run alone."""
        results = alone(run, method)
        expected = {s["doc_id"]: str(s["resps"][0][0]) for s in results["samples"]["l2_demo"]}
        assert responses(run.cell(method)) == expected
        (file,) = run.cell(method).glob("results_*.json")
        stored = json.loads(file.read_text())
        assert stored["results"]["l2_demo"] == results["results"]["l2_demo"]
        assert stored["config"]["model"] == ("hf" if method == "hf" else "l2hf")

    def test_the_methods_differ(self, run: Run) -> None:
        """Or the test above would show nothing."""
        plain = responses(run.cell("plain"))
        for method in ("alrr", "suppress", "one", "best"):
            assert responses(run.cell(method)) != plain, method
        assert responses(run.cell("best")) != responses(run.cell("one"))

    def test_weights_are_loaded_once(self, run: Run) -> None:
        assert run.loads == 1

    def test_samples_are_drawn_once(self, run: Run) -> None:
        drawn = [name for name in run.ran if name.startswith("samples-")]
        assert len(drawn) == 1
        assert run.ran.index(drawn[0]) < run.ran.index("one")
        traces = read_traces(run.out / "samples/demo/l2_demo" / drawn[0] / "seed0/traces")
        assert len(traces) == 3 * 4
        for method in ("one", "best", "most"):
            record = recorded(run.cell(method))
            assert record.shared_samples == f"samples/demo/l2_demo/{drawn[0]}/seed0"

    def test_traces_of_a_choice_are_those_of_a_run_alone(self, run: Run, tmp_path: Path) -> None:
        from l2_harness.models.hf.l2hf import L2HF

        text_args = {"num_samples": 3, "selection": "mean_logprob", "record": "summary", "seed": 0}
        lm = L2HF("demo", dtype="float32", device="cpu", trace_dir=str(tmp_path), **text_args)
        expected = self._requests_again(run, lm, tmp_path)
        found = read_traces(run.cell("best") / "traces").sort_values(["doc_id", "sample"])
        for name in ("text", "answer", "finish_reason", "thinking_end", "prompt_tokens", "chosen"):
            assert list(found[name].astype(str)) == list(expected[name].astype(str)), name
        for mine, theirs in zip(found["scores"], expected["scores"], strict=True):
            # batches of other sizes differ in the last bits of float32
            assert mine == pytest.approx(theirs, rel=1e-4, nan_ok=True)
        assert found["norms"].isna().all()

    def _requests_again(self, run: Run, lm: Any, folder: Path) -> pd.DataFrame:
        from lm_eval.api.instance import Instance

        (path,) = run.cell("best").glob("samples_*.jsonl")
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        requests = []
        for line in lines:
            arguments = line["arguments"]["gen_args_0"]
            pair = (arguments["arg_0"], arguments["arg_1"])
            where = ("l2_demo", line["doc_id"], 1)
            requests.append(Instance("generate_until", line["doc"], pair, 0, metadata=where))
        lm.generate_until(requests, disable_tqdm=True)
        return read_traces(folder).sort_values(["doc_id", "sample"])

    def test_outcomes(self, run: Run) -> None:
        assert [o.method for o in run.outcomes] == ["plain", *METHODS]
        for outcome in run.outcomes:
            assert (outcome.model, outcome.task, outcome.seed) == ("demo", "l2_demo", 0)
            assert outcome.metric == "exact_match,number"
            assert len(outcome.scores) == 3
            assert outcome.error is None
            assert outcome.folder == run.cell(outcome.method)
        roles = {o.method: o.role for o in run.outcomes}
        assert (roles["plain"], roles["again"], roles["suppress"]) == ("plain", "null", "control")
        assert len({tuple(o.scores) for o in run.outcomes}) == 1

    def test_costs(self, run: Run) -> None:
        cost: dict[str, Any] = {o.method: o.cost for o in run.outcomes}
        traces = {m: read_traces(run.cell(m) / "traces") for m in ("plain", "best", "alrr", "eglr")}
        for method, found in traces.items():
            assert cost[method].tokens == sum(map(len, found["tokens"])), method
        # the end token of hf's responses is not part of their text
        assert 0 <= traces["plain"].tokens.map(len).sum() - cost["hf"].tokens <= 3
        assert [cost[m].samples for m in ("plain", "one", "best", "most")] == [1, 1, 3, 4]
        assert all(c.layers == 12 for c in cost.values())
        # the monitored layers, all 12, run again at most once at each row after the warm-up
        rows = sum(max(0, len(t) - 4) for t in traces["alrr"].tokens)
        assert rows < cost["alrr"].extra_layer_passes <= 12 * rows
        kinds = [e for es in traces["eglr"]["events"] for e in es if e["kind"] == "entropy"]
        passes = sum(json.loads(e["detail"])["passes"] for e in kinds)
        assert cost["eglr"].extra_layer_passes == passes * 3  # the top quarter of 12 layers
        assert cost["eglr"].passes == passes
        assert cost["alrr"].passes == cost["alrr"].extra_layer_passes
        for method, kind in (("alrr", "recursion"), ("eglr", "entropy")):
            events = [e for es in traces[method]["events"] for e in es if e["kind"] == kind]
            assert cost[method].accepted == sum(e["value"] for e in events), method
        assert cost["plain"].accepted is None
        assert cost["plain"].extra_layer_passes == cost["best"].extra_layer_passes == 0
        assert all(c.seconds > 0 and c.peak_bytes > 10**8 for c in cost.values())

    def test_the_time_of_samples_is_shared_out(self, run: Run) -> None:
        record = {m: recorded(run.cell(m)) for m in ("one", "best", "most")}
        (folder,) = (run.out / "samples/demo/l2_demo").glob("*/seed0")
        drawn = recorded(folder)
        for name, n in (("one", 1), ("best", 3), ("most", 4)):
            one = record[name]
            expected = one.own_seconds + drawn.cost.seconds * n / 4
            assert one.cost.seconds == pytest.approx(expected, abs=0.01)


class TestAgain:
    """In the order in which they stand: each goes on where the one before it ended."""

    def test_a_finished_suite_runs_nothing(self, run: Run) -> None:
        spy = Spy()
        outcomes = run_suite(run.suite, run.out, progress=spy)
        assert spy.ran == []
        assert [o.scores for o in outcomes] == [o.scores for o in run.outcomes]
        assert [o.cost for o in outcomes] == [o.cost for o in run.outcomes]

    def test_a_changed_cell_runs_alone(self, run: Run, text: str) -> None:
        (run.cell("suppress") / "stale").write_text("of the definition before")
        changed = text.replace("suppression: peaks, threshold_warmup: 4", "suppression: random")
        spy = Spy()
        run_suite(parse_suite(changed, "t.yaml"), run.out, progress=spy)
        assert spy.ran == ["suppress"]
        assert not (run.cell("suppress") / "stale").exists()
        assert len(list(run.cell("suppress").glob("results_*.json"))) == 1
        runs = list((run.cell("suppress") / "traces").glob("run-*.json"))
        assert len(runs) == 1

    def test_a_failed_cell_is_recorded_and_the_rest_goes_on(self, run: Run, text: str) -> None:
        settings = "{max_gen_toks: 41, until: [5]}"  # which nobody looks at before it runs
        broken = f"  broken: {{gen_kwargs: {settings}}}\n  last: {{args: {{layers: all}}}}\n"
        suite, spy = parse_suite(text + broken, "t.yaml"), Spy()
        outcomes = {
            o.method: o for o in run_suite(suite, run.out, only=["broken", "last"], progress=spy)
        }
        assert spy.statuses == {"broken": "failed", "last": "done"}
        assert "until=[5] (task l2_demo, document 0) holds 5, which is no" in str(
            outcomes["broken"].error
        )
        assert outcomes["broken"].scores == {}
        assert "Traceback" in (run.cell("broken") / "error.log").read_text()
        assert len(outcomes["last"].scores) == 3
        # mended: only it runs, and its log is gone
        mended, again = parse_suite(text + broken.replace("[5]", "['#']"), "t.yaml"), Spy()
        outcomes = {
            o.method: o for o in run_suite(mended, run.out, only=["broken", "last"], progress=again)
        }
        assert again.statuses == {"broken": "done"}
        assert outcomes["broken"].error is None
        assert not (run.cell("broken") / "error.log").exists()

    def test_a_pattern_that_means_nothing(self, run: Run) -> None:
        with pytest.raises(ConfigError, match=r"--only 'alr' means no cell. Cells: demo/l2_demo/"):
            run_suite(run.suite, run.out, only=["alr"])

    def test_two_runs_at_once_are_refused(self, run: Run) -> None:
        from l2_harness.compare.processes import only_one_run

        with (
            only_one_run(run.out),
            pytest.raises(ConfigError, match="another run is at work in"),
        ):
            run_suite(run.suite, run.out)

    def test_a_record_that_is_none(self, run: Run) -> None:
        path = run.cell("again") / "cell.json"
        path.write_text("{}")
        with pytest.raises(ConfigError, match="isn't what compare writes"):
            run_suite(run.suite, run.out)
