"""Running decoder layers of vLLM again on some rows, without writing their keys and values.

Each row is a request of its own with one token: its attention reads what the first pass has
written, up to its own position.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from l2_harness.engines.vllm.residual_stream import stream, stream_parts
from l2_harness.engines.vllm.step_rows import Rows

#: What a layer's forward may ask for besides; anything else is none of ours to give.
_POSITIONS, _HIDDEN, _RESIDUAL = ("positions", "position_ids"), ("hidden_states", "x"), "residual"


class CannotRunAgainError(Exception):
    """A layer whose second pass would not be what is meant; says why."""


@dataclass(frozen=True, eq=False)
class _Attention:
    """The attention of a layer, and who makes its metadata."""

    name: str
    group: int
    builder: Any
    kernel_blocks: Any


class SecondPass:
    """Second passes of some layers of one model.

    Args:
        runner: vLLM's model runner (V1), its KV cache in place.
        layers: index → decoder layer, those that are run again.
    """

    def __init__(self, runner: Any, layers: Mapping[int, nn.Module]) -> None:
        self.layers = dict(layers)
        self._runner = runner
        self._attention: dict[int, list[_Attention]] = {}

    def run(self, layer: int, states: Tensor, rows: Rows, which: Tensor) -> Tensor:
        """The layer's output (m, d) for states (m, d) in place of its inputs at some rows.

        Args:
            layer: its index.
            states: its inputs.
            rows: of the pass that is being made.
            which: (m,) int64, those of them that are meant.

        Raises:
            CannotRunAgainError: the layer is of a kind that cannot.
        """
        from vllm.config import CUDAGraphMode
        from vllm.forward_context import get_forward_context, override_forward_context

        positions = rows.positions_there[which]
        highest = int(rows.positions.max())
        found = self._attention_of(layer)
        metadata = {
            one.name: self._metadata(one, positions, rows.requests_there[which], highest)
            for one in found
        }
        context = replace(
            get_forward_context(),
            attn_metadata=metadata,
            slot_mapping={},  # writes nothing
            cudagraph_runtime_mode=CUDAGraphMode.NONE,
            all_moe_layers=None,  # experts go by their own names, not by the pass's order
        )
        module = self.layers[layer]
        with override_forward_context(context):
            output = module.forward(**_arguments(module, positions, states))
        return stream(*stream_parts(output))

    def caches(self, layer: int) -> list[Tensor]:
        """The keys and values that a layer's attention holds."""
        context = self._runner.compilation_config.static_forward_context
        held = [context[one.name].kv_cache for one in self._attention_of(layer)]
        return [tensor for cache in held for tensor in _tensors(cache)]

    def _metadata(
        self, attention: _Attention, positions: Tensor, requests: Tensor, highest: int
    ) -> Any:
        from vllm.v1.attention.backend import CommonAttentionMetadata

        m, device = len(positions), positions.device
        starts = torch.arange(m + 1, dtype=torch.int32)
        tables = self._runner.input_batch.block_table[attention.group]
        blocks = tables.get_device_tensor(self._runner.input_batch.num_reqs)[requests]
        common = CommonAttentionMetadata(
            query_start_loc=starts.to(device),
            query_start_loc_cpu=starts,
            seq_lens=(positions + 1).to(torch.int32),
            seq_lens_cpu_upper_bound=torch.full((m,), highest + 1, dtype=torch.int32),
            num_reqs=m,
            num_actual_tokens=m,
            max_query_len=1,
            max_seq_len=highest + 1,
            block_table_tensor=attention.kernel_blocks(blocks),
            slot_mapping=torch.full((m,), -1, dtype=torch.int64, device=device),
            is_prefilling=torch.zeros(m, dtype=torch.bool),
            positions=positions,
        )
        return attention.builder.build(0, common)

    def _attention_of(self, layer: int) -> list[_Attention]:
        if layer not in self._attention:
            names = attention_names(self.layers[layer])
            self._attention[layer] = [self._find(name) for name in names]
        return self._attention[layer]

    def _find(self, name: str) -> _Attention:
        """Builders are our own: a backend's may keep what a CUDA graph has captured."""
        for number, groups in enumerate(self._runner.attn_groups):
            for group in groups:
                if name in group.layer_names:
                    theirs = group.get_metadata_builder(0)
                    builder = type(theirs)(
                        theirs.kv_cache_spec,
                        group.layer_names,
                        self._runner.vllm_config,
                        self._runner.device,
                    )
                    return _Attention(name, number, builder, group.map_to_kernel_block_table)
        raise CannotRunAgainError(f"its attention {name} has no keys and values of its own.")


def attention_names(layer: nn.Module) -> list[str]:
    """vLLM's names of a layer's attention modules.

    Raises:
        CannotRunAgainError: it has none, or one whose state a second pass would change or share.
    """
    from vllm.model_executor.layers.attention import Attention
    from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase

    found = [module for module in layer.modules() if isinstance(module, AttentionLayerBase)]
    for module in found:
        if not isinstance(module, Attention):
            raise CannotRunAgainError(
                f"its {type(module).__name__} is none of vLLM's plain attention: linear attention "
                "and states of a fixed size would be advanced, and MLA has not been tried."
            )
        if module.kv_sharing_target_layer_name is not None:
            raise CannotRunAgainError("it shares another layer's keys and values.")
    if not found:
        raise CannotRunAgainError("it has no attention that vLLM knows.")
    return [module.layer_name for module in found]


def state_parameters(layer: nn.Module) -> list[tuple[int, str]]:
    """Place and name of those arguments of a layer's forward that hold its state: hidden, and the
    residual if it comes apart.

    Raises:
        CannotRunAgainError: none is known.
    """
    names = [parameter.name for parameter in _parameters(layer)]
    found = [(i, n) for i, n in enumerate(names) if n in _HIDDEN]
    found += [(i, n) for i, n in enumerate(names) if n == _RESIDUAL]
    if not found or found[0][1] == _RESIDUAL:
        raise CannotRunAgainError("its layers take their state under a name that is not known.")
    return found


def _arguments(layer: nn.Module, positions: Tensor, states: Tensor) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for parameter in _parameters(layer):
        if parameter.name in _POSITIONS:
            given[parameter.name] = positions
        elif parameter.name in _HIDDEN:
            given[parameter.name] = states.clone()  # some layers add to their input in place
        elif parameter.name == _RESIDUAL:
            given[parameter.name] = None
    return given


def _parameters(layer: nn.Module) -> Sequence[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    signature = inspect.signature(type(layer).forward)
    return [p for p in list(signature.parameters.values())[1:] if p.kind in kinds]


def _tensors(cache: Any) -> list[Tensor]:
    return [cache] if isinstance(cache, Tensor) else [t for part in cache for t in _tensors(part)]
