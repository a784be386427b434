"""What recursion, steering and suppression do to the demo model, each beside its controls:
``python -m l2_harness.demo.techniques --out results/interventions``.

The model's responses are short (about a hundred rows) and the defaults are made for long ones, so
warm-up, growth, patience and the like are chosen on the validation split; every figure is of the
test split. Greedy decoding, paired by problem.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance

from l2_harness.demo.evaluate import MAX_NEW_TOKENS, wilson
from l2_harness.demo.problems import extract_answer
from l2_harness.demo.tokenizer import chat_prompt
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.paths import tasks_dir
from l2_harness.statistics.paired import Contrasts, Difference, differences

Args = Mapping[str, Any]

_RECURSION = [
    {"recursion": "norm", "threshold_warmup": warmup, **more}
    for warmup in (8, 16)
    for more in (
        {},
        {"recursion_min_growth": 0.05},
        {"recursion_min_growth": 0.0, "recursion_max_ratio": 3.0},
        {"recursion_min_growth": 0.05, "recursion_alpha": 0.3},
    )
]
_STEERING = [
    {
        "steering": "norm",
        "threshold_warmup": 8,
        "steering_probability": 0.5,
        "steering_cooldown": 8,
        "steering_min_cosine": cosine,
        "steering_patience": patience,
        "steering_low": low,
    }
    for patience in (4, 10)
    for low in ("1.0", "q0.4")
    for cosine in (0.5, 0.0)
]


@dataclass(frozen=True, eq=False)
class Arm:
    """One run over a split.

    Attributes:
        name: what the table calls it.
        args: model_args beside ``pretrained=demo``.
        right: a bool a problem.
        changed: how many responses are not the plain ones.
        counts: sums of the interventions' counters.
    """

    name: str
    args: Args
    right: list[bool]
    changed: int
    counts: dict[str, int]

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return sum(self.right) / len(self.right)

    @property
    def acted(self) -> int:
        """How many states were changed."""
        names = ("passes_accepted", "injections", "suppressed")
        return sum(self.counts.get(name, 0) for name in names)


def less(arm: Arm, other: Arm) -> Difference:
    """``arm`` less ``other`` over the same problems, in points."""
    first, second = (np.array(one.right, dtype=float)[:, None] for one in (arm, other))
    return differences(Contrasts.of(first, second))[0].times(100)


class Bench:
    """One split, and the plain responses to it."""

    def __init__(self, split: str, limit: int | None) -> None:
        lines = (tasks_dir() / "l2_demo" / f"{split}.jsonl").read_text("utf-8").splitlines()
        self._problems = [json.loads(line) for line in lines[:limit]]
        self._plain: list[str] = []
        self.split = split
        self.plain = self.run("plain", {})

    def run(self, name: str, args: Args) -> Arm:
        """Answer every problem."""
        started = time.perf_counter()
        lm = L2HF("demo", device="cpu", dtype="float32", batch_size=32, record="off", **args)
        settings = {"until": [], "do_sample": False, "max_gen_toks": MAX_NEW_TOKENS}
        requests = [
            Instance("generate_until", {}, (chat_prompt(p["question"], True), settings), 0)
            for p in self._problems
        ]
        responses = lm.generate_until(requests, disable_tqdm=True)
        if not self._plain:
            self._plain = responses
        info = lm.get_model_info()["l2"].get("interventions", {})
        right = [
            extract_answer(text) == int(problem["answer"])
            for text, problem in zip(responses, self._problems, strict=True)
        ]
        changed = sum(a != b for a, b in zip(responses, self._plain, strict=True))
        arm = Arm(name, dict(args), right, changed, info.get("all_layers", {}))
        seconds = time.perf_counter() - started
        print(f"{self.split}: {name}: {arm.accuracy:.1%}, {arm.acted} edits, {seconds:.0f} s")
        return arm

    def best(self, name: str, candidates: Sequence[Args]) -> tuple[Arm, list[Arm]]:
        """The candidate of highest accuracy among those that act; the first of equals."""
        arms = [self.run(f"{name} {i + 1}", args) for i, args in enumerate(candidates)]
        acting = [arm for arm in arms if arm.acted]
        if not acting:
            raise RuntimeError(f"no candidate for {name} ever acted: widen the grid")
        return max(acting, key=lambda arm: arm.accuracy), arms


def test_arms(recursion: Args, steering: Args) -> list[tuple[str, Args]]:
    """Name and model_args of every run over the test split, after the plain one."""
    warmup = {"threshold_warmup": 8}
    return [
        ("ALRR, paper's defaults", {"recursion": "norm"}),
        ("ALRR", recursion),
        ("control: every row", {**recursion, "recursion": "always"}),
        ("control: random rows", {**recursion, "recursion": "random"}),
        ("rival: EGLR", {**warmup, "recursion": "entropy"}),
        ("rival: EGLR, damped", {**warmup, "recursion": "entropy", "recursion_alpha": 0.3}),
        ("ERSS, paper's defaults", {"steering": "norm"}),
        ("ERSS", steering),
        ("control: random moments", {**steering, "steering": "random"}),
        ("control: shuffled states", {**steering, "steering_source": "shuffled"}),
        ("control: Gaussian states", {**steering, "steering_source": "gaussian"}),
        ("ALRR and ERSS", {**recursion, **steering}),
        ("peaks suppressed (scale)", {**warmup, "suppression": "peaks"}),
        ("control: random rows (scale)", {**warmup, "suppression": "random"}),
        ("peaks clamped", {**warmup, "suppression": "peaks", "suppression_mode": "clamp"}),
        (
            "control: random rows clamped",
            {**warmup, "suppression": "random", "suppression_mode": "clamp"},
        ),
        ("peaks, angle only", {**warmup, "suppression": "peaks", "suppression_mode": "angle"}),
        ("peaks, norm only", {**warmup, "suppression": "peaks", "suppression_mode": "norm"}),
    ]


def table(plain: Arm, arms: Sequence[Arm]) -> str:
    """A row an arm, in Markdown."""
    lines = [
        "| arm | accuracy | less plain, points | p | responses changed | gates / passes / "
        "accepted | injections | suppressed | credits left |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm in [plain, *arms]:
        low, high = wilson(sum(arm.right), len(arm.right))
        d, c = less(arm, plain), {**dict.fromkeys(_COUNTED, 0), **arm.counts}
        left = c["recursion_credits_left"] + c["steering_credits_left"]
        left += c["suppression_credits_left"]
        p_value = "" if arm is plain else _p_value(d.p).removeprefix("= ")
        paired = "" if arm is plain else f"{d.value:+.1f} ({d.low:+.1f} to {d.high:+.1f})"
        lines.append(
            f"| {arm.name} | {arm.accuracy:.1%} ({low:.1%}-{high:.1%}) | {paired} | "
            f"{p_value} | {arm.changed} | {c['gates_opened']} / "
            f"{c['passes_run']} / {c['passes_accepted']} | {c['injections']} | "
            f"{c['suppressed']} | {left} |"
        )
    return "\n".join(lines)


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


_COUNTED = (
    "gates_opened",
    "passes_run",
    "passes_accepted",
    "injections",
    "suppressed",
    "recursion_credits_left",
    "steering_credits_left",
    "suppression_credits_left",
)


def write(
    out: Path, command: str, validation: Sequence[Arm], plain: Arm, arms: Sequence[Arm]
) -> None:
    """``README.md`` with the tables, and ``arms.json`` with every verdict."""
    out.mkdir(parents=True, exist_ok=True)
    by_name = {arm.name: arm for arm in arms}
    peaks, rows = by_name["peaks suppressed (scale)"], by_name["control: random rows (scale)"]
    against = less(peaks, rows)
    chosen = "\n".join(
        f"- {name}: `{','.join(f'{k}={v}' for k, v in by_name[name].args.items())}`"
        for name in ("ALRR", "ERSS")
    )
    grid = "\n".join(
        f"| {arm.name} | {', '.join(f'{k}={v}' for k, v in arm.args.items())} | "
        f"{arm.accuracy:.1%} | {arm.acted} |"
        for arm in validation
    )
    text = f"""# Interventions on the embedded model

    {command}

