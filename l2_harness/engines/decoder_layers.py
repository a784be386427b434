"""Where a model keeps its decoder layers."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from l2_harness.config import ConfigError

#: Looked at first, in this order, since a model with several stacks (vision, speech) may
#: hold more than one list of the right length.
_USUAL_PATHS = (
    "model.layers",
    "model.language_model.layers",
    "language_model.model.layers",
    "model.decoder.layers",
    "transformer.h",
    "transformer.blocks",
    "transformer.layers",
    "gpt_neox.layers",
    "backbone.layers",
)


def causal_lm(model: nn.Module) -> nn.Module:
    """The module whose output has the logits: the model itself, or what PEFT wraps."""
    get_base_model = getattr(model, "get_base_model", None)
    return get_base_model() if callable(get_base_model) else model


def find_decoder_layers(model: nn.Module, layers_path: str | None = None) -> nn.ModuleList:
    """The decoder layers of ``model``, PEFT wrapping looked through.

    Args:
        model: a causal language model.
        layers_path: the dotted path from the model to its layers, such as
            ``model.decoder.layers``; found without it for most models.

    Raises:
        ConfigError: no such path, or no list of layers (or several) found.
    """
    base = causal_lm(model)
    if layers_path is not None:
        return _at_path(base, layers_path)
    n_layers = number_of_layers(getattr(base, "config", None))
    lists = {
        name: module
        for name, module in base.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == n_layers
    }
    for path in _USUAL_PATHS:
        if path in lists:
            return lists[path]
    outermost = [name for name in lists if not _inside_another(name, lists)]
    if len(outermost) == 1:
        return lists[outermost[0]]
    raise ConfigError(
        f"The decoder layers of {type(base).__name__} were not found. Name them with "
        f"layers_path=, such as layers_path=model.decoder.layers. {_candidates(base)}"
    )


def number_of_layers(config: object) -> int | None:
    """How many decoder layers a model's configuration states, None where it does not."""
    get_text_config = getattr(config, "get_text_config", None)
    text_config = get_text_config(decoder=True) if callable(get_text_config) else config
    for name in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
        value = getattr(text_config, name, None)
        if isinstance(value, int):
            return value
    return None


def _at_path(base: nn.Module, path: str) -> nn.ModuleList:
    try:
        found = base.get_submodule(path)
    except AttributeError:
        found = None
    if isinstance(found, nn.ModuleList | nn.Sequential) and len(found):
        return nn.ModuleList(found)
    what = "is not in the model" if found is None else f"is a {type(found).__name__}, not a list"
    raise ConfigError(f"layers_path={path!r} {what}. {_candidates(base)}")


def _inside_another(name: str, names: dict[str, nn.ModuleList]) -> bool:
    return any(name.startswith(other + ".") for other in names if other != name)


def _candidates(base: nn.Module) -> str:
    paths = list(_module_lists(base))
    if not paths:
        return f"{type(base).__name__} holds no list of layers at all; pass record=off."
    return f"Lists of modules in this model: {', '.join(paths[:8])}."


def _module_lists(base: nn.Module) -> Iterator[str]:
    """Paths of module lists that lie in no other one."""
    found: list[str] = []
    for name, module in base.named_modules():
        nested = any(name.startswith(outer + ".") for outer in found)
        if isinstance(module, nn.ModuleList) and len(module) and not nested:
            found.append(name)
            yield f"{name} ({len(module)})"
