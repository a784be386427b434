"""A study written: its sections, and the whole tables beside them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

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
from l2_harness.whole_files import replaced

#: All figures, too many for a section's table.
ASSOCIATIONS = "associations.csv"
#: A row a response, layer and variant.
STATISTICS = "norm_statistics.parquet"
#: Rows of it that are made together: a frame of them all is many times the statistics.
_AT_ONCE = 2**17
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
    _write_statistics(study, out / STATISTICS)
    return written


def _write_statistics(study: Study, path: Path) -> None:
    """A row a response, layer and variant: keys, ``correct``, covariates, every statistic."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    measured = study.measured
    responses = measured.traces[list(_KEYS)].reset_index(drop=True)
    if study.verdicts is not None:
        responses["correct"] = study.verdicts.values
    responses = pd.concat([responses, measured.covariates[list(COVARIATES)]], axis=1)
    step = max(_AT_ONCE // len(measured.layers), 1)
    parts = [slice(start, start + step) for start in range(0, len(responses), step)]
    tables = (
        pa.Table.from_pandas(one.wide(responses, part), preserve_index=False)
        for one in measured.statistics
        for part in parts
    )
    first = next(tables)
    with replaced(path) as file, pq.ParquetWriter(file, first.schema) as writer:
        for table in itertools.chain([first], tables):
            writer.write_table(table.cast(first.schema))
