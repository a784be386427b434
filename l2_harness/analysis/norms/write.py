"""A study written: its sections, and the whole tables beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from l2_harness.analysis.norms.confounds_section import confounds_section
from l2_harness.analysis.norms.course_section import course_section
from l2_harness.analysis.norms.covariates import COVARIATES
from l2_harness.analysis.norms.kinds_section import kinds_section
from l2_harness.analysis.norms.norms_section import norms_section
from l2_harness.analysis.norms.profiles_section import profiles_section
from l2_harness.analysis.norms.study import Study
from l2_harness.findings import least
from l2_harness.findings.csv_files import write_csv
from l2_harness.findings.section import Section, write_section

if TYPE_CHECKING:
    import pandas as pd

#: All figures, too many for a section's table.
ASSOCIATIONS = "associations.csv"
#: A row a response, layer and variant.
STATISTICS = "norm_statistics.parquet"
_KEYS = ("run_id", "task", "doc_id", "idx", "repeat", "sample")


def sections(study: Study, command: str) -> list[Section]:
    """The sections of a study, in their order; those that it has nothing for are left out.

    What rests on too few questions is withheld here; :data:`ASSOCIATIONS` has it all.
    """
    study = replace(
        study,
        table=least.kept(study.table, study.table["questions"]),
        signals=study.signals
        if study.signals.empty
        else least.kept(study.signals, study.signals["questions"]),
    )
    found = [norms_section(study, command), confounds_section(study, command)]
    if study.pairing is not None:
        found.append(profiles_section(study, study.pairing, command))
    found.append(course_section(study, command))
    if study.measured.peaks:
        found.append(kinds_section(study, command))
    return found


def write_study(study: Study, out: Path, command: str) -> list[Section]:
    """Write everything into a folder.

    Returns:
        The sections, as they were written.
    """
    written = sections(study, command)
    for section in written:
        write_section(section, out)
    write_csv(study.table, out / ASSOCIATIONS)
    statistics(study).to_parquet(out / STATISTICS, index=False)
    return written


def statistics(study: Study) -> pd.DataFrame:
    """A row a response, layer and variant: keys, ``correct``, covariates, every statistic."""
    import pandas as pd

    responses = study.measured.traces[list(_KEYS)].reset_index(drop=True)
    if study.verdicts is not None:
        responses["correct"] = study.verdicts.values
    responses = pd.concat([responses, study.measured.covariates[list(COVARIATES)]], axis=1)
    frames = [one.wide(responses) for one in study.measured.statistics]
    return pd.concat(frames, ignore_index=True)
