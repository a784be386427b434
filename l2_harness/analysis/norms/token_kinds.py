"""On which kinds of token norms peak.

Row t is the forward pass that *reads* the token before and *writes* token t, so every rate is
given for both: by the token that the row wrote, and by the token that it read (the first row,
which read the prompt's end, is left out there).

A token's kind is taken from its own text:

    number       a digit in it and no letter
    operator     nothing but signs of arithmetic and comparison, or a LaTeX command for one
    discourse    a word of :data:`DISCOURSE_WORDS`
    punctuation  any other signs, spaces and line ends
    template     special and added tokens, and tags such as <think> or <|im_end|>
    other        every other word or part of a word

A discourse word that the tokenizer cuts in pieces counts as other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.norms.token_texts import TokenTexts
from l2_harness.analysis.norms.trace_rows import RowBlock
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.ratios import ratios
from l2_harness.statistics.significance import holm

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("number", "operator", "discourse", "punctuation", "template", "other")
SIDES = ("written", "read")

#: Words that turn, order or conclude a line of thought, and those of thinking aloud.
DISCOURSE_WORDS = frozenset(
    "actually again alternatively although because but check finally first hence hmm hold however "
    "if indeed instead last let lets maybe meanwhile next now oh ok okay otherwise perhaps recall "
    "right second similarly since so suppose then therefore third though thus verify wait well "
    "whereas yes".split()
)

_OPERATORS = frozenset("+-*/=<>^×÷·±√≤≥≠≈∑∫→−%∗")
_COMMANDS = frozenset(
    r"\times \div \cdot \frac \sqrt \pm \le \leq \ge \geq \neq \approx \sum \int".split()
)
_TAG = re.compile(r"<\|.*\|>|</?[A-Za-z_]+>|\[/?[A-Z_]+\]")


def kind_of(text: str, special: bool = False) -> str:
    """The kind of a token of this text; special: whether its tokenizer marks it so."""
    bare = text.strip()
    if special or _TAG.fullmatch(bare):
        return "template"
    word = bare.lower().strip(".,;:!?…").replace("'", "").replace("’", "")
    if word in DISCOURSE_WORDS:
        return "discourse"
    if bare in _COMMANDS or (bare and set(bare) <= _OPERATORS):
        return "operator"
    if any(char.isalpha() for char in bare):
        return "other"
    return "number" if any(char.isdigit() for char in bare) else "punctuation"


class TokenKinds:
    """The kinds of a tokenizer's tokens, as numbers of :data:`KINDS`, each looked at once."""

    def __init__(self, texts: TokenTexts) -> None:
        self._texts = texts
        self._known: dict[int, int] = {}

    def of(self, tokens: np.ndarray) -> np.ndarray:
        """(n,) the kind of each of tokens (n,)."""
        ids, member = np.unique(tokens, return_inverse=True)
        self._look_up(int(token) for token in ids)
        return np.array([self._known[int(token)] for token in ids], dtype=np.int64)[member]

    def _look_up(self, ids: Iterable[int]) -> None:
        for token in ids:
            if token not in self._known:
                kind = kind_of(self._texts.decode([token]), token in self._texts.special)
                self._known[token] = KINDS.index(kind)


class PeakCounts:
    """Rows and peaks by kind and question, filled block by block.

    Args:
        questions: how many.
        layers: how many.
        kinds: of the tokens.
    """

    def __init__(self, questions: int, layers: int, kinds: TokenKinds) -> None:
        self._kinds = kinds
        shape = (len(SIDES), questions, len(KINDS))
        self.rows = np.zeros(shape)
        self.peaks = np.zeros((*shape, layers))

    def add(self, block: RowBlock, tau: np.ndarray, question: np.ndarray) -> None:
        """Count a block.

        Args:
            block: the rows; those that were dropped before still have their numbers.
            tau: (n, layers) thresholds.
            question: (n,) of its responses, from 0.
        """
        if not len(block.norms):
            return
        peaks = block.norms > np.repeat(tau, block.lengths, axis=0)
        written = self._kinds.of(block.tokens)
        read = np.roll(written, 1)
        # a row's neighbour above is the one before only in the same response
        follows = np.append(False, (np.diff(block.row) == 1) & (np.diff(block.response) == 0))
        n_questions, n_kinds = self.rows.shape[1:]
        for side, kind, counted in ((0, written, np.ones_like(follows)), (1, read, follows)):
            slot = (question[block.response] * n_kinds + kind)[counted]
            size = n_questions * n_kinds
            self.rows[side] += np.bincount(slot, minlength=size).reshape(n_questions, n_kinds)
            for layer, of_layer in enumerate(peaks[counted].T):
                found = np.bincount(slot, weights=of_layer, minlength=size)
                self.peaks[side, :, :, layer] += found.reshape(n_questions, n_kinds)

    def table(self, layers: tuple[int, ...]) -> pd.DataFrame:
        """How often each kind's rows are peaks.

        Returns:
            A row a side, layer (``all`` is their mean) and kind: ``rows``, ``peaks``, ``rate`` and
            ``lift`` (over the rate of all kinds) with ``_low`` and ``_high``; ``p`` of a lift of
            1, and ``p_holm`` over the kinds, of layers one by one also over these.
        """
        import pandas as pd

        frames = [
            _side(side, self.rows[index], self.peaks[index], layers)
            for index, side in enumerate(SIDES)
        ]
        return pd.concat(frames, ignore_index=True)


def _side(side: str, rows: Floats, peaks: Floats, layers: tuple[int, ...]) -> pd.DataFrame:
    import pandas as pd

    by_layer = np.concatenate([peaks.mean(axis=2, keepdims=True), peaks], axis=2)
    n_rows = rows[:, :, None]
    of_all = by_layer.sum(axis=1, keepdims=True), n_rows.sum(axis=1, keepdims=True)
    rate = ratios([by_layer], [n_rows]).transposed()
    lift = ratios([by_layer, of_all[1]], [n_rows, of_all[0]]).transposed()
    names = ["all", *(str(layer) for layer in layers)]
    columns: dict[str, Any] = {
        "side": side,
        "layer": np.repeat(names, len(KINDS)),
        "kind": list(KINDS) * len(names),
        "rows": np.tile(rows.sum(axis=0), len(names)).astype(int),
        "peaks": by_layer.sum(axis=0).T.ravel(),
    }
    columns |= {**rate.columns("rate"), **lift.columns("lift"), "p": lift.p}
    table = pd.DataFrame(columns)
    whole = table["layer"] == "all"
    table.loc[whole, "p_holm"] = holm(table.loc[whole, "p"].to_numpy())
    table.loc[~whole, "p_holm"] = holm(table.loc[~whole, "p"].to_numpy())
    return table[table["rows"] > 0].reset_index(drop=True)
