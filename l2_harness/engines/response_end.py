"""Where a response ends: at its own EOS, stop string or last token, whatever its batch does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal, NamedTuple, get_args

FinishReason = Literal["eos", "stop", "length"]
Decode = Callable[[Sequence[int]], str]


def finish_reason(word: str) -> FinishReason:
    """The reason that a word names, as a file or another engine gives it.

    Raises:
        ValueError: it names none.
    """
    reasons: tuple[FinishReason, ...] = get_args(FinishReason)
    for reason in reasons:
        if word == reason:
            return reason
    raise ValueError(f"finish_reason={word!r} is unknown. Allowed: {', '.join(reasons)}.")


class ResponseEnd(NamedTuple):
    """``n_tokens`` counts the one that ended the response: EOS, or a stop string's last."""

    n_tokens: int
    reason: FinishReason


class EndRule:
    """Judges a response that is being decoded, token by token.

    A stop string can only be completed by a token that holds its last character, so that
    most tokens need no look at the text. Cheap enough for every row of every step.

    Args:
        eos_ids: ids that end a response.
        stop: stop strings; an empty string stops nothing.
        max_tokens: the most tokens that a response has.
        decode: gives the text of some ids, special tokens included.
    """

    def __init__(
        self, eos_ids: Collection[int], stop: Sequence[str], max_tokens: int, decode: Decode
    ) -> None:
        self.max_tokens = max_tokens
        self._eos_ids = frozenset(eos_ids)
        self._stop = [s for s in stop if s]
        self._decode = decode
        self._last_characters = {s[-1] for s in self._stop}
        self._may_complete: dict[int, bool] = {}
        # as many tokens as the longest stop string has bytes, and some that show no text
        self._window = max((len(s.encode()) for s in self._stop), default=0) + 8

    def reason(self, tokens: Sequence[int]) -> FinishReason | None:
        """Why a response ends with the last of ``tokens``, None where it goes on.

        To be asked after each token: a stop string that was completed earlier may be missed.
        """
        if tokens[-1] in self._eos_ids:
            return "eos"
        if self._stop and self._completes(tokens[-1]) and self._holds_stop(tokens):
            return "stop"
        return "length" if len(tokens) >= self.max_tokens else None

    def _completes(self, token: int) -> bool:
        known = self._may_complete.get(token)
        if known is None:
            known = self._may_complete[token] = self._may(self._decode([token]))
        return known

    def _may(self, text: str) -> bool:
        """Whether a token of this text can be the last of a stop string.

        A part of a character has no text of its own yet, and what looks blank may be a blank
        that a tokenizer strips at the beginning of a text or adds between two tokens.
        """
        if not text.strip() or "�" in text or " " in self._last_characters:
            return True
        return any(character in text for character in self._last_characters)

    def _holds_stop(self, tokens: Sequence[int]) -> bool:
        """The text's end first: the whole text is looked at only where that has a stop string."""
        ends = [tokens[-self._window :], tokens] if len(tokens) > self._window else [tokens]
        return all(any(s in self._decode(part) for s in self._stop) for part in ends)


def response_end(
    tokens: Sequence[int], eos_ids: Collection[int], stop: Sequence[str], decode: Decode
) -> ResponseEnd:
    """The end of one row of a generated batch, found afterwards.

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
