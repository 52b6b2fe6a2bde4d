"""Blocks of rows: one array or arrays by name, how many rows they have, which hold NaN, and some of them."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError

__all__ = ["Block", "nan_rows", "rows_of", "select_rows"]

Block: TypeAlias = NDArray[Any] | dict[str, NDArray[Any]]
"""Consecutive rows: an array for the net's one positional input, or arrays by the names of its keyword inputs."""


def rows_of(x: Block) -> int:
    """Return the number of rows n of a block.

    Args:
        x: An array of shape (n, ...), or such arrays by name.

    Raises:
        InputError: If there is no array, one has no axes, or they differ in length.

    Example:
        >>> rows_of({"a": np.zeros((3, 2)), "b": np.zeros(3)})
        3
    """
    arrays = _arrays(x)
    if not arrays or any(array.ndim == 0 for array in arrays):
        raise InputError("a block must hold arrays with the rows on their first axis, got none; read it from a source")
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise InputError(f"the arrays of a block must have the same number of rows, got {sorted(lengths)}; cut them")
    return lengths.pop()


def nan_rows(x: Block) -> NDArray[np.bool_]:
    """Tell which rows of a block hold NaN, in any of its floating or complex arrays.

    Args:
        x: An array of shape (n, ...), or such arrays by name.

    Returns:
        Shape (n,), True where the row holds NaN.

    Raises:
        InputError: If x is no block.

    Example:
        >>> nan_rows(np.array([[1.0, 2.0], [np.nan, 3.0]]))
        array([False,  True])
    """
    found = np.zeros(rows_of(x), dtype=np.bool_)
    for array in _arrays(x):
        if array.dtype.kind in "fc":
            found |= np.isnan(array).any(axis=tuple(range(1, array.ndim)))
    return found


def select_rows(x: Block, keep: ArrayLike) -> Block:
    """Return some rows of a block.

    Args:
        x: An array of shape (n, ...), or such arrays by name.
        keep: Shape (n,), True for the rows to keep; or their places, as integers.

    Returns:
        The same form as x, with those rows.

    Raises:
        InputError: If x is no block, or `keep` does not fit it.

    Example:
        >>> select_rows(np.array([1.0, np.nan, 3.0]), [True, False, True])
        array([1., 3.])
    """
    rows, chosen = rows_of(x), np.asarray(keep)
    fits = chosen.shape == (rows,) if chosen.dtype.kind == "b" else chosen.dtype.kind in "iu" and chosen.ndim == 1
    if not fits:
        raise InputError(
            f"keep must be {rows} truth values, one for each row, or places of rows, got {chosen.dtype} of shape "
            f"{chosen.shape}; for example ~nan_rows(x)"
        )
    return {name: array[chosen] for name, array in x.items()} if isinstance(x, dict) else x[chosen]


def _arrays(x: Block) -> list[NDArray[Any]]:
    arrays = list(x.values()) if isinstance(x, dict) else [x]
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise InputError(f"a block must be an array, or a dict of arrays, got {type(x).__name__}; use np.asarray")
    return arrays
