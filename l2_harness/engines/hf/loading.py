"""Which model a ``pretrained=`` names, looked at before any weights load."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2_harness.config import ConfigError
from l2_harness.model_tokenizer import trusts_code
from l2_harness.paths import model_source

_SAMPLED_BYTES = 1 << 16


def resolve_pretrained(pretrained: Any, args: Mapping[str, Any] | None = None) -> Any:
    """A path or hub name (or a loaded model, unchanged) that from_pretrained can take.

    Args:
        pretrained: as the user named it.
        args: the other arguments of the model, of which ``subfolder`` and ``gguf_file`` say
            where in a folder it lies.

    Raises:
        ConfigError: what looks like a local folder and is not one, or holds no model.
    """
    if not isinstance(pretrained, str):
        return pretrained
    pretrained = model_source(pretrained)
    if _looks_local(pretrained):
        pretrained = os.path.expanduser(pretrained)  # Path would make "demo" of "./demo"
        _check_local(Path(pretrained), args or {})
    return pretrained


def config_field_names(pretrained: Any, args: Mapping[str, Any]) -> set[str]:
    """What from_pretrained takes for fields of the model's configuration; reads no weights.

    It takes whatever the configuration has as an attribute, properties and aliases included;
    not read here, since some of them warn.
    """
    config = read_config(pretrained, args) if isinstance(pretrained, str) else pretrained.config
    return {*dir(config), *config.attribute_map}


def read_config(pretrained: str, args: Mapping[str, Any]) -> Any:
    """The model's configuration, as lm-eval's ``hf`` reads it."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(
        pretrained,
        revision=str(args.get("revision") or "main"),
        trust_remote_code=trusts_code(args),
        gguf_file=args.get("gguf_file"),
        subfolder=str(args.get("subfolder") or ""),
    )


def model_fingerprint(pretrained: Any, config: Any) -> str | None:
    """What tells a model's weights from others under the same name, read in no time.

    The commit of a model from the hub; of a local folder, a digest of the size, beginning and
    end of each weight file, which another training changes. None for a model object.
    """
    if not isinstance(pretrained, str):
        return None
    if not Path(pretrained).is_dir():
        return getattr(config, "_commit_hash", None)
    digest = hashlib.sha256()
    for pattern in ("*.safetensors", "*.bin", "*.gguf"):
        for path in sorted(Path(pretrained).glob(pattern)):
            digest.update(f"{path.name} {path.stat().st_size}".encode())
            with path.open("rb") as file:
                digest.update(file.read(_SAMPLED_BYTES))
                file.seek(max(0, path.stat().st_size - _SAMPLED_BYTES))
                digest.update(file.read())
    return digest.hexdigest()[:16]


def _looks_local(name: str) -> bool:
    return name.startswith((".", "~", os.sep)) or name.count("/") > 1 or Path(name).is_dir()


def _check_local(path: Path, args: Mapping[str, Any]) -> None:
    if path.is_file() and path.suffix == ".gguf":
        raise ConfigError(
            f"pretrained={str(path)!r} is a file. Pass its folder, and the file beside it: "
            f"pretrained={path.parent},gguf_file={path.name}."
        )
    if not path.is_dir():
        what = "is a file, not a folder" if path.is_file() else "does not exist"
        raise ConfigError(
            f"pretrained={str(path)!r} {what}. Pass a folder that save_pretrained wrote, "
            f"the name of a model on the hub (such as Qwen/Qwen3-0.6B), or demo."
        )
    if not os.access(path, os.R_OK | os.X_OK):
        raise ConfigError(f"pretrained={str(path)!r} cannot be read: check its permissions.")
    folder = path / str(args.get("subfolder") or "")
    wanted = [str(args["gguf_file"])] if args.get("gguf_file") else ["config.json", "params.json"]
    if not any((folder / name).is_file() for name in wanted):
        raise ConfigError(f"pretrained={str(path)!r} {_missing(path, folder, wanted[0])}")


def _missing(path: Path, folder: Path, wanted: str) -> str:
    """What a folder lacks, and what it has that the user may have meant."""
    where = "" if folder == path else f" in its subfolder {folder.relative_to(path)}"
    text = f"holds no {wanted}{where}, so it is not a model folder. "
    gguf = sorted(file.name for file in folder.glob("*.gguf"))
    if gguf:
        return f"{text}It has {', '.join(gguf)}: pass gguf_file= with one of them."
    below = sorted(file.parent.name for file in path.glob("*/config.json"))
    if below:
        return f"{text}Subfolders that are: {', '.join(below)}: pass subfolder= with one of them."
    return f"{text}Pass the folder that save_pretrained wrote."
