"""Weights of a net in a file: written as safetensors with a checksum, read back without running any code."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mcdrop.errors import DataError, InputError
from mcdrop.sealed import read_sealed, write_sealed

__all__ = ["ENDINGS", "is_checkpoint", "load_weights", "read_about", "save_weights", "tensors_of"]

_OURS = ".safetensors"
_TORCH = (".pt", ".pth", ".bin")

ENDINGS = (_OURS, *_TORCH)
"""How the names of files of weights may end."""

_WRAPPERS = ("model.", "module.", "_orig_mod.")
_NESTED = ("state_dict", "model_state_dict", "model")
_AGAIN = "make or fetch it again"
_NAMED = 3  # of the names that do not fit, this many are told


def save_weights(net: nn.Module, path: str | Path, *, about: Mapping[str, Any] | None = None) -> None:
    """Write a net's parameters and buffers to a safetensors file, whole or not at all.

    The same net and the same `about` give the same bytes. Weights that two modules share are written under both names.

    Args:
        net: Any module, on any device.
        path: The file, its name ending in ".safetensors"; an old one is replaced, its folder is made if need be.
        about: Plain data to be kept with the weights, such as the options of the training: what JSON can hold.

    Raises:
        InputError: If the path ends otherwise, `about` is no plain data, or the net's state is not made of tensors.
        OutputError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> from torch import nn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_weights(nn.Linear(2, 1), f"{folder}/net.safetensors", about={"lr": 0.1})
        ...     load_weights(nn.Linear(2, 1), f"{folder}/net.safetensors")
        {'lr': 0.1}
    """
    place = _as_path(path)
    if place.suffix != _OURS:
        raise InputError(f"path must end in {_OURS}, got {str(place)!r}; rename it")
    write_sealed(place, tensors_of(net), about or {}, advice="choose a writable folder with enough space")


def load_weights(net: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load weights from a file into a net, all of them or none.

    Read are safetensors files, whoever wrote them, and torch's own: a state dict, or one under the key "state_dict",
    "model_state_dict" or "model". If all names in the file start with "model.", "module." or "_orig_mod.", which
    wrappers put there, and none of the net's do, that is cut off. Of weights that the net shares between modules, one
    name is enough.

    Args:
        net: Gets the weights, in its own dtype and on its own device.
        path: The file, its name ending in ".safetensors", ".pt", ".pth" or ".bin".

    Returns:
        What `save_weights` was told about them; empty for other files.

    Raises:
        DataError: If there is no such file, it is damaged, holds more than weights, or a number in it is not finite.
            Infinities that the net itself holds in the same place, such as those of a mask, are let through.
        InputError: If the path ends otherwise, or names, shapes or types of the weights are not those of the net.
    """
    place = _as_path(path)
    tensors, about = _read(place)
    net.load_state_dict(_fitted(tensors_of(net), tensors, place), strict=False)  # all names are known to be there
    return about


def read_about(path: str | Path) -> dict[str, Any]:
    """Return what `save_weights` was told about the weights in a file, after a look at the file's checksum.

    Raises:
        DataError: If there is no such file, or it is damaged.
        InputError: If the path ends otherwise.
    """
    return _read(_as_path(path))[1]


def tensors_of(net: nn.Module) -> dict[str, Tensor]:
    """Return the net's state, parameters and buffers by name; they share memory with it.

    Raises:
        InputError: If the state holds something else than tensors with values.
    """
    state: dict[str, Any] = net.state_dict(keep_vars=True)
    for name, value in state.items():
        if not isinstance(value, Tensor) or is_lazy(value) or value.is_meta:
            got = "a tensor without values" if isinstance(value, Tensor) else type(value).__name__
            raise InputError(
                f"the net's state must be made of tensors, got {got} for {name}; run a lazy net once on data, and keep "
                "other things outside its state"
            )
    return state


def _as_path(path: str | Path) -> Path:
    if not isinstance(path, str | Path) or "\0" in str(path):
        raise InputError(f"path must be a str or a pathlib.Path that names a file, got {path!r}; give its name")
    return Path(path)


def is_checkpoint(about: Mapping[str, Any] | None) -> bool:
    """Tell by what is known about a file of tensors whether it is a checkpoint of `mcdrop.training.fit`."""
    state = (about or {}).get("training")
    return isinstance(state, dict) and {"run", "done", "monitored"} <= state.keys()


