"""The import hook beside other users of Python's import system."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.process

REPORT = """
from lm_eval.api.registry import model_registry
print("l2hf" in model_registry, "hf" in model_registry)
"""


def test_looking_without_importing_keeps_the_hook(wheel_environment: Any) -> None:
    code = "import importlib.util\nimportlib.util.find_spec('lm_eval.models')\n"
    assert wheel_environment.probe(code + "import lm_eval.models" + REPORT) == "True True"


def test_module_keeps_its_own_loader(wheel_environment: Any) -> None:
    code = """
import lm_eval.models as m
print(type(m.__loader__).__name__, type(m.__spec__.loader).__name__)
"""
    assert wheel_environment.probe(code) == "SourceFileLoader SourceFileLoader"


def test_reload_works_and_changes_nothing(wheel_environment: Any) -> None:
    code = "import importlib, lm_eval.models\nimportlib.reload(lm_eval.models)"
    assert wheel_environment.probe(code + REPORT) == "True True"


def test_failed_import_can_be_repeated(wheel_environment: Any) -> None:
    code = """
import sys, lm_eval.api.registry
registry = sys.modules.pop("lm_eval.api.registry")
sys.modules["lm_eval.api.registry"] = None
try:
    import lm_eval.models
except ImportError:
    print("failed once")
sys.modules["lm_eval.api.registry"] = registry
import lm_eval.models
"""
    assert wheel_environment.probe(code + REPORT).splitlines() == ["failed once", "True True"]


def test_another_hook_that_asks_every_finder(wheel_environment: Any) -> None:
    code = """
import sys

class Asks:
    def find_spec(self, name, path=None, target=None):
        if name == "lm_eval.models":
            for finder in sys.meta_path:
                if finder is not self:
                    spec = finder.find_spec(name, path, target)
                    if spec is not None:
                        return spec

sys.meta_path.insert(0, Asks())
sys.meta_path.append(Asks())
import lm_eval.models
"""
    assert wheel_environment.probe(code + REPORT) == "True True"
