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
from l2_harness.analysis.norms.whole_questions import WholeQuestions
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.ratios import RatioSums
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
        responses: (Q,) how many each question has.
        kinds: of the tokens.
    """

    def __init__(self, responses: np.ndarray, kinds: TokenKinds) -> None:
        self._kinds = kinds
        self._questions = WholeQuestions(responses)
        self._rates = RatioSums()

    def add(self, block: RowBlock, tau: np.ndarray, question: np.ndarray) -> None:
        """Count a block.

        Args:
            block: the rows; those that were dropped before still have their numbers.
            tau: (n, layers) thresholds.
            question: (n,) of its responses, from 0.
        """
        questions, own = np.unique(question, return_inverse=True)
        shape = len(questions), len(SIDES), len(KINDS)
        rows, peaks = np.zeros((*shape, 1)), np.zeros((*shape, block.norms.shape[1]))
        is_peak = block.norms > np.repeat(tau, block.lengths, axis=0)
        written = self._kinds.of(block.tokens)
        read = np.roll(written, 1)
        # a row's neighbour above is the one before only in the same response
        follows = np.append(False, (np.diff(block.row) == 1) & (np.diff(block.response) == 0))
        follows = follows[: len(written)]
        size = len(questions) * len(KINDS)
        for side, kind, counted in ((0, written, np.ones_like(follows)), (1, read, follows)):
            slot = (own[block.response] * len(KINDS) + kind)[counted]
            rows[:, side, :, 0] = np.bincount(slot, minlength=size).reshape(-1, len(KINDS))
            for layer, of_layer in enumerate(is_peak[counted].T):
                found = np.bincount(slot, weights=of_layer, minlength=size)
                peaks[:, side, :, layer] = found.reshape(-1, len(KINDS))
        self._count(*self._questions.add(question, [rows, peaks]))

    def _count(self, rows: Floats, peaks: Floats) -> None:
        """Questions that are complete: (m, sides, kinds, 1) and (m, sides, kinds, layers)."""
        by_layer = np.concatenate([peaks.mean(axis=3, keepdims=True), peaks], axis=3)
        of_all = (of.sum(axis=2, keepdims=True) for of in (by_layer, rows))
        self._rates.add(by_layer, rows, *of_all)

    @property
    def rates(self) -> RatioSums:
        """Peaks over rows: (sides, kinds, 1 + layers), the mean over layers first."""
        rest = self._questions.rest()
        if rest:
            self._count(*rest)
        return self._rates

    def table(self, layers: tuple[int, ...]) -> pd.DataFrame:
        """How often each kind's rows are peaks.

        Returns:
            A row a side, layer (``all`` is their mean) and kind: ``rows``, ``peaks``, ``rate`` and
            ``lift`` (over the rate of all kinds) with ``_low`` and ``_high``; ``p`` of a lift of
            1, and ``p_holm`` over the kinds, of layers one by one also over these.
        """
        import pandas as pd

        return pd.concat([self._side(side, layers) for side in SIDES], ignore_index=True)

    def _side(self, side: str, layers: tuple[int, ...]) -> pd.DataFrame:
        import pandas as pd

        rates, index = self.rates, SIDES.index(side)
        rate, lift = (of.part(index).transposed() for of in (rates.ratio(), rates.relative()))
        names = ["all", *(str(layer) for layer in layers)]
        columns: dict[str, Any] = {
            "side": side,
            "layer": np.repeat(names, len(KINDS)),
            "kind": list(KINDS) * len(names),
            "rows": np.tile(rates.under[index, :, 0], len(names)).astype(int),
            "peaks": rates.over[index].T.ravel(),
        }
        columns |= {**rate.columns("rate"), **lift.columns("lift"), "p": lift.p}
        table = pd.DataFrame(columns)
        whole = table["layer"] == "all"
        table.loc[whole, "p_holm"] = holm(table.loc[whole, "p"].to_numpy())
        table.loc[~whole, "p_holm"] = holm(table.loc[~whole, "p"].to_numpy())
        return table[table["rows"] > 0].reset_index(drop=True)
