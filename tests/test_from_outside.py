"""A technique and a signal that another package declares: from model_args to the result file.

Nothing of the package is touched: the two are added to the registries, as a user's plugin would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from l2_harness.compare.cell_cost import recorded_counts
from l2_harness.compare.evaluation import environment_once
from l2_harness.compare.suite_checks import check_suite
from l2_harness.compare.suite_reader import parse_suite
from l2_harness.config import ConfigError, read_interventions
from l2_harness.config.model_args import affecting
from l2_harness.config.numbers import number, whole
from l2_harness.config.options import choice, option, text
from l2_harness.config.technique import LogKind, Technique, TechniqueConfig, numbered
from l2_harness.config.techniques import TECHNIQUES
from l2_harness.interventions.layer_technique import LayerPlace, LayerRows
from l2_harness.norms import read_traces
from l2_harness.norms.signals import SIGNALS, Signal
from l2_harness.norms.trace_schema import SCHEMA_VERSION, trace_columns

# -- what the other package has -------------------------------------------------------------


@dataclass(frozen=True)
class DampingConfig(TechniqueConfig):
    """``damping``: peaks, or rows at random, times a factor."""

    damping: str = option("off", choice("off", "peaks", "random"), "which rows are damped")
    damping_factor: float = option(0.5, number(0, 1), "what they are multiplied with")
    damping_note: str | None = option(None, text("a note"), "a note", affects="execution")
    damping_warmup: int | None = option(None, whole(0), "warm-up rows of damping")


class LayerDamping:
    """Damping at one layer; keeps how many rows each response had here."""

    def __init__(self, config: DampingConfig, place: LayerPlace) -> None:
        self._config, self._place = config, place
        self._seen = torch.zeros(place.n_slots, dtype=torch.int64, device=place.device)

    def edit(self, at: LayerRows, hidden: Tensor) -> Tensor:
        """The rows' states, damped where they are chosen."""
        self._seen += torch.bincount(
            torch.from_numpy(at.rows.slots).to(self._seen.device), minlength=len(self._seen)
        )
        may = at.rows.only_editable("damping", at.judged.finite)
        chosen = at.judged.peaks & may
        if self._config.damping == "random":
            draws = at.rows.uniforms_on("damping_moment", self._place.layer, hidden.device)
            chosen = (draws < 0.5) & may
        edited = torch.where(chosen.unsqueeze(1), hidden * self._config.damping_factor, hidden)
        norms = at.norms(hidden)
        ratio = torch.full_like(norms, self._config.damping_factor)
        self._place.log.add("damping", self._place.layer, at.rows, chosen, norms, ratio)
        return edited

    def at_end(self) -> Mapping[str, Tensor]:
        """The rows that it saw."""
        return {"damping_rows": self._seen}

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""
        self._seen[torch.from_numpy(slots)] = 0


DAMPING = Technique(
    config=DampingConfig,
    layer=LayerDamping,
    counters={"damped": "rows that were damped", "damping_rows": "rows that damping saw"},
    log=(
        LogKind(
            "damping",
            ("norm", "ratio"),
            {"damped": None},
            value="ratio",
            detail=("norm",),
            meaning="the state was damped",
            value_is="ratio",
        ),
    ),
    purposes=numbered("damping_moment"),
)


def _margin(statistics: Any, tokens: Tensor) -> Tensor:
    best = statistics.log_probs.topk(2).values
    return best[:, 0] - best[:, 1]


MARGIN = Signal("margin", "log-probability by which the likeliest token leads, in nats", _margin)

# -- what becomes of it ---------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    """Listing the installed packages takes longer than a run here."""
    with environment_once():
        yield


@pytest.fixture
def declared() -> Iterator[None]:
    with TECHNIQUES.temporarily(DAMPING), SIGNALS.temporarily(MARGIN):
        yield


