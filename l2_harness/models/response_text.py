"""What lm-eval gets of a response: thinking and stop strings cut, as its ``hf`` cuts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lm_eval.models.utils import postprocess_generated_text


def lm_eval_response(
    tokens: Sequence[int],
    until: Sequence[str],
    think_end_token: int | str | None,
    decode: Callable[[Sequence[int]], str],
) -> str:
    """The text that ``HFLM.generate_until`` returns for these ids.

    Args:
        tokens: the response's ids.
        until: its stop strings.
        think_end_token: HFLM's argument: an id, a text, or None where thinking stays.
        decode: gives the text of some ids, special tokens left out.
    """
    ids = list(tokens)
    is_id = isinstance(think_end_token, int)
    if is_id and think_end_token in ids:
        ids = ids[len(ids) - ids[::-1].index(think_end_token) :]
    text = decode(ids)
    return postprocess_generated_text(
        generation=text.lstrip() if is_id else text,
        stop=list(until),
        think_end_token=None if is_id else think_end_token,
    )
