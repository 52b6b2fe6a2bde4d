"""What a file holds: variables with named axes, in the groups that ArviZ knows.

References:
    ArviZ developers. InferenceData schema specification (groups, "chain" and "draw", attributes).
    https://python.arviz.org/en/stable/schema/schema.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError, InputError

__all__ = ["FORMAT", "POINT", "Archive", "Block", "Group", "Variable", "checked"]

FORMAT = 1
"""Version of the layout; a file of a later one is refused."""

POINT = "point"
"""Name of the axis that counts the points; what is written block by block is joined along it."""

_GROUPS = (
    "posterior",
    "posterior_predictive",
    "predictions",
    "log_likelihood",
    "sample_stats",
    "prior",
    "prior_predictive",
    "observed_data",
    "constant_data",
    "predictions_constant_data",
)  # of those that both generations of ArviZ know


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """One array with the names of its axes.

    Attributes:
        dims: Name of each axis. Within a group one name stands for one length; draws lie on "chain" and "draw".
        values: The array: numbers, truth values or text.
        units: Its unit, "1" where there is none, empty where it is not known.
        long_name: What it is, in words, for the labels of plots and tables.
    """

    dims: tuple[str, ...]
    values: NDArray[Any]
    units: str = "1"
    long_name: str = ""


Group = Mapping[str, Variable]
"""Variables by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The contents of a file for some consecutive points, read when they are needed.

    Attributes:
        points: How many points there are in it; a block of none need not hold any variables.
        read: Gives the variables by group and name. May be called more than once.
    """

    points: int
    read: Callable[[], Mapping[str, Group]]


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """The contents of a file, in memory.

    Attributes:
        kind: Name of the class whose result it is.
        groups: Variables by group and name.
        attributes: Plain data about the whole, as it was given to `write`; tuples come back as lists.
        path: Where it was read, for messages.
    """

    kind: str
    groups: Mapping[str, Group]
    attributes: Mapping[str, Any]
    path: Path

    def variable(self, group: str, name: str) -> Variable:
        """Return a variable that has to be there.

        Raises:
            DataError: If it is not.
        """
        try:
            return self.groups[group][name]
        except KeyError as error:
            raise DataError(
                f"{self.path}: expected {name!r} in group {group!r} of a saved {self.kind}, got none; save it again"
            ) from error


def checked(group: str, variables: Group, labels: Mapping[str, NDArray[Any]]) -> dict[str, Variable]:
    """Return variables that can share a group of a file, their values as arrays.

    Args:
        group: Its name.
        variables: Variables by name.
        labels: Labels along some of the axes, by the axis's name.

    Raises:
        InputError: If they cannot.
    """
    if group not in _GROUPS:
        raise InputError(f"a group must be one that ArviZ knows, got {group!r}; choose of {', '.join(_GROUPS)}")
    sizes = {dim: len(values) for dim, values in labels.items()}
    arrays = {}
    for name, variable in variables.items():
        values = _real(f"variable {name!r} of group {group!r}", variable)
        for dim, size in zip(variable.dims, values.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise InputError(
                    f"axis {dim!r} of group {group!r} must have one length and as many labels, got {sizes[dim]} and "
                    f"{size} (variable {name!r}); give axes of different lengths different names"
                )
        arrays[name] = Variable(tuple(variable.dims), values, variable.units, variable.long_name)
    for name in (*sizes, *arrays):
        if not isinstance(name, str) or not name or "/" in name or (name in sizes and name in arrays):
            raise InputError(
                f"variables and axes of group {group!r} must have names of their own without '/', got {name!r}; "
                "rename one"
            )
    return arrays


def _real(where: str, variable: Variable) -> NDArray[Any]:
    """Return the values of a variable, if a file can hold them."""
    values = np.asarray(variable.values)
    if values.dtype.kind not in "fiubU" or (values.dtype.kind == "f" and values.dtype.itemsize > 8):
        raise InputError(f"{where} must hold real numbers, truth values or text, got {values.dtype}; convert it")
    if len(variable.dims) != values.ndim or len(set(variable.dims)) != values.ndim:
        raise InputError(
            f"{where} must have one name for each axis, got {tuple(variable.dims)} for shape {values.shape}; "
            "name every axis differently"
        )
    return values
