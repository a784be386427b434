"""What is said of made-up responses whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.analysis.norms.pairing import same_document
from l2_harness.analysis.norms.study import Study, StudyOptions, study
from l2_harness.analysis.norms.write import sections
from l2_harness.findings.claims import signs
from l2_harness.lm_eval_files.verdicts import Verdicts
from l2_harness.norms import TraceWriter

QUESTIONS, SAMPLES, LAYER = 60, 4, 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Any]) -> Path:
    """Task ``t``: a response's norms at layer 1 have their own level; task ``d``: none has."""
    path = tmp_path_factory.mktemp("made_up")
    rng = np.random.default_rng(0)
    writer = TraceWriter(path, "run")
    writer.describe_run({"tokenizer": "demo"})
    records = []
    for task in ("t", "d"):
        for question in range(QUESTIONS):
            for sample in range(SAMPLES if task == "t" else 1):
                rows = int(rng.integers(20, 40))
                norms = rng.gamma(50, 2, (rows, 3))
                norms[:, LAYER] += 40 * rng.random() if task == "t" else 0
                made = record(rng, rows, task=task, doc_id=question, sample=sample, norms=norms)
                records.append(made)
    writer.write(records)
    return path


def studied(folder: Path, effect: float, direct: str | None = None) -> Study:
    """Responses are right by chance, the more often the larger their mean norm at layer 1."""

    def judge(traces: pd.DataFrame) -> Verdicts:
        from l2_harness.analysis.norms.measure import measure

        level = measure(traces, folder).statistics[0].of("mean")[:, LAYER]
        z = (level - level.mean()) / level.std()
        draw = np.random.default_rng(1).normal(size=len(z))
        return Verdicts((effect * z + draw > 0).astype(float), "exact_match", "made up")

    options = StudyOptions(folder, "t", resamples=300, direct=direct)
    return study(options, judge)


def test_a_planted_effect_is_claimed_at_its_layer(folder: Path) -> None:
    found = studied(folder, 1.0)
    table = found.rows(variant="all_rows", outcome="correct", measure="spearman", control="all")
    for scope in ("pooled", "within question"):
        rows = table[(table["scope"] == scope) & (table["statistic"] == "mean")]
        found_signs = signs(rows)
        assert found_signs[rows["layer"] == LAYER] == 1
        assert not found_signs[rows["layer"] != LAYER].any()
    section, confounds = sections(found, "cmd")[:2]
    assert "told from wrong ones by the mean norm at layer 1 with" in confounds.findings[-1]
    pooled, within, held_out = section.findings
    raw = found.rows(
        variant="all_rows",
        outcome="correct",
        scope="pooled",
        measure="spearman",
        control="none",
    )
    assert f"{int((signs(raw) != 0).sum())} of 24 norm figures" in pooled
    assert signs(raw).any()
    assert within.startswith("Within question")
    assert "mean norm at layer 1" in held_out
    choice = next(c for c in found.choices if c.scope == "within question")
    assert f"on {choice.choosing} questions" in held_out
    assert f"on {choice.held_out.questions} other questions" in held_out
    assert not any("truncation" in text for text in section.findings)  # it doesn't vary here


def test_of_chance_nothing_is_claimed(folder: Path) -> None:
    found = studied(folder, 0.0)
    norms, confounds, course, _ = sections(found, "cmd")
    for text in norms.findings[:2]:
        assert "none of 24 norm figures goes with correctness" in text
    assert "Within question no norm figure is shown to tell right" in confounds.findings[-1]
    assert "not shown to be larger or smaller" in course.findings[0]


def test_direct_responses_beside_thinking_ones(folder: Path) -> None:
    found = studied(folder, 0.0, direct="d")
    assert found.pairing is not None
    assert found.pairing.pairs == {"all": QUESTIONS, "answer": 0}
    profile = found.pairing.profile.set_index("layer")
    assert profile["ratio"][LAYER] == pytest.approx(1.2, abs=0.03)
    assert profile["p_holm"][LAYER] < 0.001
    assert (profile["p_holm"].drop(LAYER) > 0.05).all()
    section = next(one for one in sections(found, "cmd") if one.name == "profiles")
    assert any("without --samples the questions can't be compared" in t for t in section.caveats)
    assert "larger than direct ones at layer 1;" in section.findings[0]
    assert "no difference is shown at layers 0 and 2" in section.findings[0]
    assert section.findings[1] == "No response has the rows after the thinking."


def test_documents_are_the_same_where_they_agree() -> None:
    assert same_document({"q": "1 + 1", "a": 2}, {"q": "1 + 1", "choices": []})
    assert not same_document({"q": "1 + 1"}, {"q": "1 + 2"})
    assert not same_document({"q": "1 + 1"}, {"question": "1 + 1"})


def test_a_claim_needs_both_p_and_interval() -> None:
    rows = pd.DataFrame(
        {
            "value_low": [0.1, 0.1, -0.1, -0.3, np.nan],
            "value_high": [0.2, 0.2, 0.2, -0.1, np.nan],
            "p_holm": [0.01, 0.2, 0.01, 0.01, np.nan],
        }
    )
    assert signs(rows).tolist() == [1, 0, 0, -1, 0]
