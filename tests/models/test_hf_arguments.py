"""What model_args lm-eval's ``hf`` runs with, ``l2hf`` runs with, to the same responses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM

from l2_harness.config import ConfigError
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.paths import tasks_dir

SETTINGS = {"until": ["."], "max_gen_toks": 8, "do_sample": False}
Answers = Callable[..., list[list[str]]]


@pytest.fixture(scope="module")
def folder(
    tiny_model: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A saved model; ``deep`` in it holds another one."""
    path = tmp_path_factory.mktemp("model")
    tiny_model("llama").save_pretrained(path)
    tokenizer.save_pretrained(path)
    shutil.copytree(path, path / "deep")
    tiny_model("llama", num_hidden_layers=3).save_pretrained(path / "deep")
    return path


@pytest.fixture
def answers(instances: Callable[..., list[Any]], prompts: list[str]) -> Answers:
    """``answers(pretrained, **args)``: those of hf, then those of l2hf."""
    requests = instances("generate_until", [(p, SETTINGS) for p in prompts[:3]])

    def run(pretrained: Any, **args: Any) -> list[list[str]]:
        common = {"device": "cpu", "batch_size": 3, **args}
        return [cls(pretrained, **common).generate_until(requests) for cls in (HFLM, L2HF)]

    return run


