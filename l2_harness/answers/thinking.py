"""Where a response's thinking ends, told from the text.

A response that opens its thinking and never closes it was cut off before it answered. Some chat
templates open the thinking in the prompt: then the response holds no opening tag, and the caller
says so (``opened``), since the text alone cannot. A tag that is only spoken of, as in "I will use
<think> tags", opens nothing.
"""

from __future__ import annotations

import re

#: (opening, closing) tags of the models in use: Qwen3 and DeepSeek-R1, Phi-4, Gemini-like,
#: Magistral, Seed, Kimi-VL, OpenThinker and Sky-T1, Command A, and gpt-oss, whose final channel
#: follows its analysis.
THINKING_TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
)

#: gpt-oss decoded without its special tokens: what is left of the two at a response's start and
#: before its final channel.
BARE_CHANNELS = ("analysis", "assistantfinal")

_OPENING, _CLOSING = (
    re.compile(
        rf"(?<![`'\"“])(?:{'|'.join(map(re.escape, tags))})"
        r"(?![`'\"”]|\s*(?:-\s*)?(?:tags?|tokens?|blocks?|sections?|markers?|and|or)\b)"
    )
    for tags in zip(*THINKING_TAGS, strict=True)
)
#: What stands before a tag that opens: a line's start, or another tag's or token's end.
_STRUCTURE = re.compile(r"(?:^|\n|[>\]▷|}])[ \t]*$")


def final_text(text: str, opened: bool = False) -> str | None:
    """What a response says after its thinking; all of it where it holds none.

    Args:
        text: the response.
        opened: whether the prompt ended inside the thinking.

    Returns:
        None where thinking was opened and never closed.
    """
    opening, closing = BARE_CHANNELS
    if text.startswith(opening):
        _, closed, answer = text.rpartition(closing)
        return answer if closed else None
    closes = [tag.end() for tag in _CLOSING.finditer(text)]
    closed_at = closes[-1] if closes else 0
    thinks = opened and not closes
    end = len(text.rstrip())
    for tag in _OPENING.finditer(text, closed_at):
        thinks = thinks or bool(closes) or tag.end() >= end or _stands_alone(text, tag.start())
    return None if thinks else text[closed_at:]


def opens_thinking(prompt: str) -> bool:
    """Whether a prompt leaves the model inside its thinking."""
    return final_text(prompt) is None


def _stands_alone(text: str, start: int) -> bool:
    """Whether a tag stands where thinking begins: not inside a sentence that goes on."""
    return bool(_STRUCTURE.search(text[max(0, start - 40) : start]))
