"""Scores of a group of responses: against slow ones, by hand, and at the edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.signals import SIGNALS
from l2_harness.selection.counted_rows import counted_rows
from l2_harness.selection.group_scores import ROW_SCORES, ScoredResponse, group_scores
from l2_harness.selection.group_threshold import group_thresholds
from l2_harness.selection.norm_scores import NORM_SCORES, late_rows

Make = Callable[..., ResponseRows]


class TestAgainstTheDefinition:
    @settings(max_examples=40, deadline=None)
    @given(
        seed=st.integers(0, 2**32),
        lengths=st.lists(st.integers(1, 25), min_size=1, max_size=5),
        layers=st.integers(1, 4),
        part=st.sampled_from(["all", "thinking", "answer"]),
        window=st.integers(1, 12),
        temperature=st.sampled_from([0.05, 1.0, 3.0]),
    )
    def test_all_scores(
        self,
        slow: Any,
        seed: int,
        lengths: list[int],
        layers: int,
        part: Any,
        window: int,
        temperature: float,
    ) -> None:
        rng = np.random.default_rng(seed)
        responses = []
        for n in lengths:
            draws = rng.exponential(size=(4, n)).astype(np.float32)
            norms = rng.gamma(4.0, size=(n, layers)).astype(np.float32)
            end = int(rng.integers(n)) if rng.random() < 0.7 else None
            signals = dict(zip(SIGNALS.names, [-draws[0], *draws[1:]], strict=True))
            rows = ResponseRows(norms, signals)
            responses.append(ScoredResponse(rows, end, bool(rng.random() < 0.3)))
        found = group_scores(responses, part, window, temperature)
        spans = [
            counted_rows(part, len(r.rows.norms), r.thinking_end, r.truncated) for r in responses
        ]
        kept = [i for i, span in enumerate(spans) if span.stop > span.start]
        every = [r.rows.norms for r in responses]
        confidence = [
            math.exp(float(r.rows.logprob[span].mean(dtype=np.float64)))
            for r, span in zip(responses, spans, strict=True)
            if span.stop > span.start
        ]
        weights = slow.softmax(confidence, temperature)
        votes = dict(zip(kept, (w / max(weights) for w in weights), strict=True))
        for i, scores in enumerate(found):
            assert list(scores) == list(ROW_SCORES)
            if i not in kept:
                assert all(math.isnan(value) for value in scores.values())
                continue
            others = [slice(0, 1)] * len(every)
            others[i] = spans[i]
            expected = {
                "length": spans[i].stop - spans[i].start,
                **slow.norm_scores(every, others)[i],
                **slow.output_scores(responses[i].rows, spans[i], window),
                "cisc": votes[i],
            }
            assert scores == pytest.approx(expected, rel=1e-6, abs=1e-9)


class TestByHand:
    def test_one_layer(self, make_rows: Make) -> None:
        """Norms 1 … 9 in one response, 1 and 12 in the other."""
        first = make_rows(np.arange(1.0, 10.0)[:, None])
        second = make_rows(np.array([[1.0], [12.0]]))
        norms = np.concatenate([first.norms, second.norms])
        # 1 1 2 3 4 5 6 7 8 9 12: the quartiles are halfway from 2 to 3 and from 7 to 8
        assert group_thresholds(norms) == pytest.approx([7.5 + 1.5 * 5.0])
        scores = group_scores([ScoredResponse(first), ScoredResponse(second)])
        assert scores[0]["l2_sum"] == pytest.approx(45 / 15)
        assert scores[1]["l2_mean"] == pytest.approx(6.5 / 15)
        assert [s["l2_peaks"] for s in scores] == [0, 0]

    def test_peaks_and_areas(self, make_rows: Make) -> None:
        """All quartiles at 10, so that τ is 10.0015 in each layer."""
        flat = make_rows(np.full((30, 2), 10.0))
        peaks = np.full((10, 2), 10.0)
        peaks[1, 0] = peaks[8, 0] = 20.003
        response = make_rows(peaks)
        scores = group_scores([ScoredResponse(flat), ScoredResponse(response)])
        expected = {
            "l2_area": 2 * 1.0 / 2,
            "l2_area_rate": 0.1,
            "l2_peaks": 1.0,
            "l2_peak_rate": 0.1,
            "l2_late_area": 0.5,
            "l2_late_area_rate": 0.5 / 3,
        }
        assert {n: scores[1][n] for n in expected} == pytest.approx(expected, rel=1e-4)
        assert all(scores[0][name] == 0 for name in expected)

    @pytest.mark.parametrize(
        ("rows", "late"), [(1, 1), (2, 1), (3, 1), (4, 2), (10, 3), (20, 6), (300, 90), (301, 91)]
    )
    def test_the_last_thirty_percent(self, rows: int, late: int) -> None:
        assert late_rows(rows) == late

    @pytest.mark.parametrize(
        ("part", "end", "truncated", "expected"),
        [
            ("all", 3, False, (0, 10)),
            ("thinking", 3, False, (0, 4)),
            ("answer", 3, False, (4, 10)),
            ("thinking", None, True, (0, 10)),
            ("answer", None, True, (10, 10)),
            ("thinking", None, False, (0, 0)),
            ("answer", None, False, (0, 10)),
            ("answer", 9, False, (10, 10)),
        ],
    )
    def test_what_counts(
        self, part: Any, end: int | None, truncated: bool, expected: tuple[int, int]
    ) -> None:
        span = counted_rows(part, 10, end, truncated)
        assert (span.start, span.stop) == expected

    def test_the_papers_score_is_the_plain_sum_over_the_last_third(self, make_rows: Make) -> None:
        rows = make_rows(np.array([[9.0, 9], [9, 9], [9, 9], [9, 9], [9, 9], [1, 2], [3, 4]]))
        (scores,) = _scores([rows])
        assert scores["l2_paper"] == 9 + 9 + 1 + 2 + 3 + 4
        assert _scores([make_rows(rows.norms[-2:])])[0]["l2_paper"] == 3 + 4

    def test_layers_weigh_alike_whatever_their_scale(
        self, random_group: Callable[..., list[ResponseRows]]
    ) -> None:
        group = random_group(1, [20, 30])
        scaled = [
            ResponseRows(r.norms * np.array([1, 64, 4096], dtype=np.float32), r.signals)
            for r in group
        ]
        for a, b in zip(_scores(group), _scores(scaled), strict=True):
            names = [name for name in NORM_SCORES if name != "l2_paper"]
            assert [a[n] for n in names] == pytest.approx([b[n] for n in names])


class TestSigns:
    """Which way each score points."""

    def test_higher_norms_score_higher(self, make_rows: Make) -> None:
        rng = np.random.default_rng(0)
        calm = rng.uniform(9, 11, (100, 2))
        bursting = calm.copy()
        bursting[::5] *= 3
        low, high = _scores([make_rows(calm), make_rows(bursting)])
        for name in NORM_SCORES:
            assert high[name] > low[name], name

    def test_a_peaked_distribution_is_more_certain_and_confident(self) -> None:
        import torch

        from l2_harness.norms.statistics import distribution_statistics

        peaked, flat = torch.zeros(2, 100).unbind()
        peaked[3] = 9.0
        found = distribution_statistics(torch.stack([peaked, flat]))
        assert found.self_certainty[0] > found.self_certainty[1]
        assert found.confidence()[0] > found.confidence()[1]
        assert found.entropy[0] < found.entropy[1]


class TestDegenerate:
    def test_one_response_of_one_token(self, make_rows: Make) -> None:
        (scores,) = _scores([make_rows(np.array([[5.0, 7.0]]))])
        assert scores["length"] == 1
        assert scores["l2_peaks"] == scores["l2_area"] == scores["l2_late_area"] == 0
        assert scores["l2_sum"] == scores["l2_mean"] == pytest.approx(1, abs=1e-3)
        assert scores["deepconf_mean"] == scores["deepconf_lowest"] == scores["deepconf_tail"]

    def test_all_equal_norms_have_no_peak(self, make_rows: Make) -> None:
        for scores in _scores([make_rows(np.full((n, 2), 8.0)) for n in (3, 5)]):
            assert scores["l2_peaks"] == scores["l2_area"] == 0

    def test_norms_of_zero(self, make_rows: Make) -> None:
        (scores,) = _scores([make_rows(np.zeros((4, 2)))])
        assert [scores[name] for name in NORM_SCORES] == [0] * len(NORM_SCORES)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_norm_that_is_not_finite(
        self, bad: float, slow: Any, random_group: Callable[..., list[ResponseRows]]
    ) -> None:
        """Its response has no norm score; the others' are as if the row were not there."""
        good, broken = random_group(3, [12, 9])
        broken.norms[4, 1] = bad
        scores = _scores([good, broken])
        assert all(math.isnan(scores[1][name]) for name in NORM_SCORES)
        assert math.isfinite(scores[1]["mean_logprob"])
        assert all(math.isfinite(value) for value in scores[0].values())
        layer = np.concatenate([good.norms[:, 1], np.delete(broken.norms[:, 1], 4)])
        tau = group_thresholds(np.concatenate([good.norms, broken.norms]))
        assert tau[1] == pytest.approx(slow.threshold([float(x) for x in layer]))

    def test_nothing_counts(self, make_rows: Make) -> None:
        """No response thinks, so that none has a thinking part."""
        for scores in _scores([make_rows(np.ones((4, 1)))] * 2, part="thinking"):
            assert all(math.isnan(value) for value in scores.values())
            assert set(scores) == set(ROW_SCORES)

    def test_confidences_that_were_not_recorded(self, make_rows: Make) -> None:
        rows = make_rows(np.ones((4, 1)))
        old = ResponseRows(rows.norms, {**rows.signals, "confidence": None})
        (scores,) = _scores([old])
        assert not any(name.startswith("deepconf") for name in scores)

    def test_numbers_of_the_whole_response_are_passed_on(self, make_rows: Make) -> None:
        rows = make_rows(np.ones((4, 1)))
        marked = ResponseRows(**{**vars(rows), "scores": {"coe_r": 0.5}})
        assert _scores([marked])[0]["coe_r"] == 0.5


def _scores(group: list[ResponseRows], **options: Any) -> list[dict[str, float]]:
    return group_scores([ScoredResponse(rows) for rows in group], **options)
