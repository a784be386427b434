"""The tables of the section ``norms``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2_harness.analysis.norms.relations import WITHIN
from l2_harness.analysis.norms.study import Study
from l2_harness.analysis.norms.words import VARIANT_WORDS
from l2_harness.findings.section import Table

if TYPE_CHECKING:
    import pandas as pd

_MEANINGS = {
    "pooled": "Spearman with correctness over all responses",
    "pooled_holm": "its p, Holm-corrected over layers × statistics",
    "controlled": "the same, partial for {}",
    "controlled_holm": "its p, Holm-corrected over layers × statistics",
    "auroc": "how often a right response has the larger value than a wrong one",
    "within": "Spearman within question",
    "within_holm": "its p, Holm-corrected over layers × statistics",
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
    import pandas as pd

    if study.verdicts is None:
        return []
    tables = []
    for variant in dict.fromkeys(study.table["variant"]):
        tables.append(
            Table(
                name=f"correct_{variant}",
                title=f"Norm statistics and correctness, {VARIANT_WORDS[str(variant)]}",
                frame=wide_table(study, str(variant)),
                caption="A row a layer and statistic, with 95 % question-clustered intervals.",
                meanings=_meanings(study),
            )
        )
    strata = [scope for scope in study.scopes if scope not in ("pooled", WITHIN)]
    for scope in strata:
        rows = study.rows(variant="all_rows", outcome="correct", scope=scope)
        rows = rows[rows["control"].isin(("none", "all"))]
        tables.append(
            Table(
                name="correct_" + "".join(c if c.isalnum() else "_" for c in scope.lower()),
                title=f"Norm statistics and correctness {scope}",
                frame=rows[
                    [
                        *("layer", "statistic", "measure", "control", "value", "value_low"),
                        *("value_high", "p", "p_holm", "responses", "questions"),
                    ]
                ],
                caption="Compared only among responses whose documents have the same value.",
            )
        )
    choices = [
        {
            **{"scope": choice.scope, "control": choice.control},
            **dict(zip(("layer", "statistic"), study.column(choice.column), strict=True)),
            "controlled_for": ", ".join(choice.controlled_for),
            "choosing_questions": choice.choosing,
            "in_sample": choice.in_sample,
            "held_out": choice.held_out.value,
            "held_out_low": choice.held_out.low,
            "held_out_high": choice.held_out.high,
            "held_out_questions": choice.held_out.questions,
            "overstated": choice.overstated,
            "overstated_sd": choice.overstated_spread,
            "splits": choice.splits,
        }
        for choice in study.choices
    ]
    if choices:
        tables.append(
            Table(
                name="held_out",
                title="Layer and statistic chosen on some questions, measured on the others",
                frame=pd.DataFrame(choices),
                caption="The surest Spearman coefficient, that of the smallest p, chooses.",
                meanings={"overstated": "how much it shrinks, the mean over random splits"},
            )
        )
    return tables


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
    import pandas as pd

    result: pd.DataFrame | None = None
    for name, scope, measure, control in _COLUMNS:
        rows = study.rows(
            variant=variant, outcome="correct", scope=scope, measure=measure, control=control
        )
        if rows.empty:
            continue
        ends = {f"value{end}": f"{name}{end}" for end in ("", "_low", "_high")}
        kept = rows[["layer", "statistic", *ends]].rename(columns=ends)
        if f"{name}_holm" in _MEANINGS:
            kept[f"{name}_holm"] = rows["p_holm"]
        result = kept if result is None else result.merge(kept, on=["layer", "statistic"])
    return pd.DataFrame() if result is None else result
