"""Some of the cases of ``ranks.py``, and processes of which one has no number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ranks
from outcomes import differences


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["samples, 3", "rank 1 of 2 killed, then 2", "2 under torchrun and Ctrl-C, then 2"]
)
def test_ranks(name: str, tmp_path: Path) -> None:
    expected = ranks.wholes([ranks.CASES[name][0]], tmp_path)
    assert ranks.check(name, expected, tmp_path)["faults"] == []


TASK = """
task: asked
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: [], max_gen_toks: 5, do_sample: false}
"""


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(("broken", "ends_well"), [([1], True), ([0, 1], False)], ids=str)
def test_a_process_whose_only_document_has_no_number(
    broken: list[int],
    ends_well: bool,
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    tmp_path: Path,
) -> None:
    """Two processes end as one does that has both documents."""
    asked = ["Ada has 3 shells", "Ben has 3 shells"]
    model = tiny_model("llama").double()
    ids = {i for n in broken for i in tokenizer(asked[n].split()[0])["input_ids"]}
    model.get_input_embeddings().weight.data[[*ids]] = float("nan")
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"question": q, "answer": "3"}) + "\n" for q in asked))
    (tmp_path / "asked.yaml").write_text(TASK.replace("DATA", str(data)))
    args = f"pretrained={tmp_path / 'model'},dtype=float64,record=tokens,trace_dir=traces"
    words = ["--model", "l2hf", "--model_args", args, "--include_path", str(tmp_path)]
    words += ["--tasks", "asked", "--device", "cpu", "--output_path", "out", "--log_samples"]
    found = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        status, _ = ranks.run(ranks.Step(processes), words, folder)
        log = (folder / ranks.LOG).read_text("utf-8", "replace")
        assert (status == 0) == ends_well, log[-2000:]
        assert f"document {broken[0]}, sample 0: the logits at token 1 are not finite" in log
        assert ("error: the model gives no numbers" in log) != ends_well
        found.append(ranks.found(folder) if ends_well else {})
    assert not differences(*found)
