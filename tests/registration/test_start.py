"""What the bridge does to the start of an interpreter: next to nothing, and never an error."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import l2_harness
from l2_harness.registration.startup_cost import WITH, WITHOUT, bridge_file, measure_startup

pytestmark = pytest.mark.process

REGISTRATION = Path(l2_harness.__file__).parent / "registration"
LIST_MODULES = "import sys; print(*sys.modules)"


def test_start_loads_only_our_own_three_modules(wheel_environment: Any) -> None:
    with_bridge = set(wheel_environment.probe(LIST_MODULES).split())
    switched_off = set(wheel_environment.probe(LIST_MODULES, L2_HARNESS_NO_BRIDGE="1").split())
    assert with_bridge - switched_off == {
        "l2_harness",
        "l2_harness.registration",
        "l2_harness.registration.bridge",
    }


def test_start_is_quiet_without_the_package(make_environment: Any) -> None:
    environment = make_environment()
    shutil.copy(bridge_file(), environment.site_packages)
    assert environment.probe("print('started')") == "started"


def test_start_is_quiet_with_a_broken_package(make_environment: Any) -> None:
    environment = make_environment()
    shutil.copy(bridge_file(), environment.site_packages)
    registration = environment.site_packages / "l2_harness" / "registration"
    registration.mkdir(parents=True)
    for broken in ("def install(:", "raise OSError('half installed')", "installed = True"):
        registration.joinpath("bridge.py").write_text(broken)
        assert environment.probe("print('started')") == "started"


def test_lm_eval_works_on_when_our_names_cannot_be_added(make_environment: Any) -> None:
    environment = make_environment()
    shutil.copytree(REGISTRATION, environment.site_packages / "l2_harness" / "registration")
    shutil.copy(bridge_file(), environment.site_packages)
    old = environment.site_packages / "lm_eval"
    for module in ("__init__.py", "api/__init__.py", "api/registry.py", "models/__init__.py"):
        old.joinpath(module).parent.mkdir(parents=True, exist_ok=True)
        old.joinpath(module).write_text("MODEL_REGISTRY = {}\n")
    done = environment.run("python", "-c", "import lm_eval.models as m; print(m.MODEL_REGISTRY)")
    assert (done.returncode, done.stdout.strip()) == (0, "{}")
    assert "l2hf" in done.stderr
    assert "lm-eval>=0.4.13" in done.stderr
    assert "Traceback" not in done.stderr


def test_cost_is_measured_for_each_kind_of_start() -> None:
    cost = measure_startup(rounds=2)
    rows = {row.environment: row for row in cost.rows()}
    assert [len(times) for times in cost.times.values()] == [2, 2, 2]
    assert rows[WITHOUT].added is None
    assert rows[WITH].added == rows[WITH].median - rows[WITHOUT].median
    assert cost.as_dict()["rows"][0]["environment"] == WITHOUT
