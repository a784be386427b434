"""lm-eval's own result and sample files, of any model class.

The names below are imported where they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2_harness.lazy_names import lazy_names

if TYPE_CHECKING:
    from l2_harness.lm_eval_files.folders import from_folders, read_folders
    from l2_harness.lm_eval_files.join import join_samples
    from l2_harness.lm_eval_files.metrics import Metric
    from l2_harness.lm_eval_files.questions import PairBy

_HOME = {
    "Metric": "metrics",
    "PairBy": "questions",
    "from_folders": "folders",
    "join_samples": "join",
    "read_folders": "folders",
}

__all__ = ["Metric", "PairBy", "from_folders", "join_samples", "read_folders"]

__getattr__, __dir__ = lazy_names(globals(), _HOME)
