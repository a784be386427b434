"""Which response every selector chooses of each question."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from l2_harness.analysis.selectors.samples import SampleTable
from l2_harness.config.selectors import Selector
from l2_harness.selection.choice import MissingScoreError, choose


def choices(table: SampleTable, selectors: Sequence[Selector]) -> pd.DataFrame:
    """A row a question, a column a selector: the position of the chosen response, from 0.

    The random selector, of which the comparison takes the expectation, has no column, and neither
    has one whose signals were not recorded.

    Args:
        table: the samples.
        selectors: which.
    """
    columns: dict[str, object] = {"question": [_name(question) for question in table.questions]}
    for selector in selectors:
        if selector.kind not in ("score", "vote"):
            continue
        try:
            columns[selector.name] = choose(selector, table.candidates)
        except MissingScoreError:
            continue
    return pd.DataFrame(columns)


def _name(question: object) -> str:
    """A document's number, its request's and the repeat's where there are several."""
    if not isinstance(question, tuple):
        return str(question)
    return "/".join(map(str, question))
