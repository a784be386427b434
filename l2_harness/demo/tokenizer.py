"""A word-level tokenizer with single digits and a chat template in the way of Qwen3's.

Its decoder puts spaces back by local rules, so that `decode(encode(text)) == text` for every text
of the demo: a space before each token, but for digits after a digit, punctuation, line ends and
the marks of the chat format.
"""

from __future__ import annotations

import re

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from l2_harness.demo import prices, relations, totals
from l2_harness.demo.problems import ANSWER_MARK
from l2_harness.demo.words import COLLECTIBLES, GOODS, NAMES

CONTEXT = 1024
"""Positions of the model, in tokens."""

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
THINK_START, THINK_END = "<think>", "</think>"
UNKNOWN = "<|unk|>"
ROLES = ("system", "user", "assistant")
SYMBOLS = tuple(".,?:+-*/=")

# As in Qwen3: an assistant turn keeps its thinking only where it is the last one, and
# enable_thinking=False puts an empty think block at the head of the answer.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- set content = message.content -%}
{%- if message.role == 'assistant' and not loop.last and '</think>' in content -%}
{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}
{{- '<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
{%- endif -%}
"""

# A Rust (Oniguruma) pattern: a word, one digit, a line end, the answer mark, or one other sign.
TOKEN = rf"[A-Za-z]+|[0-9]|\n|{ANSWER_MARK}|[^\s]"

_TEMPLATE_WORD = re.compile(r"[A-Za-z]+")


def vocabulary() -> list[str]:
    """Every token of the model, in the order of their ids; the added ones come first."""
    templates = (*totals.TEMPLATES, *relations.TEMPLATES, *prices.TEMPLATES)
    words = {w for t in templates for w in _TEMPLATE_WORD.findall(re.sub(r"\{\w+\}", " ", t))}
    words.update(NAMES, COLLECTIBLES, GOODS, GOODS.values(), ROLES)
    added = [END_OF_TEXT, TURN_START, TURN_END, THINK_START, THINK_END, UNKNOWN]
    return [*added, "\n", ANSWER_MARK, *SYMBOLS, *"0123456789", *sorted(words)]


def _decoder() -> decoders.Decoder:
    """Tokens joined by spaces, then the spaces that no text has taken out again."""
    mark = r"<\|\w+\|>"
    return decoders.Sequence(
        [
            decoders.WordPiece(prefix="\x00", cleanup=False),
            decoders.Fuse(),
            decoders.Replace(Regex(r"(?<=[0-9]) (?=[0-9])"), ""),
            decoders.Replace(Regex(r" (?=[.,?:\n])"), ""),
            decoders.Replace(Regex(rf"(?<=\n) | (?={mark})|(?<=\|>) "), ""),
        ]
    )


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template, ready for `save_pretrained`."""
    ids = {token: index for index, token in enumerate(vocabulary())}
    backend = Tokenizer(WordLevel(ids, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(TOKEN), "isolated"),
            pre_tokenizers.Split(Regex(r"[^\S\n]+"), "removed"),
        ]
    )
    backend.decoder = _decoder()
    # Not special, so that skip_special_tokens keeps the borders of the thinking.
    backend.add_tokens([THINK_START, THINK_END])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        unk_token=UNKNOWN,
        additional_special_tokens=[TURN_START],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def chat_prompt(question: str, thinking: bool) -> str:
    """The prompt that the chat template makes of one question, written out for training."""
    empty = "" if thinking else f"{THINK_START}\n\n{THINK_END}\n\n"
    return f"{TURN_START}user\n{question}{TURN_END}\n{TURN_START}assistant\n{empty}"


def chat_response(solution: str, final: str, thinking: bool) -> str:
    """What the model is to write after `chat_prompt`, with the token that ends its turn."""
    head = f"{THINK_START}\n{solution}\n{THINK_END}\n\n" if thinking else ""
    return f"{head}{final}{TURN_END}"
