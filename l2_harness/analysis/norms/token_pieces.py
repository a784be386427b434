"""The text of each token of a response."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from l2_harness.analysis.norms.token_texts import TokenTexts


def token_pieces(texts: TokenTexts, tokens: Sequence[int] | np.ndarray) -> list[str]:
    """(T,) the text that each token adds to those before it.

    Joined they are the response's raw text. A character whose bytes lie in several tokens belongs
    to the one that completes it, and the others add nothing.
    """
    ids = [int(token) for token in tokens]
    pieces: list[str] = []
    start = done = 0  # tokens from `start` are decoded together, `done` characters are given out
    for end in range(1, len(ids) + 1):
        text = texts.decode(ids[start:end])
        if text.endswith("�") and end < len(ids):
            pieces.append("")  # an unfinished character, or one that is U+FFFD itself
            continue
        pieces.append(text[done:])
        # A few tokens of context are enough for a space that depends on what stands before.
        previous = max(end - 1, start)
        start = previous
        done = len(texts.decode(ids[start:end]))
    return pieces
