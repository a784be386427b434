"""All analyses of the embedded model's norms: ``python -m l2_harness.demo.analysis --out DIR``.

Runs lm-eval and this project's own commands one after another, each shown as a user would type
it, and ends with their report. What is done is not done again: lm-eval goes on from the traces,
capture and SAE training from their folders, the causal test from its finished arms.

Responses of the model are short (about a hundred rows), so interventions begin after 8 rows.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from l2_harness.paths import tasks_dir

SAMPLES = 8
_SAE = ("l2-harness", "sae")


@dataclass(frozen=True)
class Plan:
    """Where it goes and how much of it.

    Attributes:
        out: the sections, tables, figures and the report.
        work: what they are made of: responses, states, SAEs.
        limit: problems of the split, None for all.
        steps: training steps of an SAE.
    """

    out: Path
    work: Path
    limit: int | None = None
    steps: int = 1000

    @property
    def saes(self) -> Path:
        """The SAEs, a folder a layer."""
        return self.work / "saes"


def commands(plan: Plan) -> list[list[str]]:
    """Every command, in order; ``l2-harness`` and ``lm_eval`` stand for this installation's."""
    return [
        _lm_eval(plan, "greedy", "l2_demo,l2_demo_direct", {}, 64),
        _lm_eval(plan, "samples", "l2_demo", {"num_samples": SAMPLES, "seed": 0}, 256),
        _capture(plan),
        _analyze(plan, "greedy", "--direct", "l2_demo_direct", "--states", f"{plan.work}/states"),
        _analyze(plan, "samples"),
        *_sae(plan),
        _causal(plan),
        _report(plan),
    ]


def _lm_eval(plan: Plan, name: str, tasks: str, more: dict[str, int], batch_size: int) -> list[str]:
    args = {
        **{"pretrained": "demo", "dtype": "float32", "layers": "all", "record": "tokens"},
        **{"trace_dir": f"{plan.work}/{name}/traces", **more},
    }
    sampling = ["--gen_kwargs", "do_sample=true,temperature=0.8"] if more else []
    return [
        *("lm_eval", "--model", "l2hf", "--model_args"),
        ",".join(f"{key}={value}" for key, value in args.items()),
        *("--tasks", tasks, "--include_path", str(tasks_dir()), "--apply_chat_template"),
        *("--device", "cpu", "--batch_size", str(batch_size), *sampling, "--log_samples"),
        *("--output_path", f"{plan.work}/{name}/lm_eval"),
        *([] if plan.limit is None else ["--limit", str(plan.limit)]),
    ]


def _recorded(plan: Plan, name: str) -> list[str]:
    return [f"{plan.work}/{name}/traces", "--samples", f"{plan.work}/{name}/lm_eval"]


def _analyze(plan: Plan, name: str, *more: str) -> list[str]:
    return [
        *("l2-harness", "analyze", *_recorded(plan, name), "--task", "l2_demo"),
        *("--strata", "family+steps", *more),
        *("--out", f"{plan.out}/{name}"),
    ]


def _capture(plan: Plan) -> list[str]:
    return ["l2-harness", "capture", *_recorded(plan, "greedy"), "--out", f"{plan.work}/states"]


def _sae(plan: Plan) -> list[list[str]]:
    states, out = f"{plan.work}/states", f"{plan.out}/sae"
    saes = ["--sae", str(plan.saes)]
    chosen = ["--features", out]
    return [
        [
            *(*_SAE, "train", states, "--out", str(plan.saes), "--report", out),
            *("--batch", "512", "--steps", str(plan.steps)),
        ],
        [*_SAE, "features", states, *saes, "--traces", f"{plan.work}/greedy/traces", "--out", out],
        [*_SAE, "trend", states, *saes, *chosen, "--out", out],
        [*_SAE, "correlate", states, *saes, *chosen, "--out", out],
        [*_SAE, "bound", states, *saes, "--out", out],
    ]


def _causal(plan: Plan) -> list[str]:
    return [
        *("l2-harness", "causal", "--pretrained", "demo", "--tasks", "l2_demo"),
        *("--model-args", "dtype=float32,threshold_warmup=8", "--batch-size", "64"),
        *("--device", "cpu", "--runs", f"{plan.work}/causal", "--out", str(plan.out)),
        *([] if plan.limit is None else ["--limit", str(plan.limit)]),
    ]


def _report(plan: Plan) -> list[str]:
    title = "Norms of the embedded model"
    return [
        *("l2-harness", "report", str(plan.out), "--title", title, "--task", "l2_demo"),
        *("--traces", *_recorded(plan, "samples")),
    ]


def run(words: Sequence[str]) -> None:
    """Run one of the commands.

    Raises:
        SystemExit: it failed; what it printed says why.
    """
    modules = {"lm_eval": "lm_eval", "l2-harness": "l2_harness.cli"}
    print(f"\n$ {shlex.join(words)}", flush=True)
    started = time.perf_counter()
    code = subprocess.run(
        [sys.executable, "-m", modules[words[0]], *words[1:]],
        env={"HF_HUB_OFFLINE": "1", **os.environ},
        check=False,
    ).returncode
    if code:
        raise SystemExit(f"{words[0]} ended with {code}; the same command goes on from here.")
    print(f"  {time.perf_counter() - started:.0f} s", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--work", type=Path, help="folder for the responses (default: OUT/work)")
    parser.add_argument("--limit", type=int, help="problems of the split (default: all 540)")
    parser.add_argument("--steps", type=int, default=1000, help="training steps of an SAE")
    options = parser.parse_args(argv)
    work = options.work or options.out / "work"
    for words in commands(Plan(options.out, work, options.limit, options.steps)):
        run(words)


if __name__ == "__main__":
    main()
