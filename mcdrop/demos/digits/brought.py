"""Weights that the user brings: which file is for which of the two nets."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from torch import nn

from mcdrop.demos.recipe import rates_of
from mcdrop.errors import DataError, InputError
from mcdrop.networks import lenet, mlp
from mcdrop.weights import ENDINGS, load_weights

__all__ = ["BUILDERS", "find_weights"]

BUILDERS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType({"mlp": mlp, "lenet": lenet})
"""What makes each net of the demo, by its name."""


def find_weights(places: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """Return a file of weights for each net for which one was brought.

    Args:
        places: One or several: files, each with the weights of one of the nets, told by their names and shapes; and
            folders, in which `net_mlp` and `net_lenet` are looked for, as the demos write them.

    Raises:
        DataError: If there is no such place, a folder holds neither, or a file cannot be read or is damaged.
        InputError: If a file fits neither net, it was trained with other dropout, or two are for the same net.
    """
    found: dict[str, Path] = {}
    for place in map(Path, [places] if isinstance(places, str | Path) else places):
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
        _check_fit(name, file)  # refused before any long work
    return present


def _recognize(file: Path) -> str:
    """Return the name of the net whose weights a file holds."""
    errors: dict[str, InputError] = {}
    for name in BUILDERS:
        try:
            _check_fit(name, file)
            return name
        except _MisfitError as error:
            errors[name] = error
    reasons = "; ".join(f"as {name}: {error}" for name, error in errors.items())
    raise InputError(f"{file} must hold the weights of the 800-800 perceptron or of the LeNet, got neither ({reasons})")


class _MisfitError(InputError):
    """The weights are of another net."""


def _check_fit(name: str, file: Path) -> None:
    """Refuse weights that are not the net's, or that the file says were trained with other dropout."""
    if not file.exists():
        raise DataError(
            f"weights must be files or folders that are there, got {str(file)!r}; check the path, or run mcdrop demo "
            "regularization first"
        )
    if file.suffix not in ENDINGS:
        raise InputError(f"weights must end in one of {', '.join(ENDINGS)}, got {str(file)!r}; convert the file")
    net = BUILDERS[name]()
    try:
        about = load_weights(net, file)
    except InputError as error:
        raise _MisfitError(str(error)) from error
    recipe, expected = about.get("recipe"), rates_of(net)
    trained = recipe.get("rates") if isinstance(recipe, dict) else None
    if trained is not None and trained != expected:
        raise InputError(
            f"{file} must hold weights that were trained with dropout at the rates of the demo's {name}, {expected}, "
            f"got {trained}; its passes would mean nothing, so bring net_{name} in its place"
        )
