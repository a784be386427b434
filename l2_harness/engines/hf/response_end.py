"""Where a generated response ends: a batch goes on until its slowest row does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal, NamedTuple

FinishReason = Literal["eos", "stop", "length"]
Decode = Callable[[Sequence[int]], str]


class ResponseEnd(NamedTuple):
    """``n_tokens`` counts the one that ended the response: EOS, or a stop string's last."""

    n_tokens: int
    reason: FinishReason


def response_end(
    tokens: Sequence[int], eos_ids: Collection[int], stop: Sequence[str], decode: Decode
) -> ResponseEnd:
    """The end of one row of a generated batch.

    Args:
        tokens: the row's generated ids, padding after its end included.
        eos_ids: ids that end a response.
        stop: stop strings; an empty string stops nothing.
        decode: gives the text of some ids, special tokens included.
    """
    eos = next((i for i, token in enumerate(tokens) if token in eos_ids), None)
    until_eos = tokens if eos is None else tokens[: eos + 1]
    stopped = _first_stop(until_eos, [s for s in stop if s], decode)
    if stopped is not None and stopped < len(until_eos):
        return ResponseEnd(stopped, "stop")
    if eos is not None:
        return ResponseEnd(eos + 1, "eos")
    return ResponseEnd(len(tokens), "length" if stopped is None else "stop")


def _first_stop(tokens: Sequence[int], stop: Sequence[str], decode: Decode) -> int | None:
    """The least number of leading tokens whose text holds a stop string.

    A text that holds one goes on holding it as tokens are added, so halving finds it.
    """

    def holds(n: int) -> bool:
        text = decode(tokens[:n])
        return any(s in text for s in stop)

    if not stop or not holds(len(tokens)):
        return None
    low, high = 0, len(tokens)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def thinking_end(tokens: Sequence[int], end_token: int | str | None, decode: Decode) -> int | None:
    """The row of the token that closes the (last) thinking block, None where none closes.

    Args:
        tokens: the response's ids.
        end_token: an id, or a text that may span several tokens.
        decode: as for :func:`response_end`.
    """
    if isinstance(end_token, int):
        rows = [row for row, token in enumerate(tokens) if token == end_token]
        return rows[-1] if rows else None
    if not end_token:
        return None
    count = decode(tokens).count(end_token)
    if not count:
        return None
    low, high = 0, len(tokens)
    while high - low > 1:
        middle = (low + high) // 2
        if decode(tokens[:middle]).count(end_token) == count:
            high = middle
        else:
            low = middle
    return high - 1
