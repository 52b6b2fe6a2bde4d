"""Plain data as the attributes of a file: numbers and one-line texts as they are, anything else as JSON."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from mcdrop.errors import InputError
from mcdrop.storage.archive import FORMAT

__all__ = ["decode", "encode", "own"]

_OWN = ("mcdrop_", "creation_library")  # how the names of the file's own attributes begin
_RESERVED = {"CLASS", "DIMENSION_LABELS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST"}  # those that NetCDF4 gives axes
_LONGEST = 256  # bytes: NetCDF's limit, far below that of HDF5


def own(kind: str) -> dict[str, Any]:
    """Return what a file says about itself: what it holds, how, and which versions made it.

    Args:
        kind: Name of the class whose result it is.
    """
    import torch

    try:
        release = version("mcdrop")
    except PackageNotFoundError:  # run from a checkout
        release = "unknown"
    return {
        "creation_library": "mcdrop",
        "creation_library_version": release,
        "creation_library_language": "Python",
        "mcdrop_kind": kind,
        "mcdrop_format": FORMAT,
        "mcdrop_python_version": platform.python_version(),
        "mcdrop_numpy_version": np.__version__,
        "mcdrop_torch_version": str(torch.__version__),
    }


def encode(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as HDF5 can hold them, and as `mcdrop_json` the names of those that became JSON.

    Raises:
        InputError: If a name cannot be used, or a value is no plain data.
    """
    stored: dict[str, Any] = {}
    as_json: list[str] = []
    for name, value in attributes.items():
        _refuse_name(name)
        stored[name] = value.item() if isinstance(value, np.generic) else value
        if not _fits_hdf5(stored[name]):
            as_json.append(name)
            stored[name] = _to_json(name, value)
    return stored | {"mcdrop_json": json.dumps(as_json)}


def decode(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that `encode` was given; the file's own are left out."""
    as_json = set(json.loads(stored["mcdrop_json"]))
    given = {name: value for name, value in stored.items() if not name.startswith(_OWN)}
    return {name: json.loads(value) if name in as_json else value for name, value in given.items()}


def _refuse_name(name: Any) -> None:
    """Refuse a name that an attribute cannot have."""
    if not isinstance(name, str) or not name.isprintable() or not name or name.startswith(("_", *_OWN)):
        raise InputError(
            "attributes must have one-line names that do not begin with '_', 'mcdrop_' or 'creation_library', "
            f"got {name!r}; rename it"
        )
    if name in _RESERVED:
        raise InputError(
            f"attributes must not have the names {', '.join(sorted(_RESERVED))}, which NetCDF4 keeps for itself, "
            f"got {name!r}; rename it"
        )
    if (size := len(name.encode())) > _LONGEST:
        raise InputError(
            f"attributes must have names of at most {_LONGEST} bytes, got {size} in {name[:20]!r}...; shorten it"
        )


def _fits_hdf5(value: Any) -> bool:
    if type(value) is int:
        return -(2**63) <= value < 2**63
    return type(value) is float or (type(value) is str and value.isprintable())  # HDF5 ends texts at a zero byte


def _to_json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"attribute {name!r} must be plain data (numbers, texts, lists, dicts), got {value!r}: {error}"
        ) from error


def _plain(value: Any) -> Any:
    """Return what JSON does not know as something that it knows."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no plain data")
