"""The section ``selection``: every selector on the same samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.selectors.comparison import RIVALS, Comparison, SelectorRow
from l2_harness.config.selectors import ORACLE, SELECTORS, what_records
from l2_harness.findings import least, panels
from l2_harness.findings.claims import LEVEL, groups
from l2_harness.findings.figures import GREY, new_figure
from l2_harness.findings.numbers import fixed
from l2_harness.findings.panels import Look
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import count, listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from l2_harness.findings.words import Valued

#: Names of a finding; the table has the others.
_NAMED = 6
_COMMON = {"random": ":", "majority": "--", "mean_logprob": "-.", "oracle": "-"}
_MEANINGS = {
    "accuracy": "%, with all samples; interval at 95 %, questions resampled",
    **{f"minus_{rival}": f"accuracy less that of {rival}, points" for rival in RIVALS},
    **{f"minus_{rival}_p_corrected": "two-sided, corrected over the table" for rival in RIVALS},
    "length_correlation": "Spearman of the score with length, over all responses",
    "length_within": "the same within question",
    "auroc": "how often a right response to a question has the better score than a wrong one",
}


def selection_section(
    comparison: Comparison, title: str, settings: Mapping[str, Any], command: str = ""
) -> Section:
    """Of :func:`~l2_harness.analysis.selectors.comparison.compare`."""
    table, curves = selector_table(comparison), curve_table(comparison)
    return Section(
        name="selection",
        title=f"Choosing among {count(comparison.n, 'sample')}: {title}",
        order=15,
        findings=selection_findings(table, comparison.questions, comparison.n),
        caveats=_caveats(comparison),
        settings={
            "questions": comparison.questions,
            "samples": comparison.n,
            "mixed questions": comparison.mixed,
            "share of samples cut off": comparison.truncated,
            **settings,
        },
        command=command,
        tables=[
            Table(
                "selectors",
                "Selectors",
                table,
                "All choose among the same samples.",
                _MEANINGS,
                ("selector", "accuracy", "minus_random", "minus_majority"),
            ),
            Table(
                "curves",
                "Accuracy by the number of samples",
                curves,
                "The expectation over all subsets of n samples, for votes over some of them.",
                {"accuracy": "%"},
            ),
        ],
        figures=[_figure(comparison, curves, title)],
    )


def selector_table(comparison: Comparison) -> pd.DataFrame:
    """A row a selector, in percent and points; what rests on too few questions is left out."""
    import pandas as pd

    frame = pd.DataFrame([_cells(row) for row in comparison.rows])
    differences = [f"minus_{rival}" for rival in RIVALS]
    frame = least.kept(frame, comparison.mixed, ("auroc",), noun="mixed question")
    frame = least.kept(frame, comparison.questions, ("length_correlation", "length_within"))
    return least.kept(frame, comparison.questions, ("accuracy", *differences), values=False)


def _cells(row: SelectorRow) -> dict[str, Any]:
    cells: dict[str, Any] = {"selector": row.selector.name} | _columns("accuracy", row.accuracy)
    for rival in RIVALS:
        difference, name = row.differences.get(rival), f"minus_{rival}"
        cells |= _columns(name, difference)
        cells[f"{name}_p"] = difference.p if difference else math.nan
        cells[f"{name}_p_corrected"] = difference.p_corrected if difference else math.nan
    cells |= {"length_correlation": row.length_correlation, "length_within": row.length_within}
    return cells | _columns("auroc", row.auroc, 1)


def _columns(name: str, found: Valued | None, scale: float = 100) -> dict[str, float]:
    ends = ("value", "low", "high")
    columns = (name, f"{name}_low", f"{name}_high")
    values = [math.nan if found is None else scale * getattr(found, end) for end in ends]
    return dict(zip(columns, values, strict=True))


def curve_table(comparison: Comparison) -> pd.DataFrame:
    """A row a selector and number of samples, in percent."""
    import pandas as pd

    frame = pd.DataFrame(
        [
            {"selector": row.selector.name, "n": n, **_columns("accuracy", found)}
            for row in comparison.rows
            for n, found in row.curve.items()
        ]
    )
    return least.kept(frame, comparison.questions, ("accuracy",), values=False)


def selection_findings(table: pd.DataFrame, questions: int, samples: int) -> list[str]:
    """How often the usual choices are right, and who is better than they are."""
    of = table.set_index("selector")
    usual = [
        f"{name} {fixed(of['accuracy'][name], 1)} %"
        for name in ("random", "majority", ORACLE.name)
        if name in of.index
    ]
    n = f"{count(questions, 'question')} with {count(samples, 'sample')} each"
    found = [f"Right on {n}: {listed(usual)}."]
    if not least.enough(questions):
        return [*found, f"Selectors are not told apart: {least.reason(questions)}."]
    for rival in ("random", "majority"):
        if rival in of.index:
            name = f"minus_{rival}"
            better, worse, _ = groups(table, "selector", name, p=f"{name}_p_corrected")
            found.append(
                f"Better than {rival}, corrected: {listed(better, _NAMED) or 'none'}; worse: "
                f"{listed(worse, _NAMED) or 'none'}."
            )
    return found


def _caveats(comparison: Comparison) -> list[str]:
    cut = fixed(100 * comparison.truncated, 1)
    return [
        *_missing(comparison.missing),
        f"{cut} % of the samples were cut off; these are chosen only where all to a question are.",
        *_vote_notes(comparison),
        "majority gives a tie to the answer that was seen first; the tasks' metric maj@n shares "
        "its credit among the tied, so the two may differ.",
        f"A claim needs a corrected p below {LEVEL:g} and an interval without 0; AUROC is of the "
        f"{count(comparison.mixed, 'question')} with right and wrong samples.",
        "Scores that are sums grow with length: see length_within.",
    ]


def _vote_notes(comparison: Comparison) -> list[str]:
    """Where votes rest on less than they seem to."""
    cut, without = (count(n, "question") for n in (comparison.read_as_whole, comparison.unanswered))
    told = {
        f"To {cut} all samples were cut off before an answer: votes go by what the task's filter "
        "makes of them, or by how they end.": comparison.read_as_whole,
        f"To {without} no sample has an answer: a vote takes the first one.": comparison.unanswered,
    }
    return [sentence for sentence, number in told.items() if number]


def _missing(missing: Mapping[str, str]) -> list[str]:
    """One line for all selectors whose signals were not recorded."""
    if not missing:
        return []
    needs: dict[str, list[str]] = {}
    for name in missing:
        selector = SELECTORS.get(name)
        what = what_records(selector.score) if selector and selector.score else "answers"
        needs.setdefault(what, []).append(name)
    told = "; ".join(f"{', '.join(names)} (need {what})" for what, names in needs.items())
    return [f"Not compared, since nothing was recorded that they go by: {told}."]


def _figure(comparison: Comparison, curves: pd.DataFrame, title: str) -> Figure:
    """Accuracy over the number of samples: the common lines in each panel, and a kind of others."""
    drawing, axes = new_figure(title, 3, width=4.7, height=5)
    names = [row.selector.name for row in comparison.rows if row.selector.name not in _COMMON]
    kinds: dict[str, Sequence[str]] = {
        "ℓ2 scores": [name for name in names if name.startswith("l2_")],
        "confidence": [name for name in names if _is_confidence(name)],
    }
    told = {name for own in kinds.values() for name in own}
    kinds["others"] = [name for name in names if name not in told]
    ks = sorted(set(curves["n"]))
    for panel, (kind, own) in zip(axes, kinds.items(), strict=True):
        for name, style in _COMMON.items():
            rows = curves[curves["selector"] == name]
            band = rows if name in ("majority", "oracle") else rows[["n", "accuracy"]]
            panels.line(panel, band, "n", "accuracy", Look(GREY, "", style), name)
        for i, name in enumerate(own):
            rows = curves[curves["selector"] == name][["n", "accuracy"]]
            panels.line(panel, rows, "n", "accuracy", panels.look_of(i), name)
        _finish(panel, kind, ks)
    axes[0].set_ylabel("expected accuracy, %")
    for panel in axes[1:]:
        panel.sharey(axes[0])
    return Figure(
        "by_samples",
        "Accuracy by the number of samples",
        "The bands are 95 % intervals of majority and of the oracle, which knows what is right.",
        "Lines of expected accuracy over the number of samples, a panel a kind of selector.",
        drawing,
    )


def _is_confidence(name: str) -> bool:
    return name.startswith(("deepconf", "self_certainty")) or name in (
        *("perplexity", "mean_entropy", "confidence_vote"),
    )


def _finish(panel: Axes, kind: str, ks: Sequence[int]) -> None:
    if len(ks) > 1:
        panel.set_xscale("log", base=2)
    panel.set_xticks(ks, [str(k) for k in ks])
    panel.minorticks_off()
    panel.set_xlabel("samples")
    panel.set_title(kind, fontsize=10)
    panels.own_legend(panel)
