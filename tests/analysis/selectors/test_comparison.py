"""The comparison: its statistics by hand, its report, and samples from JSONL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from l2_harness.analysis.selectors.comparison import RIVALS, compare
from l2_harness.analysis.selectors.from_jsonl import load_jsonl, own_selectors
from l2_harness.analysis.selectors.samples import JudgedResponse, SampleTable, sample_table
from l2_harness.analysis.selectors.selection_section import selection_section
from l2_harness.config import ConfigError
from l2_harness.config.selectors import SELECTORS
from l2_harness.findings.section import read_section
from l2_harness.norms import TraceWarning

Make = Callable[..., SampleTable]


class TestCompare:
    def test_every_selector_has_a_row(self, make_table: Make) -> None:
        found = compare(make_table(questions=40), resamples=50)
        assert [row.selector.name for row in found.rows] == [*SELECTORS, "oracle"]
        assert not found.missing
        for row in found.rows:
            assert list(row.curve) == [1, 2, 4, 6]
            assert row.accuracy == row.curve[6]
            assert row.accuracy.low <= row.accuracy.value <= row.accuracy.high
            expected = set() if row.selector.name == "oracle" else {*RIVALS} - {row.selector.name}
            assert set(row.differences) == expected
            for rival, difference in row.differences.items():
                other = next(r for r in found.rows if r.selector.name == rival)
                gap = row.accuracy.value - other.accuracy.value
                assert difference.value == pytest.approx(gap)
                assert difference.p <= difference.p_corrected <= 1

    def test_auroc_is_the_mean_over_questions_with_both(self, make_table: Make) -> None:
        table = make_table(questions=30)
        row = next(r for r in compare(table, resamples=50).rows if r.selector.name == "longest")
        areas = [
            roc_auc_score(right, length)
            for right, length in zip(table.correct, table.lengths, strict=True)
            if 0 < right.mean() < 1
        ]
        assert row.auroc.value == pytest.approx(np.mean(areas))
        assert row.auroc.questions == len(areas)
        assert row.auroc.low < row.auroc.value < row.auroc.high

    def test_selectors_that_choose_alike_leave_room(self, make_table: Make) -> None:
        """Two that differ in one question of thirty have an interval with a width."""
        table = make_table(questions=30)
        rows = compare(table, resamples=50).rows
        for row in rows:
            for difference in row.differences.values():
                assert difference.high - difference.low > 0.05
                assert difference.low <= difference.value <= difference.high

    def test_perplexity_and_mean_log_probability(self, make_table: Make) -> None:
        """The same order: no difference, certainly none."""
        table = make_table()
        logprob = np.log(1 + table.candidates.scores["mean_logprob"])
        scores = {
            **table.candidates.scores,
            "mean_logprob": logprob,
            "perplexity": 1 / np.exp(logprob),
        }
        table.candidates.__dict__["scores"] = scores
        row = next(r for r in compare(table, resamples=20).rows if r.selector.name == "perplexity")
        assert row.differences["mean_logprob"].value == 0
        assert row.differences["mean_logprob"].p == 1

    def test_what_is_missing_is_named(self) -> None:
        groups: dict[Any, list[JudgedResponse]] = {
            q: [JudgedResponse(float(i == q % 3), 10 + i) for i in range(3)] for q in range(6)
        }
        found = compare(sample_table(groups, with_labels=False), resamples=20)
        names = [row.selector.name for row in found.rows]
        assert names == ["random", "shortest", "longest", "oracle"]
        assert "record=tokens" in found.missing["l2_sum"]
        assert "coe=true" in found.missing["coe_r"]
        assert "answers" in found.missing["majority"]
        lengths = {r.selector.name: r.length_within for r in found.rows}
        assert (lengths["shortest"], lengths["longest"]) == (1, 1)

    def test_a_length_that_decides(self) -> None:
        groups: dict[Any, list[JudgedResponse]] = {
            q: [JudgedResponse(float(i == 3), 10 + i) for i in range(4)] for q in range(20)
        }
        rows = compare(sample_table(groups, with_labels=False), resamples=50).rows
        by_name = {row.selector.name: row for row in rows}
        assert by_name["longest"].accuracy.value == 1
        assert by_name["shortest"].accuracy.value == 0
        assert by_name["longest"].auroc.value == 1
        assert by_name["shortest"].auroc.value == 0
        assert by_name["longest"].curve[2].value == pytest.approx(0.5)
        assert by_name["longest"].differences["random"].value == pytest.approx(0.75)
        assert by_name["longest"].differences["random"].p_corrected < 0.01

    def test_another_number_of_responses_is_left_out(self) -> None:
        groups: dict[Any, list[JudgedResponse]] = {
            q: [JudgedResponse(1.0, 5.0)] * (2 if q == 4 else 3) for q in range(5)
        }
        with pytest.warns(TraceWarning, match="1 of 5 questions have another number"):
            table = sample_table(groups, with_labels=False)
        assert (len(table.questions), table.n) == (4, 3)
        with pytest.raises(ValueError, match="no question"):
            sample_table({}, with_labels=False)


def test_the_figure_can_be_read(
    make_table: Make, figure_faults: Callable[[Any], list[str]]
) -> None:
    for questions, n in ((1, 2), (12, 16)):
        found = compare(make_table(questions=questions, n=n), resamples=20, subsets=8)
        (figure,) = selection_section(found, "a task of a long name", {}).figures
        assert not figure_faults(figure.drawing)


def lines(*records: dict[str, Any]) -> str:
    return "\n".join(json.dumps(record) for record in records) + "\n"


class TestJsonl:
    def test_votes_and_scores(self, tmp_path: Path) -> None:
        path = tmp_path / "samples.jsonl"
        path.write_text(
            lines(
                {"problem": 1, "correct": True, "response": r"so \boxed{\frac12}", "n_tokens": 9},
                {"problem": 1, "correct": False, "response": r"\boxed{3}", "n_tokens": 4},
                {"problem": 1, "correct": True, "answer": "0.5", "n_tokens": 7},
                {"problem": 2, "correct": 0, "answer": "8", "n_tokens": 1},
                {"problem": 2, "correct": 1, "answer": "9", "n_tokens": 2},
                {
                    **{"problem": 2, "correct": 0, "response": "9", "n_tokens": 3},
                    "finish_reason": "length",
                },
            )
        )
        table = load_jsonl(path)
        assert table.candidates.labels is not None
        assert table.candidates.labels.tolist() == [[0, 1, 0], [0, 1, -1]]
        assert table.candidates.truncated.tolist() == [[False] * 3, [False, False, True]]
        rows = {r.selector.name: r for r in compare(table, resamples=20).rows}
        assert rows["majority"].accuracy.value == 0.5
        assert rows["longest"].accuracy.value == 1.0
        assert rows["oracle"].accuracy.value == 1.0

    def test_scores_of_any_name(self, tmp_path: Path) -> None:
        path = tmp_path / "samples.jsonl"
        records = [
            {
                "problem": f"q{q}",
                "correct": i == 2,
                "answer": str(i),
                "scores": {"reward": i, "perplexity": 9 - i},
            }
            for q in range(4)
            for i in range(3)
        ]
        path.write_text(lines(*records))
        table = load_jsonl(path)
        rows = {r.selector.name: r for r in compare(table, own_selectors(table), resamples=20).rows}
        assert rows["max:reward"].accuracy.value == rows["vote:reward"].accuracy.value == 1
        assert rows["perplexity"].accuracy.value == 1
        assert rows["majority"].accuracy.value == 0

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{", "line 2: no JSON"),
            ("[]", "line 2: an object with problem and correct"),
            ('{"problem": 1}', "line 2: an object with problem and correct"),
            ('{"problem": 1, "correct": "yes"}', "line 2: correct='yes'; true, false"),
            ('{"problem": 1, "correct": 1, "scores": [2]}', "line 2: scores=[2]; an object"),
        ],
    )
    def test_a_line_that_is_none(self, line: str, message: str, tmp_path: Path) -> None:
        path = tmp_path / "samples.jsonl"
        path.write_text('{"problem": 1, "correct": 1}\n' + line + "\n")
        with pytest.raises(ConfigError, match=re.escape(message)):
            load_jsonl(path)

    def test_the_command(self, run_command: Callable[..., Any], tmp_path: Path) -> None:
        path = tmp_path / "samples.jsonl"
        rng = np.random.default_rng(0)
        path.write_text(
            lines(
                *(
                    {"problem": q, "correct": bool(a == 0), "answer": str(a), "n_tokens": 5}
                    for q in range(8)
                    for a in rng.integers(0, 3, 4).tolist()
                )
            )
        )
        out = tmp_path / "out"
        words = ["select", "--jsonl", str(path), "--out", str(out), "--resamples", "20"]
        done = run_command("l2-harness", *words)
        assert done.returncode == 0, done.stderr
        assert "8 questions with 4 samples each" in done.stdout
        assert len(done.stdout.splitlines()) < 40
        section = read_section(out / "selection")
        assert sum("l2_sum" in caveat for caveat in section.caveats) == 1
        table = section.tables[0].frame.set_index("selector")
        assert list(table.index) == ["random", "shortest", "longest", "majority", "oracle"]
        assert set(section.tables[1].frame.n) == {1, 2, 4}
        assert section.settings["questions"] == 8
        assert (out / "selection" / "by_samples.png").stat().st_size > 10_000
        assert table["accuracy_low"].isna().all()  # of eight questions
        choices = pd.read_csv(out / "choices.csv")
        assert list(choices.columns) == ["question", "shortest", "longest", "majority"]
        assert choices.shortest.eq(0).all()

    def test_nothing_to_read(self, run_command: Callable[..., Any]) -> None:
        done = run_command("l2-harness", "select")
        assert done.returncode == 2
        assert "pass TRACE_DIR with --samples RESULTS, or --jsonl FILE" in done.stderr
