"""From the columns of a Ray data set to what a net takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError, InputError
from mcdrop.sources import Block

__all__ = ["Batch", "check_columns", "inputs_of", "refuse_gaps"]

Batch = Mapping[str, NDArray[Any]]
"""Rows of Ray Data: columns by name."""

_NAMED = 5  # of the rows with NaN, this many are told


def check_columns(columns: Sequence[str] | None) -> None:
    """Refuse what are no names of columns.

    Raises:
        InputError: If it is a text, holds something else than texts, or one twice.
    """
    if columns is None:
        return
    names = [] if isinstance(columns, str) else list(columns)
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(
            f"columns must be different names such as ['a', 'b'], got {columns!r}; or leave them out for all"
        )


def inputs_of(batch: Batch, columns: Sequence[str] | None) -> Block:
    """Return rows as the net takes them, in arrays that may be written to.

    Args:
        batch: Columns by name, the rows on the first axis.
        columns: Those to take, or None for all.

    Returns:
        Columns of plain numbers side by side, shape (n, C), also if C = 1; a single column of arrays as it is; several
        columns with arrays among them by name, as keyword inputs.

    Raises:
        InputError: If a column is not there, or holds no numbers in arrays of one shape.

    Example:
        >>> inputs_of({"a": np.ones(3), "b": np.zeros(3), "id": np.arange(3)}, ["a", "b"]).shape
        (3, 2)
    """
    names = list(batch) if columns is None else list(columns)
    missing = [name for name in names if name not in batch]
    if missing or not names:
        raise InputError(
            f"columns must be some of the data set's, {', '.join(batch)}, got {', '.join(missing) or 'none'}; choose "
            "others"
        )
    chosen = {name: _numbers(name, batch[name]) for name in names}
    if all(values.ndim == 1 for values in chosen.values()):
        return np.stack(list(chosen.values()), axis=1)
    written = {name: values if values.flags.writeable else values.copy() for name, values in chosen.items()}
    return written[names[0]] if len(names) == 1 else written


def refuse_gaps(gaps: NDArray[np.bool_], start: int) -> None:
    """Refuse rows that hold NaN.

    Args:
        gaps: Which rows of a block do, shape (n,).
        start: The number of the first of them.

    Raises:
        DataError: If there are any.
    """
    rows = np.flatnonzero(gaps) + start
    if len(rows):
        told = ", ".join(f"{row:,}" for row in rows[:_NAMED]) + (", ..." if len(rows) > _NAMED else "")
        raise DataError(
            f"dataset must not hold NaN, got it in row{'s' * (len(rows) > 1)} {told} (counted from 0); impute them, or "
            "leave them out with dataset.filter"
        )


def _numbers(name: str, values: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind == "O":  # arrays in lists, which are of one shape where they can be put together
        try:
            array = np.stack([np.asarray(value) for value in array])
        except ValueError as error:
            raise InputError(
                f"column {name!r} must hold arrays of one shape, got others ({error}); resize or pad them"
            ) from error
        if array.dtype.kind == "O" and all(value is None or isinstance(value, float) for value in array.flat):
            array = array.astype(np.float64)  # a column of numbers some of which are missing
    if array.dtype.kind not in "biuf":
        raise InputError(f"column {name!r} must hold numbers, got {array.dtype}; choose others with columns=[...]")
    return array
