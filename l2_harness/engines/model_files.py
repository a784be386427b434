"""What the files of a model hold, told by digests that cost little: whether it is still the same.

Everything that decides a response counts: weights, adapters, configuration, generation settings,
tokenizer, code, and what techniques read (thresholds, directions). Names, sizes and contents do,
dates and places do not, so that a copy elsewhere is the same model. Files of up to 64 MiB are read
in whole. Of a larger safetensors file the header is, and a block out of the middle of every tensor;
of any other, blocks at equal distances. A change that spares all of these (a few values edited by
hand) is not seen; training is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from l2_harness.paths import expanded

_SMALL = 64 << 20
_REMEMBERED = 1 << 20
_BLOCK = 4 << 10
_DISTANCE = 8 << 20

#: Arguments that name a folder, a file or a repository of the hub, of any engine.
ROLES = (
    "pretrained",
    "peft",
    "delta",
    "lora_local_path",
    "tokenizer",
    "calibration",
    "steering_directions",
)

#: What stands before the commit of a repository of the hub, in place of a digest.
COMMIT = "commit "

_WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".h5", ".msgpack")
_OTHERS = (".json", ".model", ".jinja", ".py", ".tiktoken", ".spm", ".txt")
#: What training leaves beside a model, and what describes it.
_NOT_READ = frozenset(
    """all_results.json eval_results.json optimizer.bin optimizer.pt requirements.txt
    rng_state.pth scheduler.pt train_results.json trainer_state.json training_args.bin
    """.split()
)
#: Of each, one says where a repository of the hub lies in the cache.
_PROBES = ("config.json", "adapter_config.json", "tokenizer_config.json")


def model_files(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Role and file, such as ``pretrained/config.json`` → digest of what decides a response.

    A file that an argument names goes by its role alone.

    Args:
        arguments: of the model class; those of :data:`ROLES` count, with ``subfolder``,
            ``revision`` and ``cache_dir``. A repository of the hub, in the cache by then, counts
            by its commit. What is passed as an object has no files.
    """
    found: dict[str, str] = {}
    for role in ROLES:
        name = arguments.get(role)
        if not isinstance(name, str) or not name:
            continue
        folder = expanded(name)
        if folder.is_dir():
            found |= {f"{role}/{path}": digest for path, digest in _folder(folder, arguments, role)}
        elif folder.is_file():
            found[role] = file_digest(folder)
        elif commit := _commit(name, arguments):
            found[role] = COMMIT + commit
    return found


def _folder(folder: Path, arguments: Mapping[str, Any], role: str) -> Iterator[tuple[str, str]]:
    subfolder = str(arguments.get("subfolder") or "") if role == "pretrained" else ""
    for place in dict.fromkeys([folder, folder / subfolder]):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.is_file() and _decides(path.name):
                yield path.relative_to(folder).as_posix(), file_digest(path)


def _decides(name: str) -> bool:
    if name in _NOT_READ or name.lower().startswith(("readme", "license", ".")):
        return False
    return name.endswith((*_WEIGHTS, *_OTHERS))


def file_digest(path: Path) -> str:
    """16 hex digits of a file's size and content; of a large file, of samples of it."""
    stat = path.stat()
    # a suite asks for the same model once a cell
    read = _remembered if stat.st_size > _REMEMBERED else _digest
    return read(path, stat.st_size, stat.st_mtime_ns)


def _digest(path: Path, size: int, written: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _SMALL:
            digest.update(file.read())
        else:
            for start, length in _samples(file, path.suffix, size):
                file.seek(start)
                digest.update(file.read(length))
    return digest.hexdigest()[:16]


_remembered = lru_cache(maxsize=4096)(_digest)


def _samples(file: BinaryIO, suffix: str, size: int) -> Iterable[tuple[int, int]]:
    """Start and length of what is read of a large file."""
    if suffix == ".safetensors":
        header_end, tensors = _tensors(file)
        return [
            (0, header_end),
            *(
                (header_end + (start + end) // 2, min(_BLOCK, end - (start + end) // 2))
                for start, end in tensors
            ),
        ]
    last = max(0, size - _BLOCK)
    starts = [*range(0, last, _DISTANCE), last]
    return [(start, _BLOCK) for start in starts]


def _tensors(file: BinaryIO) -> tuple[int, list[tuple[int, int]]]:
    """Where a safetensors file's header ends, and where each tensor lies after it.

    The format: 8 bytes, the length of the JSON that follows and has ``data_offsets`` of each.
    """
    length = int.from_bytes(file.read(8), "little")
    header: dict[str, Any] = json.loads(file.read(length))
    spans = [entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"]
    return 8 + length, sorted((start, end) for start, end in spans)


def _commit(name: str, arguments: Mapping[str, Any]) -> str | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    revision = str(arguments.get("revision") or "main")
    for probe in _PROBES:
        try:
            path = try_to_load_from_cache(
                name, probe, cache_dir=arguments.get("cache_dir"), revision=revision
            )
        except HFValidationError:
            return None
        if isinstance(path, str):
            parts = Path(path).parts
            return parts[parts.index("snapshots") + 1] if "snapshots" in parts else None
    return None