def _read(place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if place.suffix not in ENDINGS:
        raise InputError(f"path must end in one of {', '.join(ENDINGS)}, got {str(place)!r}; convert the file")
    if not place.is_file():
        what = "a folder" if place.is_dir() else "no such file"
        raise DataError(f"{place} must be a file of weights, got {what}; check the path")
    if place.suffix in _TORCH:
        return _read_torch(place), {}
    tensors, about = read_sealed(place, advice=_AGAIN)
    if is_checkpoint(about):
        raise DataError(
            f"{place} must hold the weights of a net alone, got a checkpoint of its training; resume it with "
            "fit(..., resume=True), or take the file that was written at the end"
        )
    return tensors, about or {}


def _read_torch(place: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of a damaged file, the errors below say
            content = torch.load(place, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail in any way
        if _names_code(place, error):
            raise DataError(
                f"{place} was refused, since it holds more than weights: to read it would run code; save "
                "net.state_dict() alone, or use save_weights"
            ) from error
        raise DataError(
            f"{place} must be a file of weights, got one that cannot be read ({type(error).__name__}); {_AGAIN}"
        ) from error
    if isinstance(content, dict):
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise DataError(f"{place} must hold tensors by name, got something else; save net.state_dict() alone")
    return dict(content)


def _names_code(place: Path, error: Exception) -> bool:
    """Tell a pickle that names classes or functions other than torch's own for tensors; nothing of it is run."""
    told = any(word in str(error) for word in ("GLOBAL", "Can only", "TorchScript"))
    with place.open("rb") as file:
        return told or file.read(2) in (b"\x80\x03", b"\x80\x04", b"\x80\x05")  # a plain pickle; torch's are older


def _fitted(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], place: Path) -> dict[str, Tensor]:
    """Return the tensors under the net's names and in its dtypes, once every one is known to fit."""
    tensors = _unwrapped(tensors, own)
    shared = {id(own[name]) for name in tensors if name in own}
    missing = [name for name in own if name not in tensors and id(own[name]) not in shared]
    unknown = [name for name in tensors if name not in own]
    if missing or unknown:
        found = [f"{what} {_first(names)}" for what, names in (("no", missing), ("unknown", unknown)) if names]
        raise InputError(f"{place} must hold this net's weights, got {' and '.join(found)}; build the net they are of")
    _check_shared(own, tensors, place)
    return {name: _cast(name, tensor, own[name].detach(), place) for name, tensor in tensors.items()}


def _check_shared(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], place: Path) -> None:
    """Refuse two values for one tensor of the net."""
    first: dict[int, str] = {}
    for name, tensor in tensors.items():
        other = first.setdefault(id(own[name]), name)
        if name != other and not torch.equal(tensor, tensors[other]):
            raise InputError(
                f"{place} must hold the same numbers as {other} and {name}, which this net shares, got different ones; "
                "build the net they are of"
            )


def _unwrapped(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    for prefix in _WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            if not any(name.startswith(prefix) for name in own):
                return _unwrapped({name.removeprefix(prefix): tensor for name, tensor in tensors.items()}, own)
    return tensors


def _cast(name: str, tensor: Tensor, held: Tensor, place: Path) -> Tensor:
    expected, got = (f"{_kind(value)} of shape {tuple(value.shape)}" for value in (held, tensor))
    if expected != got:
        raise InputError(f"{place} must hold {name} as {expected}, got {got}; build the net they are of")
    value = tensor.to(held.dtype)
    if not tensor.is_floating_point() and not tensor.is_complex() and not torch.equal(value.to(tensor.dtype), tensor):
        raise DataError(f"{place} must hold {name} in the range of {held.dtype}, got numbers outside it; save it again")
    if not bool(value.isfinite().all()):
        if bool((~value.isfinite() & (value != held.cpu())).any()):
            raise DataError(
                f"{place} must hold finite weights, got NaN or infinity in {name} as {held.dtype}; train the net again"
            )
    return value


def _kind(value: Tensor) -> str:
    if value.is_complex():
        return "complex numbers"
    return "real numbers" if value.is_floating_point() else "whole numbers"


def _first(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
