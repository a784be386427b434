"""Models and requests to measure decoding on; none of them needs a download."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from l2_harness.paths import demo_model_path, tasks_dir

#: Qwen3's shape at several sizes; the weights are random. The tiny one measures growth.
SHAPES: dict[str, dict[str, Any]] = {
    "qwen3-tiny": {
        "vocab_size": 1024,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
    },
    "qwen3-30m": {
        "vocab_size": 16384,
        "hidden_size": 384,
        "intermediate_size": 1152,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
    },
    "qwen3-0.6b": {
        "vocab_size": 151936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
    "qwen3-4b": {
        "vocab_size": 151936,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
    "qwen3-8b": {
        "vocab_size": 151936,
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
}
SAMPLES = 8
PROMPT_TOKENS = 512
MAX_NEW_TOKENS = 128
#: One token in this many ends a response of a random model, which prefers none: responses end
#: anywhere, half of them within the first third.
_END_EVERY = 64


@dataclass(frozen=True)
class Workload:
    """Something to decode.

    Attributes:
        name: as on the command line.
        model: folder of the model.
        requests: makes the requests for a model class that has loaded it.
        batch_size: responses side by side.
    """

    name: str
    model: Path
    requests: Callable[[HFLM], list[Instance]]
    batch_size: int


def greedy_demo(
    limit: int | None, batch_size: int, model: Path | None = None, max_new_tokens: int = 320
) -> Workload:
    """Greedy responses to the test problems of the embedded model, by it or by another model."""

    def requests(lm: HFLM) -> list[Instance]:
        lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()
        turns = [[{"role": "user", "content": json.loads(line)["question"]}] for line in lines]
        settings = {"until": [], "do_sample": False, "max_gen_toks": max_new_tokens}
        return _instances([lm.apply_chat_template(turn) for turn in turns[:limit]], settings, 1)

    return Workload("greedy", model or demo_model_path(), requests, batch_size)


def samples(folder: Path, n_prompts: int, batch_size: int) -> Workload:
    """Several samples of long random prompts, as a task with ``repeats`` asks for them."""
    prompts = _random_prompts(folder, n_prompts)
    settings = {
        "until": [],
        "do_sample": True,
        "temperature": 1.0,
        "max_gen_toks": MAX_NEW_TOKENS,
    }

    def requests(lm: HFLM) -> list[Instance]:
        return _instances(prompts, settings, SAMPLES)

    return Workload("samples", folder, requests, batch_size)


def long_prompts(
    folder: Path,
    name: str,
    batch_size: int,
    prompt_tokens: int = PROMPT_TOKENS,
    new_tokens: int = MAX_NEW_TOKENS,
) -> Workload:
    """Greedy responses of one length to long random prompts, twice as many as side by side."""
    prompts = _random_prompts(folder, max(8, 2 * batch_size), prompt_tokens)
    settings = {"until": [], "do_sample": False, "max_gen_toks": new_tokens}
    return Workload(name, folder, lambda lm: _instances(prompts, settings, 1), batch_size)


def _random_prompts(folder: Path, n: int, tokens: int = PROMPT_TOKENS) -> list[str]:
    rng = random.Random(0)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    return [" ".join(f"w{rng.randrange(1, size)}" for _ in range(tokens)) for _ in range(n)]


def random_model(shape: str, folder: Path, ends: bool = True, **changes: int) -> Path:
    """Write a model of one of :data:`SHAPES` and a tokenizer of one word a token.

    Args:
        shape: which.
        folder: where to.
        ends: whether some of its tokens end a response.
        **changes: fields of the configuration in place of the shape's.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    sizes = {**SHAPES[shape], **changes}
    config = Qwen3Config(
        **sizes, tie_word_embeddings=True, max_position_embeddings=16384, bos_token_id=None
    )
    on_gpu = torch.cuda.is_available()
    with torch.device("cuda" if on_gpu else "cpu"):
        dtype = torch.bfloat16 if on_gpu else torch.float32
        model = Qwen3ForCausalLM._from_config(config, dtype=dtype)
    if ends:
        model.generation_config.eos_token_id = list(range(0, sizes["vocab_size"], _END_EVERY))
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    _word_tokenizer(sizes["vocab_size"]).save_pretrained(folder)
    return folder


def _word_tokenizer(size: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    # the end is no word: the model, which has no weights for it, never says it
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="w0", padding_side="left"
    )


def _instances(prompts: list[str], settings: dict[str, Any], repeats: int) -> list[Instance]:
    """The requests as lm-eval lists them: an Instance once a repeat."""
    made = [
        Instance("generate_until", {}, (prompt, settings), 0, metadata=("bench", doc_id, repeats))
        for doc_id, prompt in enumerate(prompts)
    ]
    return [instance for instance in made for _ in range(repeats)]


def deep_demo_model(layers: int, folder: Path) -> Path:
    """Write the embedded model with layers added that leave the residual stream as it is."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    small: Any = AutoModelForCausalLM.from_pretrained(demo_model_path(), dtype=torch.float32)
    config = type(small.config).from_pretrained(demo_model_path())
    own = config.num_hidden_layers
    config.num_hidden_layers = layers
    config.layer_types = config.layer_types[:1] * layers
    deep: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    deep.load_state_dict(small.state_dict(), strict=False)
    with torch.no_grad():
        for layer in deep.model.layers[own:]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    deep.generation_config = small.generation_config
    deep.save_pretrained(folder)
    AutoTokenizer.from_pretrained(demo_model_path()).save_pretrained(folder)
    return folder
