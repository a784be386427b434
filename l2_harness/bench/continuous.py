"""transformers' own continuous batching, as a yardstick: no harness around it, nothing recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from l2_harness.bench.rounds import Way
from l2_harness.bench.workloads import Workload

if TYPE_CHECKING:
    from lm_eval.models.huggingface import HFLM

#: Tokens of a page of its cache.
_PAGE = 32


def continuous_batching(lm: HFLM, work: Workload) -> Way:
    """A way to decode the work's prompts by ``generate_batch``, as many at a time as others do.

    Args:
        lm: has the tokenizer and the device; its model is not touched, since this way of
            decoding exchanges the attention of its own.
        work: what is decoded.
    """
    from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig

    requests = work.requests(lm)
    prompts = [lm.tok_encode(request.args[0]) for request in requests]
    settings: dict[str, Any] = requests[0].args[1]
    model: Any = AutoModelForCausalLM.from_pretrained(work.model, dtype=lm.model.dtype)
    model = model.to(lm.device).eval()
    own = model.generation_config
    drawn = {"do_sample": True, "temperature": settings.get("temperature"), "top_k": 0}
    generation = GenerationConfig(
        **(drawn if settings["do_sample"] else {}),
        max_new_tokens=settings["max_gen_toks"],
        eos_token_id=own.eos_token_id,
        pad_token_id=own.pad_token_id,
    )
    longest = max(map(len, prompts)) + settings["max_gen_toks"]
    batching = ContinuousBatchingConfig(
        page_size=_PAGE,
        num_blocks=work.batch_size * (longest // _PAGE + 1),
        max_batch_tokens=max(512, max(map(len, prompts)), work.batch_size),
        max_requests_per_batch=work.batch_size,
        seed=0,
    )

    def run() -> None:
        done = model.generate_batch(prompts, generation, batching)
        if len(done) < len(prompts):
            raise RuntimeError(f"{len(prompts) - len(done)} of {len(prompts)} responses failed")

    return run
