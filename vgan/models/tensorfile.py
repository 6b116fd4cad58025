"""One safetensors file: named tensors, a JSON header, and a digest that tells a damaged file from a whole one.

The header is one metadata entry, because safetensors does not keep the order of several; so the same content is
always the same bytes.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from vgan.atomic import write_bytes

__all__ = ["DamagedFileError", "read", "read_header", "write"]

_KEY = "vgan"


class DamagedFileError(Exception):
    """The file is not one that `write` made, or not all of it; the message says in which way."""


def write(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
    """Write tensors (any device) and a JSON-able header to `path`, whole or not at all."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    entry = json.dumps({**header, "sha256": _digest(held, header)}, sort_keys=True)
    write_bytes(path, save(held, metadata={_KEY: entry}))


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and the header of `path`.

    Raises:
        DamagedFileError: the file is cut short, altered, or of another kind.
        OSError: it cannot be read at all.
    """
    header, digest = _header(path)
    try:
        tensors = load(path.read_bytes())
    except SafetensorError as error:
        raise DamagedFileError(f"it is no whole safetensors file ({error})") from None
    if _digest(tensors, header) != digest:
        raise DamagedFileError("its content does not match its digest")
    return tensors, header


def read_header(path: Path) -> dict[str, Any]:
    """The header of `path`, without reading the tensors, so not checked against the digest. Raises as `read` does."""
    return _header(path)[0]


def _header(path: Path) -> tuple[dict[str, Any], str]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise DamagedFileError(f"it is no whole safetensors file ({error})") from None
    if _KEY not in metadata:
        raise DamagedFileError(f"its metadata has no entry {_KEY!r}")
    try:
        header = json.loads(metadata[_KEY])
    except json.JSONDecodeError as error:
        raise DamagedFileError(f"its header is not JSON ({error})") from None
    if not isinstance(header, dict) or not isinstance(header.get("sha256"), str):
        raise DamagedFileError("its header has no digest")
    return header, header.pop("sha256")


def _digest(tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
