"""Nothing is fetched unless a user asks for it, and no code of a model's runs by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from l2_harness.paths import tasks_dir

#: Runs a command line in an interpreter in which every connection and look-up of a name fails.
GUARD = """
import os, socket, sys
def refused(*args, **kwargs):
    sys.stderr.write(f"NETWORK {args[-1] if args else kwargs}\\n")
    raise OSError("the network was asked for")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refused)
socket.getaddrinfo = socket.create_connection = socket.gethostbyname = refused
for name in [n for n in os.environ if n.endswith("OFFLINE")]:
    del os.environ[name]
program, *words = sys.argv[1:]
sys.argv = [program, *words]
if program == "lm_eval":
    from lm_eval.__main__ import cli_evaluate as main
else:
    from l2_harness.cli import main
main()
"""


@pytest.mark.process
@pytest.mark.slow
def test_the_embedded_model_needs_no_network(tmp_path: Path) -> None:
    run = [
        *["lm_eval", "--model", "l2hf", "--tasks", "l2_demo", "--include_path", str(tasks_dir())],
        *["--model_args", "pretrained=demo,record=tokens,trace_dir=traces", "--device", "cpu"],
        *["--apply_chat_template", "--limit", "2", "--gen_kwargs", "max_gen_toks=8"],
        *["--output_path", "out", "--log_samples"],
    ]
    analyse = ["l2-harness", "select", "traces", "--samples", "out", "--resamples", "5"]
    for words in (run, analyse):
        done = subprocess.run(
            [sys.executable, "-c", GUARD, *words], capture_output=True, text=True, cwd=tmp_path
        )
        assert "NETWORK" not in done.stderr, done.stderr[-2000:]
    assert list(tmp_path.glob("out/*/results_*.json"))


@pytest.mark.parametrize("value", [None, False, "false", "False", 0])
def test_code_of_a_model_runs_only_when_asked_for(
    value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoConfig, AutoTokenizer

    from l2_harness.engines.hf.loading import read_config
    from l2_harness.model_tokenizer import model_tokenizer

    asked: list[object] = []

    def pretended(name: str, **args: object) -> None:
        asked.append(args["trust_remote_code"])

    for kind in (AutoConfig, AutoTokenizer):
        monkeypatch.setattr(kind, "from_pretrained", pretended)
    args = {} if value is None else {"trust_remote_code": value}
    read_config(str(tmp_path), args)
    model_tokenizer({"pretrained": str(tmp_path), **args})
    read_config(str(tmp_path), {"trust_remote_code": "True"})
    assert asked == [False, False, True]
