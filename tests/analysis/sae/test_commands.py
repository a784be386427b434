"""The commands one after another, on a recorded run of a tiny model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from l2_harness.findings.section import find_sections

SETTINGS = {"until": [], "do_sample": False, "max_gen_toks": 24}


@pytest.fixture(scope="module")
def run(
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with model, traces and lm-eval's sample files of two tasks."""
    from l2_harness.models.hf.l2hf import L2HF

    folder = tmp_path_factory.mktemp("run")
    tiny_model("llama").save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    lm = L2HF(
        str(folder / "model"),
        device="cpu",
        batch_size=8,
        dtype="float32",
        layers="all",
        record="tokens",
        trace_dir=str(folder / "traces"),
    )
    (folder / "samples").mkdir()
    for task, ending in (("t", " Ben has"), ("t_direct", " So :")):
        asked = [f"Ada has {n} shells .{ending}" for n in range(12)]
        arguments = [(prompt, dict(SETTINGS)) for prompt in asked]
        lm.generate_until(instances("generate_until", arguments, task=task))
        lines = [
            {
                "doc_id": n,
                "doc": {"n": n},
                "target": "",
                "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": SETTINGS}},
                "resps": [["x"]],
                "filtered_resps": ["x"],
                "filter": "none",
                "metrics": [],
            }
            for n, prompt in enumerate(asked)
        ]
        name = f"samples_{task}_2026-01-01T00-00-00.000000.jsonl"
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "samples" / name).write_text(text, "utf-8")
    return folder


def invoke(*args: object) -> str:
    from l2_harness.cli.app import app

    result = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_from_traces_to_sections(run: Path, tmp_path: Path) -> None:
    states, saes, out = tmp_path / "states", tmp_path / "saes", tmp_path / "out"
    recorded = (run / "traces", "--samples", run / "samples")
    said = invoke("capture", *recorded, "--out", states, "--entropies")
    assert "24 responses" in said
    short = ("--steps", 60, "--batch", 32, "--k", 8, "--architecture", "topk")
    said = invoke("sae", "train", states, "--out", saes, "--layers", "1-3", *short)
    assert "layers 1 to 3 explain" in said
    said = invoke("sae", "load", "--sae", saes, "--states", states)
    assert said.count("topk, layer") == 3
    common = (states, "--sae", saes, "--out", out)
    said = invoke("sae", "features", *common, "--features", 3, "--draws", 2, "--injected", 4)
    assert "the model runs over 72 sequences" in said  # 3 layers, 3 features, 4 responses, twice
    assert "That takes about 1 minute." in said
    chosen = json.loads((out / "features.json").read_text("utf-8"))
    assert [len(one["selected"]) for one in chosen["layers"]] == [3, 3, 3]
    invoke("sae", "trend", *common, "--features", out, "--resamples", 50)
    invoke("sae", "correlate", *common, "--features", out / "features.json", "--resamples", 50)
    invoke("sae", "bound", states, "--sae", saes, "--out", out, "--features", out)
    said = invoke("sae", "directions", "--sae", saes, "--features", out, "--out", out / "d.npz")
    assert "reasoning features at layers 1+2+3" in said
    sections = find_sections(tmp_path)
    names = [
        "sae_quality",
        "sae_features",
        "sae_trend",
        "sae_correlate",
        "sae_bound",
        "sae_theorem",
    ]
    assert [section.name for section in sections] == names
    assert [section.order for section in sections] == [30, 31, 32, 33, 34, 35]
    for section in sections:
        assert section.findings
        assert section.caveats
        assert section.folder is not None
        for figure in section.figures:
            assert (section.folder / f"{figure.name}.png").stat().st_size > 5000
    tables = {t.name: t.frame for section in sections for t in section.tables}
    assert set(tables) == {
        *("quality", "scores", "injected_tokens", "trend", "within_layers", "across_layers"),
        *("beside_the_paper", "bound", "statement", "assumptions"),
    }
    assert len(tables["beside_the_paper"]) == 7
    assert len(tables["injected_tokens"]) == 9
    assert tables["bound"]["violations"].sum() == 0


@pytest.mark.process
def test_help_does_not_import_what_is_heavy() -> None:
    code = (
        "import sys; from l2_harness.cli.app import app\n"
        "from typer.testing import CliRunner\n"
        "result = CliRunner().invoke(app, ['sae', '--help']); assert result.exit_code == 0\n"
        "assert 'correlate' in result.output\n"
        "heavy = {'torch', 'sae_lens', 'pandas', 'scipy', 'matplotlib', 'lm_eval'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() == "[]"


def test_errors_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from l2_harness.cli import main

    args = ["l2-harness", "sae", "bound", str(tmp_path), "--sae", "x", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", args)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "holds no captured states" in capsys.readouterr().err
