from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from l2_harness.analysis.norms.token_pieces import token_pieces
from l2_harness.analysis.norms.token_texts import TokenTexts, load_token_texts
from l2_harness.config.errors import ConfigError
from l2_harness.norms import TraceWriter
from l2_harness.paths import tasks_dir


@pytest.fixture(scope="module")
def of_bytes() -> Any:
    """One token a byte, as byte-level models have for what they never saw."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw)


@pytest.fixture(scope="module")
def with_prefix() -> Any:
    """Words with a mark for the space before them, dropped at a text's start, as Llama has them."""
    words = ["▁one", "▁two", "o", "▁", "<unk>"]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    raw.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=raw)


def test_pieces_join_to_the_text(tokenizer: Any) -> None:
    lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()[:20]
    for line in lines:
        ids = tokenizer.encode(json.loads(line)["question"], add_special_tokens=False)
        pieces = token_pieces(TokenTexts.of(tokenizer), ids)
        assert len(pieces) == len(ids)
        assert "".join(pieces) == tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("text", ["a", "naïve 你好 🙂!", "🙂", "x 🙂🙂 y", "� real", "ends 🙂"])
def test_a_character_of_several_tokens_belongs_to_its_last(of_bytes: Any, text: str) -> None:
    ids = of_bytes.encode(text, add_special_tokens=False)
    pieces = token_pieces(TokenTexts.of(of_bytes), ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == text
    if text == "🙂":
        assert pieces == ["", "", "", "🙂"]


def test_a_broken_end_stays_visible(of_bytes: Any) -> None:
    ids = of_bytes.encode("a🙂", add_special_tokens=False)[:-1]
    pieces = token_pieces(TokenTexts.of(of_bytes), ids)
    assert pieces[0] == "a"
    assert "".join(pieces) == of_bytes.decode(ids)


def test_spaces_survive_where_a_text_drops_its_first(with_prefix: Any) -> None:
    assert token_pieces(TokenTexts.of(with_prefix), [0, 1, 2, 1]) == ["one", " two", "o", " two"]


def test_a_tokenizer_that_is_not_there_is_named(tmp_path: Any) -> None:
    TraceWriter(tmp_path, "run").describe_run({"pretrained": str(tmp_path / "nowhere")})
    with pytest.raises(ConfigError, match="--tokenizer"):
        load_token_texts(tmp_path, "run")
    assert load_token_texts(tmp_path, "run", "demo").special


def test_the_tokenizer_of_a_gguf_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_prefix: Any
) -> None:
    asked: list[tuple[Any, ...]] = []

    def load(source: str, **named: Any) -> Any:
        asked.append((source, named))
        return with_prefix

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", load)
    writer = TraceWriter(tmp_path, "run")
    writer.describe_run({"pretrained": "folder", "gguf_file": "m.gguf", "revision": "main"})
    load_token_texts(tmp_path, "run")
    load_token_texts(tmp_path, "run", "other")
    plain = {"revision": "main", "trust_remote_code": False}
    assert asked == [("folder", {**plain, "gguf_file": "m.gguf"}), ("other", plain)]
