"""Weights that the user brings: which file is for which of the two nets."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from torch import nn

from mcdrop.errors import DataError, InputError
from mcdrop.networks import lenet, mlp
from mcdrop.weights import load_weights

__all__ = ["BUILDERS", "find_weights"]

BUILDERS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType({"mlp": mlp, "lenet": lenet})
"""What makes each net of the demo, by its name."""

ENDINGS = (".safetensors", ".pt", ".pth", ".bin")


def find_weights(places: Sequence[str | Path]) -> dict[str, Path]:
    """Return a file of weights for each net for which one was brought.

    Args:
        places: Files, each with the weights of one of the nets, told by their names and shapes; and folders, in which
            `net_mlp` and `net_lenet` are looked for, as the demos write them.

    Raises:
        DataError: If there is no such place, a folder holds neither, or a file cannot be read or is damaged.
        InputError: If a file fits neither net, or two are for the same.
    """
    found: dict[str, Path] = {}
    for place in map(Path, places):
        for name, file in (_look_in(place) if place.is_dir() else {_recognize(place): place}).items():
            if name in found:
                raise InputError(
                    f"weights must be one file for each net, got {found[name]} and {file} for the {name}; leave one out"
                )
            found[name] = file
    return found


def _look_in(folder: Path) -> dict[str, Path]:
    files = {
        name: next((file for ending in ENDINGS if (file := folder / f"net_{name}{ending}").is_file()), None)
        for name in BUILDERS
    }
    present = {name: file for name, file in files.items() if file is not None}
    if not present:
        raise DataError(
            f"{folder} must hold net_mlp or net_lenet with an ending of {', '.join(ENDINGS)}, got neither; name a "
            "folder that demo regularization or demo digits wrote, or the files themselves"
        )
    for name, file in present.items():
        load_weights(BUILDERS[name](), file)  # refused before any long work
    return present


def _recognize(file: Path) -> str:
    """Return the name of the net whose weights a file holds."""
    errors = []
    for name, build in BUILDERS.items():
        try:
            load_weights(build(), file)
            return name
        except InputError as error:
            errors.append(error)
    raise InputError(
        f"{file} must hold the weights of the 800-800 perceptron or of the LeNet, got neither: {errors[0]}"
    ) from errors[0]
