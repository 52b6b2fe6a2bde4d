"""Checks of the arrays a score is computed from: finite numbers of one shape, labels, probabilities."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError

__all__ = ["check_flags", "check_floats", "check_labels", "check_level", "check_like", "check_probs", "check_std"]

Floats = NDArray[np.float64]

_LARGEST = 1e100
"""Numbers up to here have squares and sums that are finite."""

_SUM_ERROR = 1e-3
"""How far probabilities of half precision may be from a sum of 1."""


def check_floats(name: str, values: ArrayLike) -> Floats:
    """Return the values as finite floats.

    Raises:
        InputError: If they are no numbers, not finite, too large to be squared, or none at all.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"dtype {array.dtype}")
        array = array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor that needs its gradient
        raise InputError(
            f"{name} must be an array of real numbers, got {type(values).__name__} ({error}); {_advice(name, values)}"
        ) from error
    if array.size == 0:
        raise InputError(f"{name} must hold at least one value, got shape {array.shape}; give one per point")
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise InputError(f"{name} must be finite, got {bad} NaN or infinite value(s) of {array.size}; drop them first")
    if np.abs(array).max() > _LARGEST:
        raise InputError(
            f"{name} must lie within {_LARGEST:g} of 0, got {array.min():g} to {array.max():g}; rescale it"
        )
    return array


def check_like(name: str, values: ArrayLike, y: Floats) -> Floats:
    """Return the values as finite floats in the shape of y.

    Shapes that would only broadcast are refused: (N,) against (N, 1) would give (N, N) scores.

    Raises:
        InputError: If the shape is another one.
    """
    array = check_floats(name, values)
    if array.shape != y.shape:
        raise InputError(
            f"{name} must have the shape of y, {y.shape}, got {array.shape}; "
            "give one value per point (reshape y or the prediction)"
        )
    return array


def check_std(std: ArrayLike, y: Floats) -> Floats:
    """Return the standard deviation in the shape of y; a single number serves every point.

    Raises:
        InputError: If it is not positive everywhere.
    """
    array = check_floats("std", std)
    array = np.broadcast_to(array, y.shape) if array.ndim == 0 else check_like("std", array, y)
    bad = np.count_nonzero(array <= 0)
    if bad:
        raise InputError(
            f"std must be > 0 everywhere, got {array.min():g} as the smallest and {bad} of {array.size} value(s) "
            "not above 0; score the total spread: total_std(noise_std=...)"
        )
    return array


def check_level(level: float) -> float:
    """Return the probability that an interval is meant to hold.

    Raises:
        InputError: If it lies outside (0, 1).
    """
    if isinstance(level, bool) or not isinstance(level, float | int | np.integer | np.floating) or not 0 < level < 1:
        raise InputError(f"level must lie strictly between 0 and 1, got {level!r}; for 95% pass 0.95")
    return float(level)


def check_flags(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Return yes-or-no values, one per point, as booleans of shape (N,).

    Raises:
        InputError: If they are not (N,), or anything but True, False, 1 and 0.
    """
    array = check_floats(name, values)
    if array.ndim != 1 or not np.all((array == 0) | (array == 1)):
        raise InputError(
            f"{name} must be True or False (1 or 0) for each of N points, shape (N,), got shape {array.shape} "
            f"with values from {array.min():g} to {array.max():g}; compare with the truth first"
        )
    return array.astype(np.bool_)


def check_probs(probs: ArrayLike) -> Floats:
    """Return class probabilities, shape (..., K).

    Raises:
        InputError: If they have no class axis, lie outside [0, 1], or do not sum to 1.
    """
    array = check_floats("probs", probs)
    if array.ndim < 2:
        raise InputError(f"probs must have shape (N, K), got {array.shape}; give one row per point")
    if array.min() < -1e-9 or array.max() > 1 + 1e-6:
        raise InputError(
            f"probs must lie in [0, 1], got {array.min():g} to {array.max():g}; pass softmax output, not logits"
        )
    sums = array.sum(axis=-1)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > _SUM_ERROR:
        raise InputError(f"probs must sum to 1 over the last axis, got a sum of {worst:g}; pass softmax output")
    return np.clip(array, 0.0, 1.0)


def check_labels(y: ArrayLike, probs: Floats) -> NDArray[np.int64]:
    """Return true classes that fit the probabilities: integers from 0 to K - 1, one per point.

    Raises:
        InputError: If the shape is another one, they are no integers, or there is no such class.
    """
    try:
        labels = np.asarray(y)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"y must be an array of integer labels, got {type(y).__name__} ({error})") from error
    if labels.shape != probs.shape[:-1]:
        raise InputError(
            f"y must hold one label per point, shape {probs.shape[:-1]}, got {labels.shape}; "
            "give class numbers, not one-hot rows"
        )
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"y must hold integer labels, got dtype {labels.dtype}; convert it with numpy.asarray(y, dtype=int)"
        )
    classes = probs.shape[-1]
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"y must hold labels from 0 to {classes - 1}, the columns of probs, got {labels.min()} to "
            f"{labels.max()}; number the classes from 0 in the net's order"
        )
    return labels.astype(np.int64)


def _advice(name: str, values: Any) -> str:
    """Return how to make numbers of what is none."""
    if hasattr(values, "detach"):  # a tensor that needs its gradient, lies elsewhere, or is of a type NumPy lacks
        return f"pass {name}.detach().cpu().double()"
    if getattr(getattr(values, "dtype", None), "kind", "") == "c":
        return "score the real and the imaginary part one by one"
    return f"convert it with numpy.asarray({name}, dtype=float)"
