"""The arms as a suite that :func:`l2_harness.compare.runner.run_suite` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2_harness.compare.causal.arms import PLAIN, Arm
from l2_harness.compare.suite import BatchSize, Method, ModelRow, Suite, TaskRow, short_name
from l2_harness.config.errors import ConfigError
from l2_harness.config.options import option_names
from l2_harness.config.suppression import SuppressionConfig
from l2_harness.lm_eval_files.outcomes import Role


def causal_suite(
    arms: Sequence[Arm],
    model_args: Mapping[str, Any],
    tasks: Sequence[TaskRow],
    *,
    seed: int = 0,
    batch_size: BatchSize = 1,
    device: str | None = None,
) -> Suite:
    """A method an arm, over the same model and tasks.

    Args:
        arms: what to run, the plain arm among them.
        model_args: of l2hf, for all arms; ``pretrained`` among them. Scored continuations are
            edited too unless ``intervene_on`` says otherwise.
        tasks: what is asked, and how.
        seed: of all runs.
        batch_size: of all runs.
        device: None for a GPU where there is one.

    Raises:
        ConfigError: model_args that are an arm's to set, or that leave nothing to count.
    """
    own = sorted(set(option_names(SuppressionConfig)) & set(model_args))
    if own:
        raise ConfigError(
            f"{', '.join(own)} differs from arm to arm: leave it out of --model-args. --factors "
            "sets the doses."
        )
    if str(model_args.get("record", "summary")).lower() in ("off", "false"):
        raise ConfigError("record=off leaves no count of edits: leave record out of --model-args.")
    args = {"record": "tokens", "intervene_on": "all", **model_args}
    return Suite(
        name="causal",
        description="peaks of the norm edited away, beside the same edits of other states",
        models=(ModelRow(name=short_name(str(args.get("pretrained", ""))), args=args),),
        tasks=tuple(tasks),
        methods=tuple(
            Method(
                name=arm.name,
                role=_role(arm),
                args=arm.args,
                description=arm.name,
                matches=_matched(arm) if args["record"] == "tokens" else None,
            )
            for arm in arms
        ),
        seeds=(seed,),
        batch_size=batch_size,
        device=device,
    )


def _matched(arm: Arm) -> str | None:
    """The arm whose edits a random control matches: the same of the peaks."""
    return arm.twin("peaks").name if arm.where == "random" else None


def _role(arm: Arm) -> Role:
    if arm.name == PLAIN:
        return "plain"
    return "null" if arm.is_sham else "method" if arm.where == "peaks" else "control"
