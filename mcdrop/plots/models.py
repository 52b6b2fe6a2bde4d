"""What a figure draws of several models by their names: checked, with names short enough for a legend."""

import textwrap
from collections.abc import Mapping

import numpy as np

from mcdrop.errors import InputError

__all__ = ["check_curves", "check_models", "fold_name"]


def fold_name(name: str, width: int = 26) -> str:
    """Break a long name into lines of at most so many letters, which leave most of the figure to the data."""
    return textwrap.fill(name, width)


def check_models(name: str, models: object, kind: str, types: type | tuple[type, ...] = object) -> None:
    """Refuse what is not a mapping from the names of models to something of one kind.

    Args:
        name: The argument's name.
        models: What came.
        kind: What the values must be, in words.
        types: Their type.

    Raises:
        InputError: If it is no mapping, empty, or a key or a value is of another type.
    """
    expected = f"{name} must map the name of each model to its {kind}"
    if not isinstance(models, Mapping) or not models:
        raise InputError(
            f"{expected}, got {type(models).__name__ if models else 'nothing'}; pass {{'MC dropout': ...}}"
        )
    for key, value in models.items():
        if not isinstance(key, str) or not isinstance(value, types):
            raise InputError(f"{expected}, got {type(value).__name__} for {key!r}; pass {{'MC dropout': ...}}")


def check_curves(curves: object, kind: type, *fields: str) -> None:
    """Refuse what is not a mapping from the names of models to curves of shares.

    Args:
        curves: What came.
        kind: The type of the curves, from `mcdrop.scores`.
        fields: Their fields that hold shares, each of shape (P,).

    Raises:
        InputError: If a curve is of another type, has no points, or a share lies outside [0, 1].
    """
    check_models("curves", curves, kind.__name__, kind)
    assert isinstance(curves, Mapping)  # checked above
    for name, curve in curves.items():
        columns = [np.asarray(getattr(curve, field), dtype=np.float64) for field in fields]
        shapes = {column.shape for column in columns}
        if len(shapes) > 1 or columns[0].ndim != 1 or columns[0].size == 0:
            raise InputError(
                f"{' and '.join(fields)} of {name!r} must be one-dimensional and of one length of at least 1, got "
                f"{', '.join(str(column.shape) for column in columns)}; make the curve with mcdrop.scores"
            )
        if not all(((column >= 0) & (column <= 1)).all() for column in columns):
            raise InputError(
                f"{' and '.join(fields)} of {name!r} must lie in [0, 1], got values outside or NaN; "
                "give shares, not percentages"
            )
