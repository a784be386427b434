"""The tables of the section ``norms``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from l2_harness.analysis.norms.labels import VARIANT_WORDS
from l2_harness.analysis.norms.relations import WITHIN
from l2_harness.analysis.norms.study import Study
from l2_harness.findings import least
from l2_harness.findings.claims import CORRECTED
from l2_harness.findings.section import Table

if TYPE_CHECKING:
    import pandas as pd

_MEANINGS = {
    "pooled": "Spearman with correctness over all responses",
    "pooled_holm": "its p, corrected over layers × statistics",
    "controlled": "the same, partial for {}",
    "controlled_holm": "its p, corrected over layers × statistics",
    "auroc": "how often a right response has the larger value than a wrong one",
    "within": "Spearman within question",
    "within_holm": "its p, corrected over layers × statistics",
    "within_controlled": "the same, partial for {}",
    "auroc_within": "mean AUROC over questions with right and wrong responses",
}
_COLUMNS = (
    ("pooled", "pooled", "spearman", "none"),
    ("controlled", "pooled", "spearman", "all"),
    ("auroc", "pooled", "auroc", "none"),
    ("within", WITHIN, "spearman", "none"),
    ("within_controlled", WITHIN, "spearman", "all"),
    ("auroc_within", WITHIN, "auroc", "none"),
)


def norms_tables(study: Study) -> list[Table]:
    """A table a variant, one for each field of the documents, and the held-out choices."""
    if study.verdicts is None:
        return []
    wide = {str(one): wide_table(study, str(one)) for one in study.table["variant"].unique()}
    tables = [
        Table(
            name=f"correct_{variant}",
            title=f"Norm statistics and correctness, {VARIANT_WORDS[variant]}",
            frame=frame,
            caption="A row a layer and statistic, with 95 % question-clustered intervals. Blank: "
            f"fewer than {least.QUESTIONS} questions tell.",
            meanings=_meanings(study),
        )
        for variant, frame in wide.items()
        if frame.drop(columns=["layer", "statistic"], errors="ignore").notna().any(axis=None)
    ]
    tables += [_within_field(study, one) for one in study.scopes if one not in ("pooled", WITHIN)]
    return [*tables, _held_out(study)] if study.choices else tables


def _within_field(study: Study, scope: str) -> Table:
    rows = study.rows(variant="all_rows", outcome="correct", scope=scope)
    rows = rows[rows["control"].isin(("none", "all"))]
    columns = ("layer", "statistic", "measure", "control", "value", "value_low", "value_high")
    return Table(
        name="correct_" + "".join(c if c.isalnum() else "_" for c in scope.lower()),
        title=f"Norm statistics and correctness {scope}",
        frame=rows[[*columns, "p", "p_holm", "responses", "questions"]],
        caption="Compared only among responses whose documents have the same value.",
    )


def _held_out(study: Study) -> Table:
    import pandas as pd

    frame = pd.DataFrame(
        [
            {
                **{"scope": choice.scope, "control": choice.control},
                **dict(zip(("layer", "statistic"), study.column(choice.column), strict=True)),
                "controlled_for": ", ".join(choice.controlled_for),
                "choosing_questions": choice.choosing,
                "in_sample": choice.in_sample,
                "held_out": choice.held_out.value,
                "held_out_low": choice.held_out.low,
                "held_out_high": choice.held_out.high,
                "questions": choice.held_out.questions,
                "overstated": choice.overstated,
                "overstated_sd": choice.overstated_spread,
                "splits": choice.splits,
            }
            for choice in study.choices
        ]
    )
    return Table(
        name="held_out",
        title="Layer and statistic chosen on some questions, measured on the others",
        caption="The surest Spearman coefficient, that of the smallest p, chooses.",
        frame=least.kept(frame, frame["questions"], ("held_out",)),
        meanings={
            "questions": "of the others, those that tell",
            "overstated": "how much the figure shrinks, the mean over random splits",
        },
    )


def _meanings(study: Study) -> dict[str, str]:
    """With the covariates that were taken out, those that vary."""
    taken = {
        name: ", ".join(rows["controlled_for"].unique()).replace("_", " ")
        for name, scope, measure, control in _COLUMNS
        if control == "all"
        for rows in [study.rows(scope=scope, measure=measure, control=control, outcome="correct")]
    }
    return {name: text.format(taken.get(name, "")) for name, text in _MEANINGS.items()}


def wide_table(study: Study, variant: str) -> pd.DataFrame:
    """A row a layer and statistic, the figures with correctness side by side."""
    return side_by_side(
        {
            name: study.rows(
                variant=variant, outcome="correct", scope=scope, measure=measure, control=control
            )
            for name, scope, measure, control in _COLUMNS
        },
        [name for name, *_ in _COLUMNS if f"{name}_holm" in _MEANINGS],
    )


def side_by_side(figures: Mapping[str, pd.DataFrame], corrected: Sequence[str]) -> pd.DataFrame:
    """A row a layer and statistic, each figure's value and interval under its name.

    Args:
        figures: rows of the study's table by name; a figure without rows is left out.
        corrected: those whose corrected p stands beside them.
    """
    import pandas as pd

    keys, wide = ["layer", "statistic"], []
    for name, rows in figures.items():
        ends = {f"value{end}": f"{name}{end}" for end in ("", "_low", "_high")}
        ends |= {CORRECTED: f"{name}_holm"} if name in corrected else {}
        if len(rows):
            wide.append(rows.set_index(keys)[list(ends)].rename(columns=ends))
    return pd.concat(wide, axis=1).reset_index() if wide else pd.DataFrame()
