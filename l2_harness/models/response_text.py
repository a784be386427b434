"""What a response's ids read as: its text, what lm-eval gets of it, where its thinking ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lm_eval.models.utils import postprocess_generated_text

from l2_harness.engines.response_end import Decode, thinking_end


@dataclass(frozen=True)
class ResponseTexts:
    """How a model's responses are read.

    Attributes:
        decode: gives the text of some ids, special tokens left out.
        raw: the same with special tokens.
        think_end_token: lm-eval's argument: an id, a text, or None where thinking stays.
        usual_think_end: the id that closes a thinking block where the argument names none; None
            where the vocabulary has no such token.
    """

    decode: Decode
    raw: Decode
    think_end_token: int | str | None = None
    usual_think_end: int | None = None

    def answer(self, tokens: Sequence[int], until: Sequence[str]) -> str:
        """The text that lm-eval gets: thinking and stop strings cut, as its ``hf`` cuts them.

        Args:
            tokens: the response's ids.
            until: its stop strings.
        """
        ids, end = list(tokens), self.think_end_token
        is_id = isinstance(end, int)
        if is_id and end in ids:
            ids = ids[len(ids) - ids[::-1].index(end) :]
        text = self.decode(ids)
        return postprocess_generated_text(
            generation=text.lstrip() if is_id else text,
            stop=list(until),
            think_end_token=None if is_id else end,
        )

    def thinking_end(self, tokens: Sequence[int]) -> int | None:
        """The row of the token that closes the (last) thinking block, None where none closes."""
        end = self.usual_think_end if self.think_end_token is None else self.think_end_token
        return thinking_end(tokens, end, self.raw)
