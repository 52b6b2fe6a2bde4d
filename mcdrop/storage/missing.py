"""Points without a prediction: rows that a model could not take, kept in a file as NaN, and the rows of all others."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError
from mcdrop.storage.archive import POINT, Archive, Group, Variable

__all__ = ["ROW", "drop_missing", "missing_in", "missing_points", "point_rows"]

ROW = ("predictions_constant_data", "row")
"""Group and name of the variable that says which row of the source a point is."""


def point_rows(archive: Archive) -> NDArray[np.int64] | None:
    """Return which row of its source each point of a prediction is, shape (N,), counted from 0.

    Args:
        archive: A file that was read.

    Returns:
        The numbers, or None if the file does not tell: then point i is row i.

    Raises:
        DataError: If they are no whole numbers, one per point.
    """
    row = archive.groups.get(ROW[0], {}).get(ROW[1])
    if row is None:
        return None
    if row.dims != (POINT,) or row.values.dtype.kind not in "iu":
        raise DataError(
            f"{archive.path}: expected the rows of the points as whole numbers along {POINT!r}, got "
            f"{row.values.dtype} along {row.dims}; save the prediction again"
        )
    return row.values.astype(np.int64, copy=False)


def missing_points(archive: Archive) -> NDArray[np.bool_]:
    """Tell for each point whether it has no prediction: NaN in every variable of decimal numbers.

    Args:
        archive: A file that was read.

    Returns:
        Shape (N,); empty for a file without such variables.
    """
    return missing_in(archive.groups.get("predictions", {}))


def missing_in(predictions: Group) -> NDArray[np.bool_]:
    """Tell the same of the variables of the group "predictions"."""
    missing: NDArray[np.bool_] | None = None
    floats = [
        variable for variable in predictions.values() if POINT in variable.dims and variable.values.dtype.kind == "f"
    ]
    for variable in sorted(floats, key=lambda one: one.values.size):  # the passes come last and are rarely needed
        if missing is None:
            missing = np.ones(variable.values.shape[variable.dims.index(POINT)], dtype=bool)
        if not missing.any():
            break
        axis = variable.dims.index(POINT)
        suspects = np.flatnonzero(missing)
        values = np.moveaxis(variable.values, axis, 0)[suspects].reshape(len(suspects), -1)
        missing[suspects] = np.isnan(values).all(axis=1)
    return np.zeros(0, dtype=bool) if missing is None else missing


def drop_missing(archive: Archive) -> Archive:
    """Return a prediction without the points that have none; `point_rows` tells which rows are left.

    Args:
        archive: A file that was read.
    """
    missing = missing_points(archive)
    if not missing.any():
        return archive
    kept = np.flatnonzero(~missing)
    groups = {group: _at(kept, variables) for group, variables in archive.groups.items()}
    if point_rows(archive) is None:
        rows = Variable((POINT,), kept.astype(np.int64), "1", "row of the input")
        groups[ROW[0]] = {**groups.get(ROW[0], {}), ROW[1]: rows}
    return replace(archive, groups=groups)


def _at(points: NDArray[Any], variables: Group) -> Mapping[str, Variable]:
    return {
        name: replace(variable, values=np.take(variable.values, points, axis=variable.dims.index(POINT)))
        if POINT in variable.dims
        else variable
        for name, variable in variables.items()
    }
