"""One model, several evaluations: each counts its own, with its own seed, and says what it did."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from l2_harness.models.hf.l2hf import L2HF
from l2_harness.paths import tasks_dir

DRAWN = {"max_gen_toks": 16, "do_sample": True, "temperature": 1.5}
ACTING = {"suppression": "peaks", "threshold_k": 0.0, "threshold_warmup": 2}


def demo(folder: Path | None = None, **args: Any) -> L2HF:
    record = {"record": "tokens", "trace_dir": str(folder)} if folder else {}
    return L2HF("demo", device="cpu", batch_size=8, **{**record, **args})


def evaluate(lm: L2HF, limit: int = 2, **args: Any) -> tuple[dict[str, Any], list[str]]:
    """``config.l2`` of lm-eval's results, and the responses."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    results = lm_eval.simple_evaluate(
        model=lm,
        tasks=["l2_demo"],
        limit=limit,
        task_manager=TaskManager(include_path=str(tasks_dir()), include_defaults=False),
        apply_chat_template=True,
        bootstrap_iters=0,
        **{"gen_kwargs": dict(DRAWN), **args},
    )
    assert results is not None
    texts = [sample["resps"][0][0] for sample in results["samples"]["l2_demo"]]
    return results["config"]["l2"], texts


def passes(lm: L2HF) -> list[int]:
    ran: list[int] = []
    lm.model.register_forward_pre_hook(lambda *a: ran.append(1))
    return ran


@pytest.mark.parametrize("args", [{}, ACTING], ids=str)
def test_each_evaluation_counts_its_own(args: dict[str, Any]) -> None:
    lm = demo(**args)
    first, _ = evaluate(lm, limit=2)
    second, _ = evaluate(lm, limit=3)
    assert (first["responses"], second["responses"]) == (2, 3)
    fresh, _ = evaluate(demo(**args), limit=3)
    assert second == fresh
    if args:
        assert second["interventions"]["responses"] == 3
        assert second["interventions"]["all_layers"]["suppressed"] > 0
    assert lm.get_model_info()["l2"] == second


def test_another_type_of_request_is_another_evaluation_once_the_first_was_told(
    instances: Callable[..., list[Any]], prompts: list[str]
) -> None:
    lm = demo()
    lm.loglikelihood(instances("loglikelihood", [(p, " 12") for p in prompts[:2]]))
    lm.loglikelihood_rolling(instances("loglikelihood_rolling", [(p,) for p in prompts[:3]]))
    assert lm.get_model_info()["l2"]["responses"] == 5
    lm.loglikelihood_rolling(instances("loglikelihood_rolling", [(prompts[0],)]))
    assert lm.get_model_info()["l2"]["responses"] == 1


class TestSeed:
    """lm-eval seeds torch when an evaluation starts, which may be long after the model is made."""

    def test_it_takes_effect_on_a_model_that_is_there(self) -> None:
        torch.manual_seed(1)
        first = demo()
        torch.manual_seed(2)
        second = demo()
        found = [evaluate(lm, torch_random_seed=7) for lm in (first, second)]
        assert found[0] == found[1]
        assert found[0][0]["seed"] == 7
        other, texts = evaluate(first, torch_random_seed=8)
        assert other["seed"] == 8
        assert texts != found[0][1]
        torch.manual_seed(7)
        assert evaluate(demo(), torch_random_seed=None)[1] == found[0][1]

    def test_an_argument_wins(self) -> None:
        assert evaluate(demo(seed=3), torch_random_seed=7)[0]["seed"] == 3

    def test_resume_without_one_matches(self, tmp_path: Path) -> None:
        torch.manual_seed(1)
        told, texts = evaluate(demo(tmp_path), torch_random_seed=7)
        torch.manual_seed(2)
        again = demo(tmp_path)
        ran = passes(again)
        told_again, texts_again = evaluate(again, torch_random_seed=7)
        assert not ran
        assert texts_again == texts
        for name in ("run_id", "seed", "responses", "rows"):
            assert told_again[name] == told[name]
        assert len(list(tmp_path.glob("run-*.json"))) == 1

    def test_samples_from_waits_for_it(self, tmp_path: Path) -> None:
        _, expected = evaluate(demo(tmp_path), torch_random_seed=7)
        torch.manual_seed(2)
        lm = demo(samples_from=str(tmp_path))
        ran = passes(lm)
        assert evaluate(lm, torch_random_seed=7)[1] == expected
        assert not ran
        with pytest.raises(ValueError, match="seed=7 there, 8 here"):
            evaluate(lm, torch_random_seed=8)


def test_a_resumed_run_tells_all_that_was_done(tmp_path: Path) -> None:
    whole, texts = evaluate(demo(tmp_path / "whole", **ACTING), limit=4)
    evaluate(demo(tmp_path / "resumed", **ACTING), limit=2)
    resumed, again = evaluate(demo(tmp_path / "resumed", **ACTING), limit=4)
    assert again == texts
    told, expected = resumed["interventions"], whole["interventions"]
    # sums of how much states changed are added up in another order
    assert told["all_layers"] == pytest.approx(expected["all_layers"], rel=1e-6)
    for layer, counters in expected["layers"].items():
        assert told["layers"][layer] == pytest.approx(counters, rel=1e-6)
    assert told["acted_on"] == expected["acted_on"]
    assert (resumed["rows"], resumed["responses"]) == (whole["rows"], whole["responses"])


def test_the_lm_eval_command_says_what_it_came_to() -> None:
    """One line, and a warning with the setting to change, on the terminal as it is."""
    args = "pretrained=demo,recursion=norm,threshold_warmup=5000"
    command = [
        *[sys.executable, "-m", "lm_eval", "--model", "l2hf", "--model_args", args],
        *["--tasks", "l2_demo", "--include_path", str(tasks_dir()), "--apply_chat_template"],
        *["--limit", "2", "--device", "cpu", "--gen_kwargs", "max_gen_toks=24"],
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (done.stdout + done.stderr).splitlines()
    (line,) = [line for line in lines if "recorded 48 rows of 2 responses; " in line]
    assert "over 2 layers, " in line
    assert line.endswith("0 edits (0 a response)")
    (warning,) = [line for line in lines if "recursion=norm acted on 0 of 2 responses." in line]
    assert "Their median length is 24 tokens, and the first 5,000 rows" in warning
    assert warning.endswith("pass a smaller recursion_warmup.")
