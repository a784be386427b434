"""What a run's tokens say: its tokenizer, read as cheaply as can be trusted.

transformers takes seconds to import. The file ``tokenizer.json`` needs it not, and where it gives
the very texts that the run recorded, it is enough.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.model_tokenizer import model_tokenizer
from l2_harness.norms import read_run_settings
from l2_harness.norms.trace_files import part_files
from l2_harness.norms.trace_parts import UnreadablePartError, read_part
from l2_harness.paths import expanded, model_source

#: Recorded responses that a tokenizer's file has to reproduce before it is trusted.
_TRIED = 64


@dataclass(frozen=True, eq=False)
class TokenTexts:
    """A tokenizer, as far as texts need it.

    Attributes:
        decode: gives the text of some ids, special tokens included.
        decode_plain: the same without special tokens, as a response is recorded.
        special: ids that are no ordinary text.
    """

    decode: Callable[[Sequence[int]], str]
    decode_plain: Callable[[Sequence[int]], str]
    special: frozenset[int]

    @classmethod
    def of(cls, tokenizer: Any) -> TokenTexts:
        """From a tokenizer of transformers."""
        decode = partial(tokenizer.decode, clean_up_tokenization_spaces=False)
        added = tokenizer.get_added_vocab().values()
        return cls(*_both_ways(decode), frozenset({*tokenizer.all_special_ids, *added}))

    @classmethod
    def of_file(cls, file: Path) -> TokenTexts:
        """From a ``tokenizer.json``, and what lies beside it of its special tokens."""
        from tokenizers import Tokenizer

        raw = Tokenizer.from_file(str(file))
        named = [raw.token_to_id(text) for text in _named_tokens(file.parent)]
        known = (token for token in named if token is not None)
        special = frozenset({*raw.get_added_tokens_decoder(), *known})
        return cls(*_both_ways(raw.decode), special)


_Decode = Callable[[Sequence[int]], str]


def _both_ways(decode: Callable[..., str]) -> tuple[_Decode, _Decode]:
    """With special tokens and without."""
    return partial(decode, skip_special_tokens=False), partial(decode, skip_special_tokens=True)


def load_token_texts(
    trace_dir: str | os.PathLike[str], run_id: str, tokenizer: str | None = None
) -> TokenTexts:
    """The tokenizer of a recorded run.

    Args:
        trace_dir: where the run was recorded.
        run_id: which run.
        tokenizer: a folder or hub name in place of the one that the run's settings name; `demo`
            is the packaged model's.

    Raises:
        ConfigError: it cannot be loaded; says how to name another.
    """
    settings = read_run_settings(trace_dir, run_id) if tokenizer is None else {}
    named = settings or {"tokenizer": tokenizer}
    file = _tokenizer_file(named)
    if file is not None:
        found = TokenTexts.of_file(file)
        if _gives_what_was_recorded(found, expanded(trace_dir), run_id):
            return found
    return _of_transformers(named)


def _tokenizer_file(named: Mapping[str, Any]) -> Path | None:
    """In the folder, or among what was downloaded from the hub."""
    if named.get("gguf_file") or named.get("subfolder"):
        return None
    name = named.get("tokenizer") or named.get("pretrained")
    source = model_source(str(name))
    file = Path(source, "tokenizer.json")
    if file.is_file():
        return file
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(source, file.name, revision=named.get("revision"))
    except HFValidationError:  # a folder that is not there
        return None
    return Path(cached) if isinstance(cached, str) else None


def _of_transformers(named: Mapping[str, Any]) -> TokenTexts:
    try:
        return TokenTexts.of(model_tokenizer(named))
    except (OSError, ValueError, TypeError, KeyError) as error:
        name = named.get("tokenizer") or named.get("pretrained")
        raise ConfigError(
            f"the tokenizer of {name!r} cannot be loaded ({error}). Pass --tokenizer with a folder "
            "or a hub name."
        ) from error


def _gives_what_was_recorded(texts: TokenTexts, trace_dir: Path, run_id: str) -> bool:
    """Whether all of the first responses' ids give the texts that were recorded with them."""
    tried = 0
    for ids, text in _recorded(trace_dir, run_id):
        if texts.decode_plain(ids) != text:
            return False
        tried += 1
        if tried == _TRIED:
            break
    return tried > 0


def _recorded(trace_dir: Path, run_id: str) -> Iterator[tuple[list[int], str]]:
    for path in part_files(trace_dir, run_id):
        try:
            table = read_part(path, ["run_id", "tokens", "text"]).table
        except UnreadablePartError:
            continue  # whoever reads the traces says so
        for row in table.to_pylist():
            if row["run_id"] == run_id and row["tokens"] and row["text"] is not None:
                yield row["tokens"], row["text"]


def _named_tokens(folder: Path) -> list[str]:
    """The texts of the tokens that ``tokenizer_config.json`` gives a part to play."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    except FileNotFoundError:
        return []
    parts = [value for name, value in config.items() if name.endswith("_token")]
    texts = [part.get("content") if isinstance(part, dict) else part for part in parts]
    return [text for text in texts if isinstance(text, str)]
