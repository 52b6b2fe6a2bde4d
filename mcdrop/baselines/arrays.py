"""Checks of the arrays a baseline is fitted to: what passes comes back as finite floats of one shape."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError
from mcdrop.predictive.arrays import as_array

__all__ = ["check_floats", "check_inputs", "check_labels", "check_rows", "check_training"]

Floats = NDArray[np.float64]

_FEW_CLASSES = 1000
_CLASSES_PER_POINT = 10
"""A label beyond both is taken for a slip: every class takes room of its own, whether it has points or not."""


def check_inputs(x: ArrayLike) -> Floats:
    """Return x as a finite (N, D) array of floats.

    Raises:
        InputError: If it is empty, not finite, or of another shape.
    """
    inputs = check_floats(x, "x")
    if inputs.ndim not in (1, 2) or inputs.size == 0:
        raise InputError(
            f"x must have shape (N, D) or (N,) with at least one value, got shape {inputs.shape}; "
            "give one row per point"
        )
    return inputs.reshape(len(inputs), -1)


def check_rows(x: ArrayLike) -> Floats:
    """Return x as a finite (N, D) array of floats; images and other arrays, one per row, are laid flat.

    Raises:
        InputError: If it is empty or not finite.
    """
    inputs = check_floats(x, "x")
    if inputs.ndim == 0 or inputs.size == 0:
        raise InputError(
            f"x must have shape (N, ...) with at least one value, got shape {inputs.shape}; give one row per point"
        )
    return inputs.reshape(len(inputs), -1)


def check_labels(y: ArrayLike, count: int, *, classes: int | None) -> tuple[NDArray[np.int64], int]:
    """Return y as integers of shape (N,), and the number of classes K.

    Args:
        y: Labels, whole numbers from 0 to K - 1.
        count: Number of inputs N.
        classes: K, or None for one more than the largest label.

    Raises:
        InputError: If it has the wrong shape or length, a label is no class, or there is nothing to tell apart.
    """
    values = check_floats(y, "y")
    if values.ndim != 1:
        column = values.ndim == 2 and values.shape[1] == 1
        advice = "flatten it with y.ravel()" if column else "turn one-hot rows into labels with argmax(axis=1)"
        raise InputError(f"y must have shape (N,), one label per point, got {values.shape}; {advice}")
    if len(values) != count:
        raise InputError(
            f"x and y must have the same length, got {count} and {len(values)}; give one label per row of x"
        )
    if count < 2:
        raise InputError(f"fit needs at least 2 points, got {count}; a single point tells no classes apart")
    wrong = values[(values != np.floor(values)) | (values < 0) | (values >= (np.inf if classes is None else classes))]
    if len(wrong):
        known = "whole numbers from 0" if classes is None else f"classes from 0 to {classes - 1}"
        raise InputError(f"y must hold {known}, got {wrong[0]:g} among {len(wrong)} such label(s); number the classes")
    most = max(_FEW_CLASSES, _CLASSES_PER_POINT * count)
    if classes is None and values.max() >= most:
        raise InputError(
            f"y must hold labels below {most} for {count} points, got {values.max():.0f}; number the classes from 0 "
            "without gaps: np.unique(y, return_inverse=True)[1], or say how many there are: classes=..."
        )
    if np.ptp(values) == 0:
        raise InputError(
            f"y must hold at least 2 classes, got {count} times {values[0]:g}; one class leaves nothing to tell apart"
        )
    labels = values.astype(np.int64)
    return labels, int(labels.max()) + 1 if classes is None else classes


def check_training(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats, tuple[int, ...]]:
    """Return x as (N, D), y as (N,), and the trailing shape of y: () or (1,).

    Raises:
        InputError: If either has the wrong shape, the lengths differ, or there is nothing to learn from y.
    """
    inputs, targets = check_inputs(x), check_floats(y, "y")
    if targets.ndim not in (1, 2) or targets.shape[1:] not in ((), (1,)):
        raise InputError(
            f"y must have shape (N,) or (N, 1), got {targets.shape}; fit one GPRegressor per output column"
        )
    if len(inputs) != len(targets):
        raise InputError(
            f"x and y must have the same length, got {len(inputs)} and {len(targets)}; give one y per row of x"
        )
    if len(targets) < 2:
        raise InputError("fit needs at least 2 points, got 1; a single point says nothing about a lengthscale")
    if np.ptp(targets) == 0:
        raise InputError(
            f"y must vary, got {len(targets)} times {targets.flat[0]:g}; "
            "a constant leaves amplitude and noise undetermined"
        )
    return inputs, targets.reshape(-1), targets.shape[1:]


def check_floats(values: ArrayLike, name: str) -> Floats:
    """Return the values as a new array of finite floats.

    Raises:
        InputError: If they are no numbers, or not finite.
    """
    if getattr(values, "requires_grad", False):
        raise InputError(
            f"{name} must be data, got a {type(values).__name__} that requires its gradient; pass {name}.detach()"
        )
    array = as_array(name, values).astype(np.float64)  # a copy: changing x after fit must not change the fit
    if not np.isfinite(array).all():
        raise InputError(
            f"{name} must be finite, got {np.count_nonzero(~np.isfinite(array))} NaN or infinite value(s); "
            "drop or fill them first"
        )
    return array
