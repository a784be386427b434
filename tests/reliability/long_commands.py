"""The long commands, as a user types them, with settings that make each a matter of seconds.

All of them run in a folder of their own and write into it alone; what they read was recorded
before, in :func:`make_inputs`' folder.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from l2_harness.paths import tasks_dir

_SUITE = """
models:
  # in float64 a response is the same whatever batch a rerun puts it into
  demo: {args: {pretrained: demo, dtype: float64}}
tasks: [l2_demo]
apply_chat_template: true
limit: 3
batch_size: 2
device: cpu
gen_kwargs: {max_gen_toks: 24}
methods:
  plain: {role: plain}
  alrr: {args: {recursion: norm, threshold_warmup: 4}}
  best:
    gen_kwargs: {do_sample: true, temperature: 3.0}
    args: {num_samples: 2, selection: l2}
"""


@dataclass(frozen=True)
class LongCommand:
    """A command.

    Attributes:
        name: what the campaign calls it.
        typed: what is typed; ``{base}`` is the folder of inputs, ``{tasks}`` that of tasks.
    """

    name: str
    typed: str

    @property
    def reads(self) -> bool:
        """Whether it needs the inputs."""
        return "{base}" in self.typed

    def words(self, base: Path) -> list[str]:
        """What is typed, given the folder of inputs."""
        return shlex.split(self.typed.format(base=base, tasks=tasks_dir()))


_LM_EVAL = (
    "lm_eval --model l2hf --tasks l2_demo --device cpu --include_path {{tasks}} --batch_size 2 "
    "--apply_chat_template --log_samples --output_path {out} --limit {limit} --gen_kwargs {gen} "
    "--model_args pretrained=demo,dtype=float64,record=tokens,trace_dir={traces},{args}"
)


def _lm_eval(args: str, gen: str, limit: int, traces: str = "traces", out: str = "out") -> str:
    return _LM_EVAL.format(args=args, gen=gen, limit=limit, traces=traces, out=out)


_TECHNIQUES = "recursion=norm,steering=norm,threshold_warmup=4"
_SAMPLED = "do_sample=true,temperature=1.5"

COMMANDS = [
    LongCommand("lm_eval techniques", _lm_eval(_TECHNIQUES, "max_gen_toks=40", 8)),
    LongCommand(
        "lm_eval samples", _lm_eval("num_samples=2,selection=l2", f"max_gen_toks=40,{_SAMPLED}", 4)
    ),
    LongCommand(
        "calibrate",
        "l2-harness calibrate --out c.json --limit 8 --batch_size 2 --gen_kwargs max_gen_toks=40 "
        "--device cpu",
    ),
    LongCommand(
        "capture",
        "l2-harness capture {base}/traces --samples {base}/out --out states --layers all "
        "--batch-size 2",
    ),
    LongCommand(
        "sae train",
        "l2-harness sae train {base}/states --out saes --layers 3-5 --steps 60 "
        "--checkpoint-every 15 --batch 64",
    ),
    LongCommand(
        "analyze",
        "l2-harness analyze {base}/traces --samples {base}/out --task l2_demo --resamples 40 "
        "--out analysis",
    ),
    LongCommand(
        "select",
        "l2-harness select {base}/drawn --samples {base}/drawn_out --resamples 40 --subsets 10 "
        "--out selection",
    ),
    LongCommand(
        "report",
        "l2-harness report {base}/sections --traces {base}/traces --samples {base}/out "
        "--out report.html",
    ),
    LongCommand("compare", "l2-harness compare {base}/suite.yaml"),
    LongCommand(
        "causal",
        "l2-harness causal --tasks l2_demo --limit 1 --factors 0.1 --device cpu "
        "--gen-kwargs max_gen_toks=24 --model-args threshold_warmup=4,dtype=float64 --out causal",
    ),
]


def make_inputs(base: Path, run: Callable[[Sequence[str], Path], int]) -> None:
    """Record what the commands read.

    Args:
        base: the folder for it.
        run: runs a command in a folder; its exit status.
    """
    base.mkdir()
    (base / "suite.yaml").write_text(_SUITE)
    recorded = _lm_eval("layers=all", "max_gen_toks=80", 12)
    drawn = _lm_eval("num_samples=4", f"max_gen_toks=60,{_SAMPLED}", 6, "drawn", "drawn_out")
    by_name = {command.name: command for command in COMMANDS}
    for command in (
        LongCommand("recorded", recorded),
        LongCommand("drawn", drawn),
        by_name["capture"],
        *(LongCommand(n, f"{by_name[n].typed} --out sections") for n in ("analyze", "select")),
    ):
        status = run(command.words(base), base)
        assert status == 0, f"{command.typed} ended with {status}"
