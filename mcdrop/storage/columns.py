"""Columns of tables: every number that a prediction has at a point, under a name of its own."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import InputError
from mcdrop.storage.archive import POINT, Group
from mcdrop.storage.layout import Spec, Specs, specs_of
from mcdrop.storage.missing import ROW, missing_in

__all__ = ["ROW_COLUMN", "Cells", "Column", "cells_of", "check_columns", "columns_of", "rows_of"]

ROW_COLUMN = "row"
"""Name of the first column, which says which point it is."""

_MOST = 10_000  # columns; programs that read tables slow down long before


@dataclass(frozen=True, slots=True)
class Column:
    """One number per point.

    Attributes:
        name: Its name in the table.
        group: Group of the variable that it is of.
        variable: Name of that variable.
        index: Where it lies on the axes other than "point".
        dtype: Type of the numbers.
    """

    name: str
    group: str
    variable: str
    index: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of a column at some consecutive points.

    Attributes:
        values: The numbers or texts, shape (n,).
        empty: Which of them are not known, shape (n,).
    """

    values: NDArray[Any]
    empty: NDArray[np.bool_]


def columns_of(specs: Specs) -> list[Column]:
    """Return the columns of a table of such variables: predictions first, all in their order.

    Raises:
        InputError: If the passes themselves are among them, two columns would have one name, or there are too many.
    """
    per_point = [
        (group, name, spec)
        for group, known in specs.items()
        for name, spec in known.items()
        if POINT in spec.dims and (group, name) != ROW
    ]
    for _, name, spec in per_point:
        if "draw" in spec.dims:
            raise InputError(
                f"a table has one row per point, got the passes of every point in {name!r}; leave the samples out, or "
                "write HDF5"
            )
    count = sum(math.prod(_inner(spec)) for _, _, spec in per_point)
    if count > _MOST:
        raise InputError(
            f"a table can have up to {_MOST} columns, got {count} numbers per point; write HDF5 "
            '(format="hdf5", --format hdf5)'
        )
    columns = [
        Column("_".join([name, *map(str, place)]) if math.prod(_inner(spec)) > 1 else name, group, name, place, dtype)
        for group, name, spec in per_point
        for dtype in [spec.dtype.newbyteorder("=")]
        for place in np.ndindex(_inner(spec))
    ]
    names = [ROW_COLUMN, *(column.name for column in columns)]
    if twice := sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []:
        raise InputError(
            f"columns must have names of their own, got {twice[0]!r} twice; rename a variable, or write HDF5 "
            '(format="hdf5", --format hdf5)'
        )
    return columns


def check_columns(groups: Mapping[str, Group]) -> None:
    """See that a table could hold such variables, before there are many of them.

    Args:
        groups: Variables of some points, by group and name.

    Raises:
        InputError: If it could not.
    """
    columns_of(specs_of(groups))


def cells_of(columns: list[Column], groups: Mapping[str, Group]) -> Iterator[Cells]:
    """Return the cells of a block, column by column.

    Args:
        columns: What `columns_of` gave.
        groups: Variables of the block that have the axis "point".

    Yields:
        NaN is empty; where nothing was predicted, so are whole numbers and truth values.
    """
    missing = missing_in(groups.get("predictions", {}))
    for column in columns:
        variable = groups[column.group][column.variable]
        behind = np.moveaxis(variable.values, variable.dims.index(POINT), -1)
        values = np.ascontiguousarray(behind[column.index], dtype=column.dtype)
        if values.dtype.kind == "f":
            yield Cells(values, np.isnan(values))
        else:
            yield Cells(values, missing if missing.size else np.zeros(len(values), dtype=bool))


def rows_of(groups: Mapping[str, Group]) -> NDArray[Any] | None:
    """Return the numbers of the rows that the points of a block are, if it tells."""
    row = groups.get(ROW[0], {}).get(ROW[1])
    return None if row is None else row.values


def _inner(spec: Spec) -> tuple[int, ...]:
    """Return the lengths of the axes other than "point"."""
    return tuple(size for dim, size in zip(spec.dims, spec.shape, strict=True) if dim != POINT)
