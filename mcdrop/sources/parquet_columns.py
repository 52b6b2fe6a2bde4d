"""Columns of Arrow tables as NumPy arrays: numbers, truth values, and lists of one length."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError
from mcdrop.sources.layout import RowType

__all__ = ["as_array", "is_list", "item_dtype", "list_length"]


def is_list(kind: Any) -> bool:
    """Whether a column of this Arrow type holds lists."""
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def item_dtype(kind: Any, *, place: Path, name: str) -> np.dtype[Any]:
    """Return the NumPy type of a column's numbers, or of those in its lists.

    Args:
        kind: The column's Arrow type.
        place: The file, for messages.
        name: The column, for messages.

    Raises:
        DataError: If it holds something else.
    """
    from pyarrow import types

    item = kind.value_type if is_list(kind) or types.is_dictionary(kind) else kind
    if types.is_integer(item) or types.is_floating(item) or types.is_boolean(item):
        dtype: np.dtype[Any] = np.dtype(item.to_pandas_dtype())
        return dtype
    if (types.is_decimal(item) or types.is_null(item)) and item is kind:
        return np.dtype(np.float64)
    raise DataError(
        f"{place}: expected numbers, or lists of them, in column {name!r}, got {kind}; choose other columns, or turn "
        "texts and dates into numbers first"
    )


def list_length(column: Any) -> int | None:
    """Return the length of the first list of a column, or None where there is no list."""
    import pyarrow.compute

    lengths = pyarrow.compute.list_value_length(column).drop_null()
    return int(lengths[0].as_py()) if len(lengths) else None


def as_array(column: Any, row: RowType, *, place: Path, name: str, start: int) -> NDArray[Any]:
    """Return a column as an array, with NaN where there is no value.

    Args:
        column: The rows, chunked or not.
        row: Shape and type that a row shall have.
        place: The file, for messages.
        name: The column, for messages.
        start: Number of the first row, for messages.

    Returns:
        Shape (n, *row.shape).

    Raises:
        DataError: If lists differ in length, or a value is missing among integers, which have no NaN.
    """
    read = _lists if row.shape else _numbers
    parts = []
    for part in getattr(column, "chunks", [column]):
        parts.append(read(part, row, place, name, start))
        start += len(part)
    return np.concatenate(parts) if parts else np.empty((0, *row.shape), row.dtype)


def _numbers(part: Any, row: RowType, place: Path, name: str, start: int) -> NDArray[Any]:
    import pyarrow as pa

    if row.dtype.kind != "f" and part.null_count:
        raise _missing(place, name, start + _first(part.is_null()))
    if pa.types.is_dictionary(part.type):
        part = part.dictionary_decode()
    if row.dtype.kind == "f" and not pa.types.is_floating(part.type):
        part = part.cast(pa.float64(), safe=False)
    return np.asarray(part.to_numpy(zero_copy_only=False), dtype=row.dtype)


def _lists(part: Any, row: RowType, place: Path, name: str, start: int) -> NDArray[Any]:
    import pyarrow.compute

    (length,) = row.shape
    lengths = pyarrow.compute.list_value_length(part).fill_null(-1).to_numpy(zero_copy_only=False)
    there = lengths >= 0
    odd = np.flatnonzero(there & (lengths != length))
    if len(odd):
        raise DataError(
            f"{place}: expected lists of {length} values in column {name!r}, got {lengths[odd[0]]} in row "
            f"{start + odd[0]}; pad or cut them to one length"
        )
    items = part.flatten()  # of the lists that are there
    if row.dtype.kind != "f" and not there.all():
        raise _missing(place, name, start + int(np.flatnonzero(~there)[0]))
    if row.dtype.kind != "f" and items.null_count:
        raise _missing(place, name, start + _first(items.is_null()) // length)
    array = np.empty((len(part), length), row.dtype)
    array[there] = np.asarray(items.to_numpy(zero_copy_only=False)).reshape(-1, length)
    if row.dtype.kind == "f":
        array[~there] = np.nan
    return array


def _first(flags: Any) -> int:
    """Return the place of the first true one of Arrow's truth values."""
    return int(np.flatnonzero(flags.to_numpy(zero_copy_only=False))[0])


def _missing(place: Path, name: str, row: int) -> DataError:
    return DataError(
        f"{place}: expected a value in every row of column {name!r}, got none in row {row}, and integers and truth "
        "values cannot be NaN; fill it in, or store the column as floats"
    )
