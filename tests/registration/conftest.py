"""Fresh environments, made without a network.

Each is a virtual environment of its own into which pip installs this project from the source
tree. All it needs besides comes from the environment that runs the tests, whose site-packages
folder is put on its path as a plain folder: the .pth files in there are not read, this project's
own among them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import lm_eval as lm_eval_package
import pytest

SOURCE = Path(__file__).resolve().parents[2]
PACKAGE_INSTALLER = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and what a user types in it."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment, away from the source tree, with no hub to ask."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "L2_"))}
        quiet = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(self.folder / "hf"), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [self.folder / "bin" / command[0], *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**inherited, **quiet, **variables},
        )

    def probe(self, code: str, **variables: str) -> str:
        """What a Python program prints here; it must end well and write no error."""
        done = self.run("python", "-c", code, **variables)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout.strip()

    def see_installed_packages(self) -> None:
        """Put the running environment's packages behind this one's own."""
        folders = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        self.site_packages.joinpath("running.pth").write_text("\n".join(folders) + "\n")

    def add_lm_eval(self) -> None:
        """Copy lm-eval without the tasks it ships: to index them is most of a short run's time."""
        lm_eval = Path(lm_eval_package.__file__).parent
        tasks = {str(folder) for folder in (lm_eval / "tasks").iterdir() if folder.is_dir()}

        def left_out(folder: str, names: list[str]) -> set[str]:
            return {name for name in names if str(Path(folder, name)) in tasks}

        shutil.copytree(lm_eval, self.site_packages / "lm_eval", ignore=left_out)

    def install(self, *what: str | Path) -> None:
        """Install with pip, this project's build backend coming from the running environment."""
        offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
        command = [*PACKAGE_INSTALLER, "--python", self.python, "install", *offline, *what]
        # The running environment may hold this project already: it is not this one's.
        subprocess.run([*command, "--ignore-installed"], check=True, cwd=self.folder)

    def add_command(self, name: str) -> None:
        """Write the script of a running environment's command, as pip would have."""
        (entry,) = {e.value: e for e in entry_points(group="console_scripts", name=name)}.values()
        script = self.folder / "bin" / name
        run = f"import sys\nfrom {entry.module} import {entry.attr}\nsys.exit({entry.attr}())\n"
        script.write_text(f"#!{self.python}\n{run}")
        script.chmod(0o755)


MakeEnvironment = Callable[[], Environment]


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> MakeEnvironment:
    """A function that makes an empty environment."""

    def make() -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, symlinks=True, with_pip=False)
        return Environment(folder)

    return make


@pytest.fixture(scope="session")
def wheel_environment(make_environment: MakeEnvironment) -> Environment:
    """``pip install .``, beside a stock lm-eval."""
    environment = make_environment()
    environment.see_installed_packages()
    environment.add_lm_eval()
    environment.install(SOURCE)
    environment.add_command("lm_eval")
    environment.add_command("accelerate")
    return environment


@pytest.fixture(scope="session")
def editable_environment(make_environment: MakeEnvironment) -> Environment:
    """``pip install -e .``, beside a stock lm-eval."""
    environment = make_environment()
    environment.see_installed_packages()
    environment.install("--editable", SOURCE)
    return environment


@pytest.fixture(params=["wheel", "editable"])
def environment(request: pytest.FixtureRequest) -> Environment:
    """Each of the two ways to install."""
    made: Environment = request.getfixturevalue(f"{request.param}_environment")
    return made
