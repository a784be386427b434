"""Whether a response ended or was cut off: the model class's word, or what the text shows.

The same text has to have the same score whatever class of model made it, and most classes hand
over the text alone. The limit then decides, by the number of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from l2_harness.answers.thinking import final_text

#: A text of so many tokens, as a share of the limit, below it counts as cut off too: read back, a
#: sampled text may have fewer tokens than were drawn (2 % of them is more than was seen).
_SLACK = 0.02


class Ending(Enum):
    """How a response ended."""

    WHOLE = "whole"
    CUT = "cut"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class TokenLimit:
    """What is known of a limit on responses.

    Attributes:
        most: tokens of a response at most; None where it isn't known.
        count: the number of tokens of a text, None where nothing can count them.
        whole_texts: whether texts hold all that was generated, thinking included.
    """

    most: int | None = None
    count: Callable[[str], int | None] | None = None
    whole_texts: bool = True


def ending_of(response: str, limit: TokenLimit | None = None, opened: bool = False) -> Ending:
    """How a response ended.

    Args:
        response: a str, or a subclass that carries ``finish_reason`` (`length` where it was cut).
        limit: on its tokens.
        opened: whether the prompt ended inside the thinking.
    """
    finish = getattr(response, "finish_reason", None)
    if finish is not None:
        return Ending.CUT if finish == "length" else Ending.WHOLE
    found = _by_tokens(response, limit or TokenLimit())
    # Without a count, thinking that was left open is all that a text shows of its end.
    if found is Ending.UNKNOWN and final_text(response, opened) is None:
        return Ending.CUT
    return found


def _by_tokens(response: str, limit: TokenLimit) -> Ending:
    if limit.most is None:
        return Ending.UNKNOWN
    below = Ending.WHOLE if limit.whole_texts else Ending.UNKNOWN
    # no token is shorter than a byte
    if len(response.encode(errors="replace")) < limit.most:
        return below
    tokens = limit.count(response) if limit.count is not None else None
    if tokens is None:
        return Ending.UNKNOWN
    return Ending.CUT if tokens >= limit.most - int(_SLACK * limit.most) else below
