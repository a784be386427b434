"""lm-eval's registry in a fresh environment: our names in it, and all of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.process

LIST_MODELS = """
import json, sys
import lm_eval.models
from lm_eval.api.registry import model_registry
hooks = [type(finder).__name__ for finder in sys.meta_path]
heavy = sorted({"torch", "transformers", "sae_lens"} & set(sys.modules))
placeholder = str(model_registry._objs.get("l2hf"))
print(json.dumps(dict(names=list(model_registry), hooks=hooks, heavy=heavy, l2hf=placeholder)))
"""


def list_models(environment: Any, **variables: str) -> dict[str, Any]:
    listed: dict[str, Any] = json.loads(environment.probe(LIST_MODELS, **variables))
    return listed


def test_name_is_added_behind_every_built_in_name(environment: Any) -> None:
    stock = list_models(environment, L2_HARNESS_NO_BRIDGE="1")
    ours = list_models(environment)
    assert len(stock["names"]) > 30
    assert "l2hf" not in stock["names"]
    assert ours["names"] == [*stock["names"], "l2hf", "l2vllm"]


def test_class_is_not_imported_before_it_is_asked_for(environment: Any) -> None:
    listed = list_models(environment)
    assert listed["l2hf"] == "l2_harness.models.hf.l2hf:L2HF"
    assert listed["heavy"] == []


def test_hook_removes_itself(wheel_environment: Any) -> None:
    assert "BridgeFinder" not in list_models(wheel_environment)["hooks"]


def test_empty_switch_leaves_the_bridge_on(wheel_environment: Any) -> None:
    assert "l2hf" in list_models(wheel_environment, L2_HARNESS_NO_BRIDGE="")["names"]


def test_get_model_alone_is_enough(wheel_environment: Any) -> None:
    code = """
from lm_eval.api import registry
try:
    registry.get_model("no such model")
except ValueError as error:
    print("l2hf" in str(error), "vllm" in str(error))
"""
    assert wheel_environment.probe(code) == "True True"


def test_register_by_hand_adds_the_name_once(wheel_environment: Any) -> None:
    code = """
from l2_harness.registration import register
print(register(), register())
from lm_eval.api.registry import filter_registry, get_filter, model_registry
print("l2hf" in model_registry, "hf" in model_registry)
import lm_eval.filters
print("l2_select" in filter_registry, "take_first" in filter_registry)
print(get_filter("l2_majority").__name__)
"""
    switched_off = wheel_environment.probe(code, L2_HARNESS_NO_BRIDGE="1")
    added, models, filters, name = switched_off.splitlines()
    assert added.startswith("('l2hf', 'l2vllm', 'l2_select', 'l2_majority'")
    assert added.endswith(") ()")
    assert (models, filters, name) == ("True True", "True True", "MajorityFilter")
    assert wheel_environment.probe(code).splitlines()[0] == "() ()"


def test_bridge_leaves_an_lm_eval_alone_that_reads_entry_points(wheel_environment: Any) -> None:
    code = """
from lm_eval.api import registry
registry.load_plugins = lambda group, components: []
import lm_eval.models
print("l2hf" in registry.model_registry, "hf" in registry.model_registry)
"""
    assert wheel_environment.probe(code) == "False True"


def test_entry_point_names_the_class_that_the_bridge_names(environment: Any) -> None:
    code = """
from importlib.metadata import distribution
from l2_harness.registration.names import FILTERS, MODELS
for group, names in ("models", MODELS), ("filters", FILTERS):
    found = distribution("l2-harness").entry_points.select(group=f"lm_eval.{group}")
    print({entry.name: entry.value for entry in found} == names)
"""
    assert environment.probe(code).split() == ["True", "True"]
