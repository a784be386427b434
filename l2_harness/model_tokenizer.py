"""The tokenizer that some model_args name, loaded without the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2_harness.paths import model_source


def model_tokenizer(args: Mapping[str, Any]) -> Any:
    """The tokenizer of ``tokenizer=``, else the one beside the weights.

    Args:
        args: model_args, or a run's settings, where values may be texts.

    Raises:
        OSError, ValueError, TypeError, KeyError: whatever from_pretrained makes of a name, or of
            none, that it can't load.
    """
    from transformers import AutoTokenizer

    own = args.get("tokenizer")
    name = own or args.get("pretrained") or args.get("model")
    # a GGUF file and a subfolder hold the model's own tokenizer, none that was named beside it
    places = () if own else ("gguf_file", "subfolder")
    return AutoTokenizer.from_pretrained(
        model_source(str(name)),
        revision=str(args.get("revision") or "main"),
        trust_remote_code=trusts_code(args),
        **{place: str(args[place]) for place in places if args.get(place)},
    )


def trusts_code(args: Mapping[str, Any]) -> bool:
    """Whether a model's own code may run: only where that was asked for, in a value or a word."""
    return str(args.get("trust_remote_code", False)).strip().lower() in ("true", "1")