@pytest.mark.parametrize(
    "args",
    [
        {"num_labels": 3},
        {"name_or_path": "somewhere"},
        {"_attn_implementation": "eager"},
        {"attn_implementation": "eager"},
        {"num_hidden_layers": 3},
        {"max_position_embeddings": 64},
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
        {"tie_word_embeddings": True},
        {"code_revision": "main"},
        {"output_loading_info": False},
        {"mirror": "tuna"},
        {"from_tf": False, "_fast_init": True},
        {"truncation": "longest_first"},
        {"parallelize": "auto"},
        {"revision": 3},
        {"torch_dtype": "float64"},
        {"dtype": "float64", "softmax_dtype": "float32"},
        {"mixed_precision_dtype": "bfloat16"},
        {"think_end_token": "5"},
        {"subfolder": "deep"},
    ],
    ids=lambda args: ",".join(args),
)
def test_arguments(
    folder: Path,
    answers: Answers,
    args: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # parallelize makes a folder to offload to
    stock, ours = answers(str(folder), **args)
    assert ours == stock


def test_some_of_them_change_the_responses(folder: Path, answers: Answers) -> None:
    plain = answers(str(folder))[1]
    for args in ({"num_hidden_layers": 3}, {"tie_word_embeddings": True}, {"subfolder": "deep"}):
        assert answers(str(folder), **args)[1] != plain


def test_layers_are_those_that_model_args_leave(folder: Path) -> None:
    lm = L2HF(str(folder), device="cpu", num_hidden_layers=3, layers="all")
    assert lm.get_model_info()["l2"]["decoder_layers"] == 3
    with pytest.raises(ConfigError, match="the model has 3 decoder layers"):
        L2HF(str(folder), device="cpu", num_hidden_layers=3, layers="4")


class TestWhereTheModelLies:
    def test_in_a_subfolder_alone(self, folder: Path, answers: Answers, tmp_path: Path) -> None:
        shutil.copytree(folder / "deep", tmp_path / "below")
        stock, ours = answers(str(tmp_path), subfolder="below")
        assert ours == stock
        with pytest.raises(ConfigError, match=r"holds no config\.json, .* Subfolders .*: below: "):
            L2HF(str(tmp_path), device="cpu")
        with pytest.raises(ConfigError, match=r"holds no config\.json in its subfolder belw"):
            L2HF(str(tmp_path), device="cpu", subfolder="belw")

    def test_in_a_gguf_file(
        self,
        tiny_model: Callable[..., Any],
        folder: Path,
        answers: Answers,
        tmp_path: Path,
    ) -> None:
        """With a field of the configuration, and with an argument that nobody knows."""
        write_gguf(tiny_model("llama", tie_word_embeddings=False), tmp_path / "tiny.gguf")
        args = {"gguf_file": "tiny.gguf", "tokenizer": str(folder)}
        stock, ours = answers(str(tmp_path), **args, max_position_embeddings=64)
        assert ours == stock
        with pytest.raises(ConfigError, match="'num_hiden_layers'"):
            L2HF(str(tmp_path), device="cpu", **args, num_hiden_layers=2)
        with pytest.raises(ConfigError, match=r"It has tiny\.gguf: pass gguf_file="):
            L2HF(str(tmp_path), device="cpu")
        with pytest.raises(ConfigError, match=r"holds no tinny\.gguf"):
            L2HF(str(tmp_path), device="cpu", gguf_file="tinny.gguf")
        with pytest.raises(ConfigError, match=r"pretrained=.*,gguf_file=tiny\.gguf"):
            L2HF(str(tmp_path / "tiny.gguf"), device="cpu")


def test_a_misspelt_argument_where_the_configuration_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be the very one that says where the configuration is."""

    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("Unrecognized model")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", refuse)
    with pytest.raises(ConfigError, match="'gguf_flie'; did you mean 'gguf_file'"):
        L2HF("someone/model", device="cpu", gguf_flie="model.gguf")
    with pytest.raises(ValueError, match="Unrecognized model"):
        L2HF("someone/model", device="cpu", zzz=1)


def write_gguf(model: Any, path: Path) -> None:
    """A Llama model; its heads' dimensions lie otherwise in such a file, for both classes alike."""
    gguf = pytest.importorskip("gguf", reason="needs the gguf package")
    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    parts = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
        "model.layers.": "blk.",
    }
    for name, tensor in model.state_dict().items():
        for ours, theirs in parts.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, tensor.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class TestRecordingByDefault:
    """Where it cannot be, the model runs as with hf; where it was asked for, that's an error."""

    def test_one_layer(
        self,
        tiny_model: Callable[..., Any],
        tokenizer: Any,
        answers: Answers,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        model = tiny_model("llama", num_hidden_layers=1)
        stock, ours = answers(model, tokenizer=tokenizer)
        assert ours == stock
        assert "this model has only one: it is recorded" in caplog.text
        lm = L2HF(model, tokenizer=tokenizer, recursion="norm")
        assert lm.get_model_info()["l2"]["layers"] == [0]

    def test_encoder_decoder(
        self, tokenizer: Any, answers: Answers, caplog: pytest.LogCaptureFixture
    ) -> None:
        import torch
        from transformers import T5Config, T5ForConditionalGeneration

        torch.manual_seed(0)
        sizes: dict[str, Any] = {
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 32,
            "num_layers": 2,
            "num_heads": 2,
        }
        sizes |= {"vocab_size": len(tokenizer), "decoder_start_token_id": 0, "pad_token_id": 0}
        config = T5Config(**sizes)
        model = T5ForConditionalGeneration(config).eval()
        stock, ours = answers(model, tokenizer=tokenizer)
        assert ours == stock
        assert "nothing is recorded: l2hf records decoder-only models" in caplog.text
        with pytest.raises(ConfigError, match="decoder-only"):
            L2HF(model, tokenizer=tokenizer, record="summary")

    def test_layers_that_are_not_found(
        self,
        tiny_model: Callable[..., Any],
        tokenizer: Any,
        answers: Answers,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        model = tiny_model("llama")
        model.config.num_hidden_layers += 1  # no list of modules has that length
        stock, ours = answers(model, tokenizer=tokenizer, batch_size=1)
        assert ours == stock
        assert "nothing is recorded: The decoder layers of LlamaForCausalLM" in caplog.text
        with pytest.raises(ConfigError, match="layers_path="):
            L2HF(model, tokenizer=tokenizer, layers="all")


def test_the_command_shows_an_error_without_a_traceback() -> None:
    command = [sys.executable, "-m", "lm_eval", "--model", "l2hf", "--device", "cpu"]
    command += ["--model_args", "pretrained=demo", "--gen_kwargs", "max_gen_toks=99999"]
    command += ["--tasks", "l2_demo", "--include_path", str(tasks_dir()), "--limit", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: max_gen_toks=99999 (task l2_demo, document 0) leaves no")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "args", [{"pretrained": "demo", "device": "cpu"}, "pretrained=demo,device=cpu"]
)
def test_an_argument_that_lm_eval_passes_too(args: Any) -> None:
    make = L2HF.create_from_arg_obj if isinstance(args, dict) else L2HF.create_from_arg_string
    with pytest.raises(ConfigError, match="device is in model_args, and lm-eval passes its own"):
        make(args, {"device": "cpu", "batch_size": None})
    assert make(args, {"device": None, "batch_size": 2}).batch_size == 2