Greedy decoding, {len(plain.right)} problems of the test split, float32 on the CPU, monitored layers
`late` (9 and 10 of 12). Intervals are 95 %: Wilson's for accuracies, Tango's for differences;
p is McNemar's exact one, not corrected for the number of arms.

{table(plain, arms)}

Peaks less random rows suppressed (scale): {against.value:+.1f} points ({against.low:+.1f} to
{against.high:+.1f}), p {_p_value(against.p)}.

Chosen on the validation split, by accuracy among the candidates that act:
{chosen}

| candidate | settings | accuracy, validation | states changed |
|---|---|---|---|
{grid}
"""
    (out / "README.md").write_text(text, "utf-8")
    content = {"command": command, "test": [asdict(a) for a in [plain, *arms]]}
    (out / "arms.json").write_text(json.dumps(content) + "\n", "utf-8")


def main(argv: list[str] | None = None) -> None:
    """Choose on the validation split, measure on the test split, write both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for README.md, arms.json")
    parser.add_argument("--limit", type=int, help="problems of each split (default: all)")
    options = parser.parse_args(argv)
    validation = Bench("validation", options.limit)
    recursion, tried = validation.best("ALRR", _RECURSION)
    steering, more = validation.best("ERSS", _STEERING)
    test = Bench("test", options.limit)
    arms = [test.run(*arm) for arm in test_arms(recursion.args, steering.args)]
    words = ["python", "-m", "l2_harness.demo.techniques", *(argv or sys.argv[1:])]
    write(options.out, shlex.join(words), [validation.plain, *tried, *more], test.plain, arms)


if __name__ == "__main__":
    main()
