"""lm-eval's own result and sample files, of any model class, read into outcomes."""

from l2_harness.compare.result_files.folders import from_folders
from l2_harness.compare.result_files.metrics import Metric
from l2_harness.compare.result_files.questions import PairBy

__all__ = ["Metric", "PairBy", "from_folders"]
