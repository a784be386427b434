"""Which of a request's samples lm-eval gets: ``selection`` and its companions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from l2_harness.answers import ANSWER_KINDS
from l2_harness.config.errors import unknown_value
from l2_harness.config.numbers import number, whole
from l2_harness.config.options import boolean, choice, option
from l2_harness.config.selectors import ALIASES, SELECTORS, needs_states

Part = Literal["all", "thinking", "answer"]
PARTS: tuple[Part, ...] = get_args(Part)


def _selector(name: str, value: Any) -> str:
    word = "off" if value is False else str(value).strip()
    allowed = ["off", *ALIASES, *SELECTORS]
    if word not in allowed:
        raise unknown_value(name, value, allowed)
    return ALIASES.get(word, word)


@dataclass(frozen=True)
class SelectionConfig:
    """``selection``, and what it goes by."""

    selection: str = option(
        "off",
        _selector,
        "which of `num_samples` samples lm-eval gets (`off`: the first); `l2-harness selectors`",
        affects="choice",
    )
    selection_on: Part = option(
        "all", choice(*PARTS), "rows that count: `all`, `thinking` or `answer`", affects="choice"
    )
    selection_answers: str = option(
        "auto",
        choice("auto", *ANSWER_KINDS),
        "how votes compare answers: `math`, `letter`, `word`, `text`; `auto`: as the task says",
        affects="choice",
    )
    selection_window: int = option(2048, whole(1), "tokens of a DeepConf group", affects="choice")
    selection_temperature: float = option(
        1.0,
        number(0.0, above=True),
        "of CISC's softmax; its authors tune it on questions of their own",
        affects="choice",
    )
    coe: bool = option(
        False,
        boolean,
        "keep what Chain-of-Embedding and StALT need; `selection=coe_*`, `stalt` do so themselves",
        affects="choice",
    )

    @property
    def enabled(self) -> bool:
        """Whether a sample is chosen."""
        return self.selection != "off"

    @property
    def keeps_states(self) -> bool:
        """Whether hidden states are needed while responses are written."""
        return self.coe or needs_states(self.selection)
