"""Selection while responses are sampled, on the embedded model: what is chosen, what is recorded,
and that an interruption, a batch size or a look at the traces afterwards changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from l2_harness.analysis.norms.responses import read_groups
from l2_harness.analysis.selectors.recorded_scores import score_groups
from l2_harness.config import ConfigError
from l2_harness.config.selectors import SELECTORS, STALT
from l2_harness.engines.state_moves import weighted_move
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces
from l2_harness.norms.trace_choices import read_choices
from l2_harness.selection.chain_of_embedding import COE_SCORES, chain_of_embedding
from l2_harness.selection.choice import Candidates, MissingScoreError, choose
from l2_harness.selection.group_scores import ROW_SCORES
from l2_harness.selection.random_choice import selection_draw
from l2_harness.selection.sampled_text import SampledText
from l2_harness.selection.vote_answers import vote_answers
from l2_harness.selection.votes import answer_labels

N = 4
SETTINGS = {"until": [], "max_gen_toks": 60, "do_sample": True, "temperature": 1.5}


@pytest.fixture(scope="module")
def questions() -> list[str]:
    from l2_harness.demo.tokenizer import chat_prompt
    from l2_harness.paths import tasks_dir

    lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()
    problems = [p for p in map(json.loads, lines) if p["steps"] <= 2]
    return [chat_prompt(problem["question"], thinking=True) for problem in problems[:5]]


@pytest.fixture
def requests_(questions: list[str], instances: Callable[..., list[Any]]) -> list[Any]:
    return instances("generate_until", [(q, SETTINGS) for q in questions])


def demo(folder: Path | None = None, **args: Any) -> L2HF:
    record = {"record": "tokens", "trace_dir": str(folder)} if folder else {}
    common = {"device": "cpu", "dtype": "float64", "batch_size": 32, "seed": 3}
    return L2HF("demo", **{**common, "num_samples": N, "layers": "all", **record, **args})


def run(requests: Sequence[Any], folder: Path, **args: Any) -> tuple[list[str], pd.DataFrame]:
    responses = demo(folder, **args).generate_until(list(requests), disable_tqdm=True)
    return responses, read_traces(folder)


def afterwards(name: str, folder: Path, seed: int = 3, **options: Any) -> list[int]:
    """The sample that a selector chooses of each document, from the traces alone."""
    traces = read_groups(folder, None, "t")
    scores = score_groups(traces, folder, **{"window": 2048, **options})
    found = []
    for members in traces.groupby("group", sort=True).indices.values():
        names = set.intersection(*(set(scores[i]) for i in members))
        answers = [None if pd.isna(a) else a for a in traces["answer"].iloc[members]]
        candidates = Candidates(
            {n: np.array([scores[i][n] for i in members]) for n in names},
            (traces["finish_reason"].iloc[members] == "length").to_numpy(),
            answer_labels(answers),
        )
        draw = selection_draw(seed, traces["prompt_hash"].iat[members[0]], 0)
        found.append(int(choose(SELECTORS[name], candidates, draw)))
    return found


def chosen(traces: pd.DataFrame) -> list[int]:
    picked = traces[traces.chosen].sort_values("doc_id")
    assert list(picked.doc_id) == sorted(set(traces.doc_id))
    return list(picked["sample"])


class TestChosenOnline:
    @pytest.mark.parametrize("name", SELECTORS)
    def test_as_from_the_traces_afterwards(
        self, name: str, requests_: list[Any], tmp_path: Path
    ) -> None:
        responses, traces = run(requests_[:3], tmp_path, selection=name, coe=True)
        assert chosen(traces) == afterwards(name, tmp_path)
        assert responses == list(traces[traces.chosen].sort_values("doc_id").response)
        assert len(traces) == 3 * N

    def test_the_samples_are_those_of_no_selection(
        self, requests_: list[Any], tmp_path: Path
    ) -> None:
        _, off = run(requests_, tmp_path / "off")
        _, on = run(requests_, tmp_path / "on", selection="longest")
        for a, b in zip(off.itertuples(), on.itertuples(), strict=True):
            np.testing.assert_array_equal(a.tokens, b.tokens)
        assert chosen(off) == [0] * 5
        assert all(scores == {} for scores in off.scores)
        lengths = on.tokens.map(len).to_numpy().reshape(5, N)
        cut = (on.finish_reason == "length").to_numpy().reshape(5, N)
        allowed = np.where(cut & ~cut.all(1, keepdims=True), -1, lengths)
        assert chosen(on) == allowed.argmax(1).tolist()

    def test_scores_and_answers_are_recorded(self, requests_: list[Any], tmp_path: Path) -> None:
        _, traces = run(requests_, tmp_path, selection="l2", coe=True)
        assert all(set(scores) == {*ROW_SCORES, *COE_SCORES, STALT} for scores in traces.scores)
        for trace in traces.itertuples():
            assert trace.scores["length"] == len(trace.tokens) == len(trace.confidence)
            assert trace.scores["mean_logprob"] == pytest.approx(trace.logprob.mean(), rel=1e-5)
            ends = trace.response.rsplit("####", 1)
            if len(ends) == 2 and trace.finish_reason != "length":
                assert trace.answer == ends[1].strip()
        assert traces.answer.notna().any()

    @pytest.mark.parametrize("part", ["thinking", "answer"])
    def test_a_part_of_the_response(self, part: Any, requests_: list[Any], tmp_path: Path) -> None:
        _, traces = run(requests_, tmp_path, selection="l2_sum", selection_on=part)
        assert chosen(traces) == afterwards("l2_sum", tmp_path, part=part)
        for trace in traces.itertuples():
            if trace.finish_reason == "eos" and not pd.isna(trace.thinking_end):
                inside = trace.thinking_end + 1
                expected = inside if part == "thinking" else len(trace.tokens) - inside
                assert trace.scores["length"] == expected

    def test_the_response_carries_its_signals(self, requests_: list[Any], tmp_path: Path) -> None:
        responses, traces = run(requests_, tmp_path, selection="l2_area")
        picked = traces[traces.chosen].sort_values("doc_id")
        for response, trace in zip(responses, picked.itertuples(), strict=True):
            assert isinstance(response, SampledText)
            assert response.finish_reason == trace.finish_reason
            assert response.n_tokens == len(trace.tokens)
            assert dict(response.scores) == trace.scores
        (alone,) = demo(num_samples=1).generate_until(requests_[:1], disable_tqdm=True)
        assert isinstance(alone, SampledText)
        assert alone.n_tokens
        assert not alone.scores

    def test_without_traces(self, requests_: list[Any], tmp_path: Path) -> None:
        responses, _ = run(requests_, tmp_path, selection="l2_area")
        assert demo(selection="l2_area").generate_until(requests_, disable_tqdm=True) == responses

    def test_summary_keeps_scores_and_choice(self, requests_: list[Any], tmp_path: Path) -> None:
        responses, full = run(requests_, tmp_path / "a", selection="l2_area")
        again, light = run(requests_, tmp_path / "b", selection="l2_area", record="summary")
        assert again == responses
        assert chosen(light) == chosen(full) == afterwards("l2_area", tmp_path / "b")
        assert list(light.scores) == list(full.scores)
        assert light.norms.isna().all()

    def test_stock_generate(self, requests_: list[Any], tmp_path: Path) -> None:
        _, traces = run(requests_[:2], tmp_path, selection="confidence_vote", decoding="stock")
        assert chosen(traces) == afterwards("confidence_vote", tmp_path)


class TestRounds:
    """A batch size below the number of samples: a group needs several rounds."""

    @pytest.mark.parametrize("batch_size", [1, 3])
    def test_same_choice(
        self,
        batch_size: int,
        requests_: list[Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # however slow the machine is
        monkeypatch.setattr("l2_harness.engines.hf.under_way._HELD_BACK_S", np.inf)
        responses, whole = run(requests_, tmp_path / "a", selection="l2_area", coe=True)
        again, parts = run(
            requests_, tmp_path / "b", selection="l2_area", coe=True, batch_size=batch_size
        )
        assert again == responses
        assert chosen(parts) == chosen(whole)
        for a, b in zip(whole.scores, parts.scores, strict=True):
            assert a == pytest.approx(b, rel=1e-6, nan_ok=True)
        assert list(whole.answer) == list(parts.answer)
        assert len(list((tmp_path / "b").glob("choice-*"))) == len(requests_)
        assert not list((tmp_path / "a").glob("choice-*"))

    def test_repeats_too(
        self, questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
    ) -> None:
        requests = instances("generate_until", [(q, SETTINGS) for q in questions[:2]], repeats=N)
        listed = [r for r in requests for _ in range(N)]
        scores = []
        for size in (32, 3):
            folder = tmp_path / str(size)
            responses, traces = run(listed, folder, num_samples=1, batch_size=size)
            assert traces.chosen.all()
            scores.append([dict(response.scores) for response in responses])  # type: ignore[attr-defined]
            assert scores[-1] == list(traces.sort_values(["doc_id", "repeat"]).scores)
        for a, b in zip(*scores, strict=True):
            assert a == pytest.approx(b, rel=1e-6)


class TestInterrupted:
    def stop_after(self, lm: L2HF, flushes: int) -> None:
        """End the run as a kill would, once so many rounds are on disk."""
        recorder = lm._recorder
        assert recorder is not None
        flush, done = recorder.flush, [0]

        def counted() -> None:
            flush()
            done[0] += 1
            if done[0] == flushes:
                raise KeyboardInterrupt

        recorder.flush = counted  # type: ignore[method-assign]

    @pytest.mark.parametrize("batch_size", [1, 3, 8])
    def test_a_rerun_chooses_the_same(
        self, batch_size: int, requests_: list[Any], tmp_path: Path
    ) -> None:
        responses, whole = run(requests_, tmp_path / "a", selection="l2_area", coe=True)
        args = {"selection": "l2_area", "coe": True, "batch_size": batch_size}
        lm = demo(tmp_path / "b", **args)
        self.stop_after(lm, 3 if batch_size < N else 2)
        with pytest.raises(KeyboardInterrupt):
            lm.generate_until(requests_, disable_tqdm=True)
        left = read_traces(tmp_path / "b")
        assert 0 < len(left) < len(whole)
        again, traces = run(requests_, tmp_path / "b", **args)
        assert again == responses
        assert chosen(traces) == chosen(whole)
        assert len(traces) == len(whole)
        for a, b in zip(whole.scores, traces.scores, strict=True):
            assert a == pytest.approx(b, rel=1e-6, nan_ok=True)

    def test_between_the_last_sample_and_the_choice(
        self, requests_: list[Any], tmp_path: Path
    ) -> None:
        """All samples are there and nothing says which one: the rerun says, without the model."""
        args = {"selection": "l2_area", "batch_size": 1}
        responses, whole = run(requests_, tmp_path, **args)
        for path in tmp_path.glob("choice-*"):
            path.unlink()
        assert not read_choices(tmp_path)
        assert 0 < read_traces(tmp_path).chosen.sum() < 5, "only the last round knew the choice"
        lm = demo(tmp_path, **args)
        ran: list[int] = []
        lm.model.register_forward_pre_hook(lambda *a: ran.append(1))
        again = lm.generate_until(requests_, disable_tqdm=True)
        assert again == responses
        assert not ran
        traces = read_traces(tmp_path)
        assert chosen(traces) == chosen(whole)
        assert list(traces.scores) == list(whole.scores)

    def test_a_finished_run_reads_no_rows(
        self, requests_: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        responses, _ = run(requests_, tmp_path, selection="majority")
        monkeypatch.setattr(
            "l2_harness.norms.recorded_responses.read_part",
            lambda *a: pytest.fail("rows were read"),
        )
        lm = demo(tmp_path, selection="majority")
        again = lm.generate_until(requests_, disable_tqdm=True)
        assert again == responses
        assert lm.get_model_info()["l2"]["responses"] == 5 * N

    def test_a_part_that_is_lost(self, requests_: list[Any], tmp_path: Path) -> None:
        """Without rows on disk a group that is not whole is sampled again."""
        for record in ("tokens", "summary"):
            folder = tmp_path / record
            args = {"selection": "l2_area", "record": record, "batch_size": 8}
            responses, whole = run(requests_, folder, **args)
            sorted(folder.glob("part-*"))[0].unlink()
            again, traces = run(requests_, folder, **args)
            assert again == responses
            assert chosen(traces) == chosen(whole)


class TestTruncated:
    def test_chosen_only_where_all_are(
        self, questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
    ) -> None:
        short = {**SETTINGS, "max_gen_toks": 40}
        requests = instances("generate_until", [(q, short) for q in questions])
        _, traces = run(requests, tmp_path, selection="longest", num_samples=8)
        cut = traces.finish_reason == "length"
        assert 0 < cut.sum() < len(traces)
        for _, group in traces.groupby("doc_id"):
            (picked,) = group[group.chosen].itertuples()
            all_cut = bool((group.finish_reason == "length").all())
            assert (picked.finish_reason == "length") == all_cut


class TestChainOfEmbedding:
    def test_against_all_hidden_states(self, requests_: list[Any], tmp_path: Path) -> None:
        """One forward pass over prompt and response, the states of its rows averaged."""
        _, traces = run(requests_, tmp_path, selection="coe_r")
        lm = demo()
        for trace in list(traces.itertuples())[:4]:
            prompt = lm.tok_encode(requests_[trace.doc_id].args[0])
            ids = torch.tensor([[*prompt, *trace.tokens.tolist()[:-1]]])
            kept = outputs_of(lm, ids)
            means = torch.stack([k[0, len(prompt) - 1 :].mean(0) for k in kept]).numpy()
            expected = chain_of_embedding(means)
            assert {n: trace.scores[n] for n in COE_SCORES} == pytest.approx(expected, rel=1e-6)
            rows = torch.stack([k[0, len(prompt) - 1 :] for k in kept])
            moves = weighted_move(rows[:, :-1], rows[:, 1:])
            assert trace.scores[STALT] == pytest.approx(float(moves.mean()), rel=1e-5)


def outputs_of(lm: L2HF, ids: torch.Tensor) -> list[torch.Tensor]:
    """The output of each layer, (1, positions, d)."""
    kept: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda module, args, out: kept.append(out.detach()))
        for layer in lm.model.model.layers
    ]
    with torch.no_grad():
        lm.model(ids)
    for hook in hooks:
        hook.remove()
    return kept


class TestErrors:
    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ({"selection": "l2_aera"}, "did you mean 'l2_area'?"),
            ({"selection": "l2", "num_samples": 1}, "selection=l2_peaks chooses among samples"),
            ({"selection": "l2", "record": "off"}, "record=off records nothing to choose by"),
            ({"selection_on": "answers"}, "did you mean 'answer'?"),
            ({"selection": "coe_r", "layers": "late"}, "needs 3 of them; layers=late is [9, 10]"),
        ],
    )
    def test_named_at_once(self, args: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError) as error:
            demo(**args)
        assert message in str(error.value)

    def test_a_way_of_decoding_without_the_signal(self, requests_: list[Any]) -> None:
        lm = demo(selection="coe_r", decoding="stock")
        with pytest.raises(MissingScoreError, match="coe_r needs the score 'coe_r'"):
            lm.generate_until(requests_, disable_tqdm=True)


def read_whole(responses: pd.Series, opened: bool) -> list[str | None]:
    """The answers of one question's responses, all of which were cut off."""
    cut = [True] * len(responses)
    return vote_answers(list(responses), {}, "math", opened=opened, truncated=cut)[0]


