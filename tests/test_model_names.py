"""What a model's name stands for, wherever it is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from l2_harness.engines.hf.loading import resolve_pretrained
from l2_harness.model_tokenizer import model_tokenizer
from l2_harness.paths import demo_model_path, is_on_disk, model_source


def test_demo_is_the_packaged_model_beside_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder ``demo`` is what ``compare demo --out demo`` leaves; as a model it is ``./demo``."""
    monkeypatch.chdir(tmp_path)
    for folder in ("demo", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text("{}")
    packaged = str(demo_model_path())
    assert model_source("demo") == resolve_pretrained("demo") == packaged
    vocabulary = AutoTokenizer.from_pretrained(packaged).get_vocab()
    assert model_tokenizer({"pretrained": "demo"}).get_vocab() == vocabulary
    assert model_source("./demo") == resolve_pretrained("./demo") == "./demo"
    assert model_source("other") == resolve_pretrained("other") == "other"
    assert [is_on_disk(name) for name in ("demo", "other", "no/where")] == [True, True, False]
