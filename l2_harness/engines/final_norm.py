"""The norm between the last decoder layer and the head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from l2_harness.config import ConfigError

_NAMES = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f")


def find_final_norm(model: nn.Module, layers: Sequence[nn.Module]) -> nn.Module:
    """The norm that lies beside the list of decoder layers.

    Args:
        model: that the layers are part of, of transformers or of vLLM.
        layers: its decoder layers.

    Raises:
        ConfigError: none is there.
    """
    last = next((name for name, module in model.named_modules() if module is layers[-1]), "")
    beside = model.get_submodule(".".join(last.split(".")[:-2]))
    for name in _NAMES:
        found = getattr(beside, name, None)
        if isinstance(found, nn.Module):
            return found
    raise ConfigError(
        f"Logits of a layer need the final norm of {type(model).__name__}, and none of "
        f"{', '.join(_NAMES)} is beside its layers. Leave out recursion=entropy or --entropies."
    )
