"""Where a response's thinking ends, told from the text.

A response that opens its thinking and never closes it was cut off before it answered. Some chat
templates open the thinking in the prompt: then the response holds no opening tag, and the caller
says so (``opened``), since the text alone cannot.
"""

from __future__ import annotations

#: (opening, closing) tags of the models in use: Qwen3 and DeepSeek-R1, Phi-4, Gemini-like,
#: Magistral, Seed, and gpt-oss, whose final channel follows its analysis.
THINKING_TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
)

#: gpt-oss decoded without its special tokens: what is left of the two at a response's start and
#: before its final channel.
BARE_CHANNELS = ("analysis", "assistantfinal")


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
    closed_at = _last_close(text)
    if closed_at is None:
        return None if opened or _last_open(text) is not None else text
    opened_at = _last_open(text)
    return None if opened_at is not None and opened_at >= closed_at else text[closed_at:]


def opens_thinking(prompt: str) -> bool:
    """Whether a prompt leaves the model inside its thinking."""
    return final_text(prompt) is None


def _last_close(text: str) -> int | None:
    """The position right after the last closing tag."""
    ends = [text.rfind(close) + len(close) for _, close in THINKING_TAGS if close in text]
    return max(ends, default=None)


def _last_open(text: str) -> int | None:
    starts = [text.rfind(tag) for tag, _ in THINKING_TAGS if tag in text]
    return max(starts, default=None)
