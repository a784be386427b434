"""model_args to frozen, validated dataclasses: nothing here imports torch or lm-eval."""

from l2_harness.config.errors import ConfigError
from l2_harness.config.interventions import InterventionConfig, read_interventions
from l2_harness.config.layers import LayerSelection
from l2_harness.config.recording import RecordingConfig

__all__ = [
    "ConfigError",
    "InterventionConfig",
    "LayerSelection",
    "RecordingConfig",
    "read_interventions",
]
