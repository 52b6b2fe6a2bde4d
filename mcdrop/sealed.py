"""Sealed files: named tensors and plain data about them under one checksum, as safetensors, so that no code ever runs.

All that is no tensor is one JSON text in the header, under the key "mcdrop": `{"about": ..., "sha256": ...}`. The
checksum is over that data and over the name, type, shape and bytes of every tensor. There is one key because
safetensors promises no order among several; so equal contents are equal bytes.

References:
    Hugging Face (2022). Safetensors: a simple and safe way to store tensors.
    https://huggingface.co/docs/safetensors (section Format).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mcdrop.errors import DataError, InputError
from mcdrop.files import write_whole

__all__ = ["checksum", "plain", "read_sealed", "write_sealed"]

_KEY = "mcdrop"


def write_sealed(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, advice: str) -> None:
    """Write tensors and what is to be known about them, whole or not at all.

    Args:
        path: The file; an old one is replaced once the new one is complete.
        tensors: Tensors by name, on any device; those that share memory are written one by one.
        about: Plain data: what JSON can hold, no NaN among it.
        advice: What to do when the file cannot be written; ends the error message.

    Raises:
        InputError: If `about` is no plain data, or a tensor is of a kind that the format lacks.
        OutputError: If the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save

    known = plain(about)
    try:
        ready = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        text = json.dumps({"about": known, "sha256": checksum(known, ready)}, sort_keys=True)
        data = save(ready, {_KEY: text})
    except (SafetensorError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"expected dense tensors of types that safetensors has, got others ({_in_one_line(error)}); convert them"
        ) from error
    write_whole(path, lambda partial: partial.write_bytes(data), advice=advice)


def read_sealed(path: Path, *, advice: str) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Read a file of tensors and see that it is what was written.

    Args:
        path: A safetensors file.
        advice: What to do when it is damaged; ends the error message.

    Returns:
        The tensors by name, on the CPU, and what is known about them: None if it was not written here, so that there
        is no checksum either.

    Raises:
        DataError: If there is no such file, it is no safetensors file, or it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path} must be a safetensors file, got {what}; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if _KEY not in header:
            return tensors, None
        seal = json.loads(header[_KEY])
        about, expected = dict(seal["about"]), seal["sha256"]
        found = checksum(about, tensors)
    except (SafetensorError, OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} must be a whole safetensors file, got one that cannot be read ({_in_one_line(error)}); {advice}"
        ) from error
    if found != expected:
        raise DataError(f"{path} must be as it was written, got a file whose checksum differs; {advice}")
    return tensors, about


def checksum(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of plain data and of every tensor's name, type, shape and bytes, in hexadecimal.

    Args:
        about: Plain data; the order of its keys does not count.
        tensors: Tensors by name, on any device; their order does not count.

    Example:
        >>> import torch
        >>> checksum({}, {"x": torch.ones(2)}) == checksum({}, {"x": torch.ones(2, 1)})
        False
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def plain(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return data as it comes back from a file: JSON's own types, so that a tuple is a list.

    Raises:
        InputError: If JSON cannot hold it.
    """
    try:
        known = json.loads(json.dumps(about, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"about must hold texts, finite numbers, lists and dicts, got what JSON cannot hold: {error}; convert it"
        ) from error
    if not isinstance(known, dict):
        raise InputError(f"about must be a mapping, got {type(about).__name__}; name what it says")
    return known


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
