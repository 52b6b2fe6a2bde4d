"""Labels along axes: given as an array, or made piece by piece so that they need not be in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError

__all__ = ["Labels", "labels_of", "told"]

Labels = Callable[[int, int], NDArray[Any]]
"""Gives the labels of an axis from one position up to another."""


def labels_of(values: NDArray[Any]) -> Labels:
    """Return labels that are all there already in the form of those that are made when needed."""
    return lambda start, stop: values[start:stop]


def told(dim: str, values: ArrayLike | Labels, size: int) -> Labels:
    """Return labels in the form that is asked piece by piece.

    Args:
        dim: Name of the axis.
        values: One label per position, or a function that gives them, which is checked at every call.
        size: Length of the axis.

    Raises:
        InputError: If they are not as many as positions, or no numbers or texts.
    """
    if callable(values):
        return _checked(dim, values)
    array = np.asarray(values)
    if array.shape != (size,) or array.dtype.kind not in "iufU":
        raise InputError(
            f"axis {dim!r} must have one label per position, {size} numbers or texts, got shape {array.shape} of "
            f"{array.dtype}; give as many as there are points"
        )
    return labels_of(array)


def _checked(dim: str, labels: Labels) -> Labels:
    """Return the same labels, seen to be as many as were asked for and of one kind."""
    kinds = set[str]()

    def checked(start: int, stop: int) -> NDArray[Any]:
        array = np.asarray(labels(start, stop))
        if array.size:  # an empty list does not tell of what it is empty
            kinds.add("text" if array.dtype.kind == "U" else str(array.dtype))
        if array.shape != (stop - start,) or array.dtype.kind not in "iufU" or len(kinds) > 1:
            raise InputError(
                f"labels of axis {dim!r} must be numbers or texts of one kind, {stop - start} of them for positions "
                f"{start} to {stop}, got shape {array.shape} of {', '.join(sorted(kinds))}; give one per position"
            )
        return array

    return checked
