"""What a file of inputs holds: how many rows, and the shape and type of a row of each array."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcdrop.errors import DataError

__all__ = ["Contents", "RowType", "common_length", "first_few", "native", "row_type"]


@dataclass(frozen=True, slots=True)
class RowType:
    """What one row of an array is.

    Attributes:
        shape: Its shape, without the axis of rows.
        dtype: Its type, in the byte order of this machine.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    Attributes:
        rows: Number of rows N.
        arrays: What a row of each array is, by the array's name.
        by_name: Whether the arrays are keyword inputs of the net; else there is one, its only positional input.
    """

    rows: int
    arrays: Mapping[str, RowType]
    by_name: bool = False


def row_type(shape: Sequence[int], dtype: np.dtype[Any], *, place: Path, what: str) -> RowType:
    """Return what a row of an array is, if the array holds numbers in rows.

    Args:
        shape: Of the whole array.
        dtype: Of the whole array.
        place: The file, for messages.
        what: What the array is called, for messages.

    Raises:
        DataError: If it holds something else than numbers and truth values, has no axes, or rows without values.
    """
    if dtype.kind not in "biufc":
        got = "texts or other objects" if dtype.kind == "O" else str(dtype)
        raise DataError(f"{place}: expected numbers in {what}, got {got}; turn texts and dates into numbers first")
    if len(shape) == 0:
        raise DataError(
            f"{place}: expected rows on the first axis of {what}, got a single number without axes; name an array "
            "that has rows, with ::name"
        )
    if 0 in shape[1:]:
        raise DataError(f"{place}: expected values in the rows of {what}, got shape {tuple(shape)}; write it again")
    return RowType(tuple(int(length) for length in shape[1:]), native(dtype))


def common_length(lengths: Mapping[str, int], *, place: Path) -> int:
    """Return the number of rows of all arrays.

    Args:
        lengths: The rows of each array, by its name.
        place: The file, for messages.

    Raises:
        DataError: If they differ.
    """
    if len(set(lengths.values())) > 1:
        listed = first_few([f"{name} {length:,}" for name, length in lengths.items()])
        raise DataError(f"{place}: expected the same number of rows in all arrays, got {listed}; name one with ::name")
    return next(iter(lengths.values()))


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a numeric type in the byte order of this machine, without what HDF5 notes beside it."""
    return np.dtype(dtype.newbyteorder("=").str)


def first_few(names: Sequence[str], *, most: int = 12) -> str:
    """Return names as a list for a message, cut when there are many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or "none"
