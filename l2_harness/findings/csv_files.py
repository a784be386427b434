"""Tables as CSV: complete or not there, and no text in one a formula of a spreadsheet.

A text that begins as formulas do (``=``, ``+``, ``-``, ``@``, a tab) is written with an apostrophe
in front, which spreadsheets take for "this is text"; :func:`read_csv` takes it away again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.whole_files import write_text_atomically

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"\'*[=+\-@\t\r]")
_LINE_END = re.compile(r"\r\n?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?|[+-]inf|-")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table, its index left out."""
    marked = frame.rename(columns=_marked)
    for place, kind in enumerate(frame.dtypes):
        if kind.kind == "O" or str(kind).startswith("str"):
            marked.isetitem(place, frame.iloc[:, place].map(_marked))
    write_text_atomically(path, marked.to_csv(index=False))


def read_csv(path: Path) -> pd.DataFrame:
    """What :func:`write_csv` wrote.

    Only what is empty is missing: a method may be called null, and a token nan.
    """
    import pandas as pd

    frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    for place, kind in enumerate(frame.dtypes):
        if kind.kind == "O" or str(kind).startswith("str"):
            frame.isetitem(place, frame.iloc[:, place].map(_unmarked))
    return frame.rename(columns=_unmarked)


def _marked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = _LINE_END.sub("\n", value)  # a lone carriage return would end a row
    return f"'{value}" if _FORMULA.match(value) and not _NUMBER.fullmatch(value) else value


def _unmarked(value: Any) -> Any:
    is_marked = isinstance(value, str) and value.startswith("'") and _FORMULA.match(value)
    return value[1:] if is_marked else value
