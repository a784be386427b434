"""The demo's tables, as they appear in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from l2_harness.demo.findings import CONTROLS, Findings, runs_of
from l2_harness.lm_eval_files.quiet_run import ARMS, Evaluation

if TYPE_CHECKING:
    from rich.console import Console


def print_accuracy(runs: Sequence[Evaluation], console: Console) -> None:
    """Accuracy of both tasks under both model classes, and what each run took."""
    table = Table(
        title="Accuracy in %, with 95 % intervals (Wilson)",
        caption="Wall time: one run each, loading included; no benchmark.",
    )
    table.add_column("--model")
    for task, arm in ARMS.items():
        table.add_column(f"{task} ({arm})", justify="right")
    table.add_column("wall time", justify="right")
    for run in runs:
        cells = [
            "{:.1f} ({:.1f} to {:.1f})".format(*(100 * part for part in run.accuracy(task)))
            for task in ARMS
        ]
        table.add_row(run.model_class, *cells, f"{run.seconds:.0f} s")
    console.print()
    console.print(table)


def print_equality(equal: Mapping[str, tuple[int, int]], console: Console) -> None:
    """Whether recording left every response as it was."""
    counts = "; ".join(f"{task}: {same} of {total}" for task, (same, total) in equal.items())
    console.print(f"Responses equal under hf and l2hf: {counts}.", highlight=False, soft_wrap=True)
    if any(same < total for same, total in equal.values()):
        console.print(
            "[red]They should all be equal.[/red] Did the model or the task's file change between "
            "the two runs?",
            highlight=False,
        )


def print_profile(findings: Findings, console: Console) -> None:
    """Mean norms per layer, and the ratio of the two arms."""
    table = Table(
        title=f"Mean norm per layer, {findings.pairs} prompts answered both ways",
        caption="Compare along a row: raw norms of different layers are not comparable.",
    )
    table.add_column("layer", justify="right")
    for name in ("thinking", "direct", "ratio", "95 % interval of the ratio"):
        table.add_column(name, justify="right")
    last = max(findings.layers)
    for row in findings.profile.to_dict(orient="records"):
        table.add_row(
            f"{row['layer']}{' (last)' if row['layer'] == last else ''}",
            f"{row['thinking']:.2f}",
            f"{row['direct']:.2f}",
            f"{row['ratio']:.3f}",
            f"{row['ratio_low']:.3f} to {row['ratio_high']:.3f}",
        )
    console.print()
    console.print(table)


def print_correlations(findings: Findings, console: Console) -> None:
    """Late norm with correctness, under each control, with and without the last layer."""
    table = Table(
        title="Spearman correlation of a thinking response's late norm with its correctness",
        caption=(
            "95 % bootstrap intervals over questions. `late` is what l2hf monitors by default; it "
            "leaves the last layer out. A kind is a family and a number of steps; one that is "
            "always answered right, or always wrong, says nothing and is left out."
        ),
    )
    table.add_column("controlled for")
    for name, layers in findings.late.items():
        table.add_column(f"{name}: layers {runs_of(layers)}", justify="right")
    table.add_column("n", justify="right")
    for control in CONTROLS:
        found = [findings.correlations[name, control] for name in findings.late]
        table.add_row(control, *map(str, found), str(found[0].responses))
    console.print()
    console.print(table)
    console.print(
        f"{findings.truncated} of {findings.thinking} thinking responses were cut at the length "
        "limit.",
        highlight=False,
    )


def print_verdict(words: Sequence[str], console: Console) -> None:
    """The conclusions, a paragraph each."""
    console.print("\n[bold]What this shows[/bold]")
    for paragraph in words:
        console.print(f"- {paragraph}", highlight=False)
