"""The model_args of a Hugging Face model.

They are ours, HFLM's, those of ``from_pretrained``, and the fields of the model's configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2_harness.config.model_args import ModelConfig, split_model_args
from l2_harness.engines.hf.loading import config_field_names

#: What ``PreTrainedModel.from_pretrained`` reads from its keyword arguments (transformers 5),
#: besides fields of the model's configuration. lm-eval passes what it does not know on to it.
#: The last line holds what it accepts and no longer uses.
FROM_PRETRAINED = frozenset(
    """adapter_kwargs adapter_name allow_all_kernels attn_implementation bnb_4bit_compute_dtype
    cache_dir code_revision config device_map device_mesh disable_mmap distributed_config
    experts_implementation force_download fusion_config generation_config
    ignore_mismatched_sizes kernel_config key_mapping llm_int8_enable_fp32_cpu_offload
    load_in_4bit load_in_8bit local_files_only max_memory offload_buffers output_loading_info
    proxies quantization_config state_dict token torch_dtype tp_size tqdm_class use_kernels
    use_safetensors variant weights_only
    _commit_hash _fast_init _from_pipeline from_flax from_tf low_cpu_mem_usage mirror
    offload_state_dict
    """.split()
)


def split_hf_args(args: Mapping[str, Any], source: Any) -> tuple[ModelConfig, dict[str, Any]]:
    """Our configuration, and the arguments that remain for HFLM.

    Args:
        args: model_args, ``pretrained`` excepted.
        source: what :func:`~l2_harness.engines.hf.loading.resolve_pretrained` made of that one.

    Raises:
        ConfigError: an unknown argument, or a value of the wrong type.
    """
    from lm_eval.models.huggingface import HFLM

    return split_model_args(
        args,
        HFLM.__init__,
        FROM_PRETRAINED,
        lambda: config_field_names(source, args),
    )
