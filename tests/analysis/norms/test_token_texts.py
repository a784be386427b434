from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from l2_harness.analysis.norms.token_texts import TokenTexts, load_token_texts
from l2_harness.config.errors import ConfigError
from l2_harness.norms import TraceWriter
from l2_harness.paths import demo_model_path, tasks_dir


@pytest.fixture
def recorded(tmp_path: Path, tokenizer: Any, record: Callable[..., Any]) -> Callable[..., Path]:
    """``recorded(change)``: a run whose texts are the tokenizer's, changed."""

    def write(change: Callable[[str], str] = str) -> Path:
        writer = TraceWriter(tmp_path / "traces", "run")
        writer.describe_run({"pretrained": "demo"})
        lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()[:3]
        records = []
        for doc_id, line in enumerate(lines):
            ids = [tokenizer.eos_token_id, *tokenizer.encode(json.loads(line)["question"])]
            text = change(tokenizer.decode(ids, skip_special_tokens=True))
            rng = np.random.default_rng(doc_id)
            records.append(record(rng, len(ids), doc_id=doc_id, tokens=ids, text=text))
        writer.write(records)
        return tmp_path / "traces"

    return write


def test_the_file_and_transformers_give_the_same(tokenizer: Any) -> None:
    of_file = TokenTexts.of_file(demo_model_path() / "tokenizer.json")
    of_transformers = TokenTexts.of(AutoTokenizer.from_pretrained(demo_model_path()))
    assert of_file.special == of_transformers.special
    assert tokenizer.eos_token_id in of_file.special
    for ids in (range(len(tokenizer)), [tokenizer.eos_token_id], []):
        assert of_file.decode(list(ids)) == of_transformers.decode(list(ids))
        assert of_file.decode_plain(list(ids)) == of_transformers.decode_plain(list(ids))


def test_a_token_that_only_the_configuration_names_is_special(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((demo_model_path() / name).read_bytes())
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    vocabulary = AutoTokenizer.from_pretrained(demo_model_path()).get_vocab()
    config["mask_token"] = {"content": "7"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    texts = TokenTexts.of_file(tmp_path / "tokenizer.json")
    assert vocabulary["7"] in texts.special
    assert vocabulary["8"] not in texts.special


@pytest.mark.process
def test_a_file_that_gives_what_was_recorded_needs_no_transformers(
    recorded: Callable[..., Path],
) -> None:
    code = (
        "import sys; from l2_harness.analysis.norms.token_texts import load_token_texts as load; "
        f"load({str(recorded())!r}, 'run').decode([1]); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_that_gives_something_else_is_not_trusted(
    recorded: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace_dir = recorded(lambda text: text + " ")
    loaded: list[str] = []
    real = AutoTokenizer.from_pretrained

    def load(source: str, **options: Any) -> Any:
        loaded.append(source)
        return real(source, **options)

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", load)
    assert load_token_texts(trace_dir, "run").special
    assert loaded


def test_a_tokenizer_that_is_not_there_is_named(tmp_path: Path) -> None:
    TraceWriter(tmp_path, "run").describe_run({"pretrained": str(tmp_path / "nowhere")})
    with pytest.raises(ConfigError, match="--tokenizer"):
        load_token_texts(tmp_path, "run")
    assert load_token_texts(tmp_path, "run", "demo").special