class TestVotesOfCutOffResponses:
    """Where the limit ends every response before its box."""

    @pytest.mark.parametrize("selection", ["majority", "l2_vote", "self_certainty_borda"])
    def test_they_are_read_as_whole_and_that_is_said(
        self,
        selection: str,
        questions: list[str],
        instances: Callable[..., list[Any]],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        short = {**SETTINGS, "max_gen_toks": 24}
        requests = instances("generate_until", [(q, short) for q in questions[:4]])
        lm = demo(tmp_path, selection=selection)
        responses: list[Any] = lm.generate_until(requests)
        votes = lm.get_model_info()["l2"]["votes"]
        traces = read_traces(tmp_path)
        assert set(traces.finish_reason) == {"length"}
        assert traces.answer.isna().all()
        answered = traces.groupby("doc_id").response.apply(lambda of: any(read_whole(of, True)))
        assert votes == {
            "questions": 4,
            "read_as_whole": int(answered.sum()),
            "unanswered": int((~answered).sum()),
        }
        again = demo(tmp_path, selection=selection)
        recalled: list[Any] = again.generate_until(requests)
        assert again.get_model_info()["l2"]["votes"] == votes
        assert [r.answer for r in recalled] == [r.answer for r in responses]
        assert f"to {votes['unanswered'] or votes['read_as_whole']} of 4 questions" in caplog.text

    def test_majority_is_that_of_what_they_end_with(
        self, questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
    ) -> None:
        """Direct answers are numbers from the start: the most frequent one wins, not the first."""
        direct = [q.removesuffix("<think>\n") + "so it is" for q in questions[:6]]
        short = {**SETTINGS, "max_gen_toks": 6}
        lm = demo(tmp_path, selection="majority")
        responses = lm.generate_until(instances("generate_until", [(q, short) for q in direct]))
        traces = read_traces(tmp_path).sort_values(["doc_id", "sample"])
        told = 0
        for response, (_, of) in zip(responses, traces.groupby("doc_id"), strict=True):
            answers = pd.Series(read_whole(of.response, False), index=of.index)
            if (of.finish_reason == "length").all() and answers.notna().any():
                counts = answers.value_counts()
                own = answers[of.response == str(response)].iloc[0]
                assert counts[own] == counts.max()
                told += 1
        assert told
