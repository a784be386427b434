"""The model of a recorded run, loaded again as lm-eval's ``hf`` loads it, with its encoding."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from l2_harness.analysis.states.wanted import Wanted, refused
from l2_harness.config.errors import ConfigError

#: What a run's settings hold beside its model_args, and what needs a trace_dir.
_NOT_ARGUMENTS = frozenset(
    {
        "pretrained",
        "model_files",
        "weights",
        "seed",
        "thresholds",
        "directions",
        "matched_run",
        "monitored_layers",
        "l2_harness",
        "record",
    }
)


@dataclass(frozen=True, eq=False)
class RunModel:
    """A model to be run on known tokens.

    Attributes:
        causal_lm: the module whose output has the logits.
        decoder_layers: all of them.
        lm: lm-eval's HFLM, or what encodes a prompt like it (``tok_batch_encode``).
        name: what it was loaded from.
        fingerprint: of its weights; None where it can't be told.
        recorded_fingerprint: of the recorded run's.
        recorded_dtype: what the run's settings say, or None.
    """

    causal_lm: Any
    decoder_layers: Sequence[nn.Module]
    lm: Any
    name: str
    fingerprint: str | None = None
    recorded_fingerprint: str | None = None
    recorded_dtype: str | None = None

    @property
    def dtype(self) -> str:
        """The type of its weights, such as ``float32``."""
        return str(next(self.causal_lm.parameters()).dtype).removeprefix("torch.")

    @property
    def d_model(self) -> int:
        """Components of a hidden state."""
        return int(self.causal_lm.config.get_text_config().hidden_size)

    def prompt_ids(self, wanted: Wanted) -> np.ndarray:
        """(P,) the prompt as the run gave it to the model: HFLM's encoding, cut on the left.

        Raises:
            ConfigError: it has fewer tokens than were recorded.
        """
        ids, _ = self.lm.tok_batch_encode(
            [wanted.prompt], truncation=getattr(self.lm, "truncation", False)
        )
        found = ids[0].cpu().numpy().astype(np.int64)
        if len(found) < wanted.prompt_tokens:
            raise ConfigError(
                f"the prompt of {wanted} has {len(found)} tokens with the tokenizer of "
                f"{self.name!r}, and {wanted.prompt_tokens} in the traces: another tokenizer or "
                "another add_bos_token. Pass --pretrained with the model of the recorded run."
            )
        # A prompt that left no room for its response lost its beginning. Whether that is why
        # this one is longer shows when the norms are compared.
        return found[len(found) - wanted.prompt_tokens :]


def load_run_model(
    settings: Mapping[str, Any],
    run_id: str,
    *,
    pretrained: str | None = None,
    model_dtype: str | None = None,
    device: str | None = None,
) -> RunModel:
    """The model that a run's settings name, with the arguments of that run.

    Args:
        settings: of :func:`~l2_harness.norms.read_run_settings`.
        run_id: for messages.
        pretrained: another folder or hub name for the same model; ``demo`` is the packaged one.
        model_dtype: in place of the run's.
        device: such as ``cpu`` or ``cuda``; CUDA where there is one by default.

    Raises:
        ConfigError: a run with interventions, an argument that can't be used, no such model.
    """
    from lm_eval.models.huggingface import HFLM

    from l2_harness.engines.decoder_layers import causal_lm, find_decoder_layers
    from l2_harness.engines.hf.hf_args import split_hf_args
    from l2_harness.engines.hf.loading import model_fingerprint, resolve_pretrained
    from l2_harness.engines.hf.looped_model import looped_model

    name = pretrained or str(settings.get("pretrained"))
    if name.startswith("object "):
        raise ConfigError(f"run {run_id} ran a model object: pass --pretrained with its folder.")
    given = {k: _value(v) for k, v in settings.items() if k not in _NOT_ARGUMENTS}
    source = resolve_pretrained(name, given)
    given |= {} if model_dtype is None else {"dtype": model_dtype}
    config, inherited = split_hf_args(given, source)
    if config.interventions.enabled:
        raise refused(run_id)
    inherited["device"] = device or ("cuda" if torch.cuda.is_available() else "cpu")
    lm = HFLM(source, batch_size=1, **inherited)
    model, path = lm.model.eval(), config.recording.layers_path
    if config.looping.enabled:
        model, _ = looped_model(model, config.looping, path)
    layers = find_decoder_layers(model, path)
    return RunModel(
        causal_lm(model),
        list(layers),
        lm,
        name,
        model_fingerprint(source, lm.config),
        settings.get("weights"),
        settings.get("dtype"),
    )


def _value(text: Any) -> Any:
    """A model argument as lm-eval reads it from a command line; lists and dicts as Python's."""
    from lm_eval.utils import handle_arg_string

    if not isinstance(text, str):
        return text
    if text[:1] in "[{" and text:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
    return handle_arg_string(text)
