"""`l2-harness analyze` by the real commands, on responses of the embedded model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from l2_harness.analysis.norms.responses import read_groups
from l2_harness.findings.section import find_sections, read_section
from l2_harness.lm_eval_files.judging import Judging
from l2_harness.lm_eval_files.verdicts import verdicts, with_documents
from l2_harness.norms import read_traces
from l2_harness.paths import tasks_dir

LIMIT, SAMPLES = 12, 3


@pytest.fixture(scope="module")
def recorded(run_command: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples to each of 12 problems, with thinking and without."""
    folder = tmp_path_factory.mktemp("recorded")
    args = f"demo,record=tokens,layers=all,trace_dir={folder / 'traces'},num_samples={SAMPLES}"
    done = run_command(
        *("lm_eval", "--model", "l2hf", "--model_args", f"pretrained={args},seed=1"),
        *("--tasks", "l2_demo,l2_demo_direct", "--include_path", str(tasks_dir())),
        "--apply_chat_template",
        *("--device", "cpu", "--batch_size", "64", "--limit", str(LIMIT)),
        *("--gen_kwargs", "do_sample=true,temperature=1.2,max_gen_toks=200"),
        *("--output_path", str(folder / "out"), "--log_samples"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def analysed(run_command: Callable[..., Any], recorded: Path) -> tuple[Path, str]:
    out = recorded / "analysis"
    done = run_command(
        *("l2-harness", "analyze", str(recorded / "traces")),
        *("--samples", str(recorded / "out"), "--direct", "l2_demo_direct"),
        *("--strata", "family", "--resamples", "100", "--out", str(out)),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done.stdout


def test_every_section_is_written_and_said(analysed: tuple[Path, str]) -> None:
    out, said = analysed
    names = [section.name for section in find_sections(out)]
    assert names == ["norms", "confounds", "profiles", "course", "token_kinds"]
    for section in find_sections(out):
        assert 1 <= len(section.findings) <= 3
        assert section.caveats
        assert section.settings["responses"] == LIMIT * SAMPLES
        assert "l2-harness analyze" in section.command
        for figure in section.figures:
            assert (section.folder or out).joinpath(f"{figure.name}.png").stat().st_size > 5000
        assert section.title.split(":")[0] in said
    assert len(said.splitlines()) < 40


def test_figures_are_those_of_the_tables_beside_them(
    recorded: Path, analysed: tuple[Path, str]
) -> None:
    out, _ = analysed
    statistics = pd.read_parquet(out / "norm_statistics.parquet")
    wanted = "layer == 9 and variant == 'all_rows'"
    rows = statistics.query(wanted).sort_values(["doc_id", "sample"])
    traces = read_traces(recorded / "traces", task="l2_demo")
    means = [norms[:, 9].mean(dtype=float) for norms in traces["norms"]]
    np.testing.assert_allclose(rows["mean"], means)
    table = pd.read_csv(out / "associations.csv")
    wanted = f"{wanted} and outcome == 'correct' and scope == 'pooled' and measure == 'auroc'"
    found = table.query(f"{wanted} and statistic == 'mean'")["value"].item()
    assert found == pytest.approx(roc_auc_score(rows["correct"], means))
    wide = read_section(out / "norms").tables[0].frame
    assert wide.query("layer == 9 and statistic == 'mean'")["auroc"].item() == pytest.approx(found)
    profile = read_section(out / "profiles").tables[0].frame.query("layer == 9 and part == 'all'")
    assert profile["thinking"].item() == pytest.approx(np.mean(means))


def test_all_samples_are_judged_and_the_log_agrees_on_its_own(recorded: Path) -> None:
    traces = read_groups(recorded / "traces", None, "l2_demo")
    joined = with_documents(traces, recorded / "out", "l2_demo")
    found = verdicts(joined, Judging("l2_demo"), {})
    assert (found.metric, found.binary) == ("exact_match", True)
    assert "judged again" in found.source
    chosen = joined["chosen"].to_numpy()
    logged = joined["metric_exact_match"].to_numpy(float)
    assert found.values[chosen].tolist() == logged[chosen].tolist()
    assert 0 < found.values.mean() < 1
    # where each document has one response, the log is all there is to ask
    alone = joined[chosen].assign(metrics_judge="response")
    asked = verdicts(alone, Judging("no such task"), {})
    assert asked.source == "lm-eval's log"
    assert asked.values.tolist() == logged[chosen].tolist()


def test_without_samples_nothing_is_said_of_correctness(
    run_command: Callable[..., Any], recorded: Path
) -> None:
    out = recorded / "without"
    done = run_command(
        *("l2-harness", "analyze", recorded / "traces", "--task", "l2_demo_direct"),
        *("--resamples", 50, "--layers", "8-10", "--out", out),
    )
    assert done.returncode == 0, done.stderr
    norms = read_section(out / "norms")
    assert "nothing is known of the correctness" in norms.findings[0]
    assert not norms.tables
    assert norms.settings["layers"] == [8, 9, 10]
    table = pd.read_csv(out / "associations.csv")
    assert set(table["outcome"]) == {"length", "logprob", "entropy", "self_certainty"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strata", "family"], "needs --samples RESULTS"),
        (["--direct", "l2_demo", "--task", "l2_demo", "--task", "l2_demo_direct"], "names 1 task"),
        (["--task", "l2_dem"], "did you mean 'l2_demo'"),
        (["--task", "l2_demo", "--layers", "30"], "layer 30"),
        (["--task", "l2_demo", "--states", "nowhere"], "capture the states"),
        (["--task", "l2_demo", "--tokenizer", "nowhere"], "tokenizer of 'nowhere'"),
    ],
)
def test_wrong_options_are_named(
    run_command: Callable[..., Any], recorded: Path, words: list[str], said: str
) -> None:
    traces, out = recorded / "traces", recorded / "x"
    done = run_command("l2-harness", "analyze", traces, "--out", out, *words)
    assert done.returncode == 2
    assert said in done.stderr
