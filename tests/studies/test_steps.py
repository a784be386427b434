"""Steps: what is done is not run again, what changed is, and so is all that comes after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from l2_harness.studies import steps
from l2_harness.studies.steps import Step, StepFailedError, read_taken, run_step

#: Writes a line into a file of the study's folder each time that it is run.
SCRIPT = "from pathlib import Path; import sys; f = Path(sys.argv[1]).open('a'); f.write('ran\\n')"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``lm_eval FILE`` notes that it ran, ``l2-harness`` fails."""
    (tmp_path / "noting.py").write_text(SCRIPT, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(steps, "PROGRAMS", {"lm_eval": "noting", "l2-harness": "no_such_module"})


def runs(out: Path, name: str) -> int:
    file = out / name
    return len(file.read_text("utf-8").splitlines()) if file.is_file() else 0


def run_both(out: Path, first: str, second: str) -> None:
    key = run_step(Step("first", first), out).key
    run_step(Step("second", second), out, key)


def test_a_finished_step_is_not_run_again(tmp_path: Path) -> None:
    for _ in range(2):
        run_both(tmp_path, "lm_eval a.txt", "lm_eval b.txt")
    assert (runs(tmp_path, "a.txt"), runs(tmp_path, "b.txt")) == (1, 1)
    taken = read_taken(tmp_path, "first")
    assert taken is not None
    assert taken.done
    assert 0 <= taken.cpu <= 10 * taken.wall
    assert 1 < taken.peak_mib < 10_000


def test_a_changed_step_and_those_after_it_are_run_again(tmp_path: Path) -> None:
    run_both(tmp_path, "lm_eval a.txt", "lm_eval b.txt")
    run_both(tmp_path, "lm_eval a.txt", "lm_eval b.txt --more")
    assert (runs(tmp_path, "a.txt"), runs(tmp_path, "b.txt")) == (1, 2)
    run_both(tmp_path, "lm_eval a.txt --more", "lm_eval b.txt --more")
    assert (runs(tmp_path, "a.txt"), runs(tmp_path, "b.txt")) == (2, 3)


def test_a_changed_suite_is_run_again(tmp_path: Path) -> None:
    for text in ("limit: 1", "limit: 1", "limit: 2"):
        (tmp_path / "suite.yaml").write_text(text, "utf-8")
        run_step(Step("suite", "lm_eval a.txt suite.yaml"), tmp_path)
    assert runs(tmp_path, "a.txt") == 2


def test_a_failed_step_is_tried_again(tmp_path: Path) -> None:
    for attempt in (1, 2):
        with pytest.raises(StepFailedError, match="broken ended with status 1"):
            run_step(Step("broken", "l2-harness compare"), tmp_path)
        taken = read_taken(tmp_path, "broken")
        assert taken is not None
        assert (taken.done, taken.attempts) == (False, attempt)
    assert "no_such_module" in (tmp_path / "steps/broken.log").read_text("utf-8")
