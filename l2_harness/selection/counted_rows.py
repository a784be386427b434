"""Which rows of a response count: all, those of its thinking, or those of its answer."""

from __future__ import annotations

from l2_harness.config.selection import Part


def counted_rows(part: Part, n_rows: int, thinking_end: int | None, truncated: bool) -> slice:
    """The rows that count, of a response's ``n_rows``.

    The thinking is everything up to the row of the token that ends it, that row included, and the
    answer is the rest. Of a response whose thinking never ended, all is thinking if the token
    limit cut it off, and all is answer otherwise: it did not think.

    Args:
        part: all, thinking or answer.
        n_rows: how many rows there are.
        thinking_end: the row of the token that ended the thinking, or None.
        truncated: whether the token limit cut the response off.
    """
    if part == "all":
        return slice(0, n_rows)
    without_end = n_rows if truncated else 0
    border = without_end if thinking_end is None else min(thinking_end + 1, n_rows)
    return slice(0, border) if part == "thinking" else slice(border, n_rows)
