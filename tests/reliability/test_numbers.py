"""Numbers that are none: told with layer, task and document, while the other responses go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from l2_harness.norms import read_traces

SETTINGS = {"until": [], "max_gen_toks": 6, "do_sample": False}


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_response_without_numbers(
    batch_size: int,
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from l2_harness.models.hf.l2hf import L2HF

    def answers(model: Any, folder: Path) -> list[str]:
        lm = L2HF(
            model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            layers="all",
            record="tokens",
            trace_dir=str(folder),
            recursion="norm",
            threshold_warmup=2,
        )
        asked = [*prompts[:2], "Lena", *prompts[2:3]]
        requests = instances("generate_until", [(p, dict(SETTINGS)) for p in asked])
        return [str(answer) for answer in lm.generate_until(requests, disable_tqdm=True)]

    model = tiny_model("llama").double()
    expected = answers(model, tmp_path / "whole")
    (only,) = set(tokenizer("Lena")["input_ids"]) - set(tokenizer(" ".join(prompts))["input_ids"])
    model.get_input_embeddings().weight.data[only] = torch.inf
    found = answers(model, tmp_path / "broken")
    told = [r.getMessage() for r in caplog.records if "not finite" in r.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("task t, document 2, sample 0: the logits at token 1 are not finite")
    assert "not finite from layer 0 on" in told[0]
    assert [a for n, a in enumerate(found) if n != 2] == [
        a for n, a in enumerate(expected) if n != 2
    ]
    traces = read_traces(tmp_path / "broken").set_index("doc_id")
    assert traces.finish_reason[2] == "length"
    assert not np.isfinite(traces.norms[2]).any()
    assert all(np.isfinite(norms).all() for n, norms in traces.norms.items() if n != 2)