def evaluate(folder: Path, batch_size: int = 4, **model_args: Any) -> dict[str, Any]:
    """A run of three documents, and its result file as lm-eval writes it."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    from l2_harness.paths import tasks_dir
    from l2_harness.registration import register

    register()
    results: Any = simple_evaluate(
        model="l2hf",
        model_args={
            **{"pretrained": "demo", "dtype": "float64", "layers": "2-3"},
            **{"record": "tokens", "trace_dir": str(folder), "threshold_warmup": 3},
            **model_args,
        },
        tasks=["l2_demo"],
        task_manager=TaskManager(include_path=str(tasks_dir())),
        limit=3,
        gen_kwargs={"max_gen_toks": 40},
        apply_chat_template=True,
        batch_size=batch_size,
        device="cpu",
        bootstrap_iters=0,
    )
    samples = results.pop("samples")
    tracker = EvaluationTracker(output_path=str(folder / "out" / "results.json"))
    tracker.save_results_aggregated(results, samples)
    (file,) = (folder / "out").glob("results_*.json")
    return {**json.loads(file.read_text()), "samples": samples["l2_demo"]}


def test_a_technique_reaches_the_result_file_and_the_trace(declared: None, tmp_path: Path) -> None:
    found = evaluate(tmp_path, damping="peaks", damping_factor=0.25)["config"]["l2"]
    acting = found["interventions"]
    settings = {name: acting["settings"][name] for name in ("damping", "damping_factor")}
    assert settings == {"damping": "peaks", "damping_factor": 0.25}
    assert acting["settings"]["damping_warmup"] == 3
    assert acting["all_layers"]["damping_rows"] == acting["all_layers"]["rows"]
    traces = read_traces(tmp_path)
    expected, events = 0, 0
    for row in traces.itertuples():
        own = [event for event in row.events if event["kind"] == "damping"]
        places = {(event["row"], event["layer"]) for event in own}
        events += len(own)
        for column, layer in enumerate(row.layers):
            norms = row.norms[:, column]
            for t in range(3, len(norms)):  # the definition of a peak, row by row
                first, third = np.quantile(norms[: t + 1].astype(np.float64), [0.25, 0.75])
                tau = third + 1.5 * max(third - first, 1e-3)
                assert ((t, layer) in places) == (norms[t] > tau)
                expected += norms[t] > tau
        for event in own:
            detail = json.loads(event["detail"])
            norm = row.norms[event["row"], list(row.layers).index(event["layer"])]
            assert (event["value"], detail["norm"]) == (0.25, pytest.approx(norm))
    assert acting["all_layers"]["damped"] == events == expected > 0
    assert recorded_counts(tmp_path, found["run_id"])["damped"] == expected


def test_its_random_rows_belong_to_the_response(declared: None, tmp_path: Path) -> None:
    tokens = []
    for batch_size in (1, 3):
        folder = tmp_path / str(batch_size)
        evaluate(folder, batch_size, damping="random")
        traces = read_traces(folder)
        tokens.append([one.tolist() for one in traces["tokens"]])
        damped = sum(e["kind"] == "damping" for events in traces["events"] for e in events)
        rows = sum(2 * (len(one) - 3) for one in tokens[-1])
        assert abs(damped / rows - 0.5) < 0.15
    assert tokens[0] == tokens[1]


def test_a_signal_is_a_column(declared: None, tmp_path: Path) -> None:
    """Against the model's own logits for the whole text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from l2_harness.engines.hf.loading import resolve_pretrained

    samples = evaluate(tmp_path)["samples"]
    source = resolve_pretrained("demo")
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(source)
    traces = read_traces(tmp_path).set_index("doc_id")
    for sample in samples:
        row = traces.loc[sample["doc_id"]]
        prompt = tokenizer(sample["arguments"][0][0], add_special_tokens=False)["input_ids"]
        assert len(prompt) == row["prompt_tokens"]
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *row["tokens"].tolist()]])).logits[0]
        best = logits[len(prompt) - 1 : -1].sort(-1, descending=True).values
        np.testing.assert_allclose(row["margin"], best[:, 0] - best[:, 1], rtol=1e-4, atol=1e-5)


def test_where_nobody_declares_them(tmp_path: Path) -> None:
    with TECHNIQUES.temporarily(DAMPING), SIGNALS.temporarily(MARGIN):
        evaluate(tmp_path, damping="peaks")
        assert "margin" in [column.name for column in trace_columns()]
        with pytest.raises(ValueError, match="technique named 'damping' is declared already"):
            TECHNIQUES.add(DAMPING)
    # the column is left alone, and the events are still read
    traces = read_traces(tmp_path)
    assert "margin" not in traces
    assert any(e["kind"] == "damping" for events in traces["events"] for e in events)
    with pytest.raises(ConfigError, match="unknown argument 'damping'"):
        evaluate(tmp_path, damping="peaks")
    # and an older trace has no values of a newer column
    old = Path(__file__).parent / "norms" / "data" / "schema1"
    with SIGNALS.temporarily(MARGIN):
        assert read_traces(old)["margin"].isna().all()
        assert max(column.since for column in trace_columns()) == SCHEMA_VERSION


def test_its_arguments_say_what_they_affect(declared: None) -> None:
    args = {"damping": "peaks", "damping_note": "x", "batch_size": 3}
    assert affecting(args, "responses") == {"damping": "peaks"}
    config = read_interventions({"damping": "peaks"})
    assert list(config.acting()) == ["damping"]
    assert config.layer_passes({"damped": 3}, 4) == 0


def test_a_suite_knows_it(declared: None) -> None:
    head = "models: {m: {args: {pretrained: demo}}}\ntasks: [l2_demo]\nmethods:\n"
    head += "  plain: {role: plain}\n"
    check_suite(parse_suite(head + "  d: {args: {damping: random}}\n", "t.yaml"))
    with pytest.raises(ConfigError, match=r"line 5: .*damping='randm'.* did you mean 'random'"):
        check_suite(parse_suite(head + "  d: {args: {damping: randm}}\n", "t.yaml"))
    with pytest.raises(ConfigError, match=r"line 5: .*damping is an argument of l2hf"):
        check_suite(parse_suite(head + "  d: {class: hf, args: {damping: random}}\n", "t.yaml"))
