"""Checks of the arrays that a prediction is made of: real numbers, in their range, one pass after another."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_count
from mcdrop.errors import InputError

__all__ = ["as_array", "as_error", "as_floats", "as_passes", "check_samples", "per_point", "refuse_outside"]


def as_array(name: str, values: ArrayLike | torch.Tensor) -> NDArray[Any]:
    """Return real numbers or truth values as an array; one that is one already is not copied.

    Args:
        name: What the values are called, for the message.
        values: A number, lists of them, a table, or a tensor on any device; its gradient is left behind.

    Raises:
        InputError: If they are text, dates, complex, masked, ragged, or no numbers at all.

    Example:
        >>> as_array("mean", [1, 2]), as_array("mean", torch.ones(1, requires_grad=True))
        (array([1, 2]), array([1.], dtype=float32))
    """
    if isinstance(values, np.ma.MaskedArray) and (hidden := np.count_nonzero(values.mask)):
        raise InputError(
            f"{name} must hold a number everywhere, got {hidden} masked value(s); drop those points or fill them first"
        )
    try:
        array = _of_tensor(values) if isinstance(values, torch.Tensor) else np.asarray(values)
        if array.dtype.kind == "O":  # such as decimals, and columns of tables
            array = array.astype(np.float64)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"dtype {array.dtype}")
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor without numbers of its own
        reason = " ".join(str(error).split())
        raise InputError(
            f"{name} must be an array of numbers, got {type(values).__name__} ({reason}); "
            "convert it to real numbers in one rectangular array first"
        ) from error
    return array


def as_floats(name: str, values: ArrayLike | torch.Tensor) -> NDArray[np.floating]:
    """Return real numbers as an array of floats; floats keep their precision and are not copied.

    Raises:
        InputError: If `as_array` refuses them.
    """
    array = as_array(name, values)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def refuse_outside(
    name: str, array: NDArray[Any], rule: str, *, least: float = -np.inf, most: float = np.inf, advice: str
) -> None:
    """Refuse numbers that are NaN, infinite, or outside a range.

    Args:
        name: What the numbers are called.
        array: The numbers.
        rule: What they must do, such as "be >= 0 and finite".
        least: The smallest that is good.
        most: The largest that is good.
        advice: What to do about others.

    Raises:
        InputError: Naming the first that is not good.
    """
    good = np.isfinite(array) & (array >= least) & (array <= most)
    if not good.all():
        bad = array[~good]
        raise InputError(f"{name} must {rule}, got {bad[0]:g} ({bad.size} such of {array.size} value(s)); {advice}")


def as_passes(passes: Any, points: int) -> int | NDArray[np.int64]:
    """Return the number of passes: one for all points as it is, or one for each as an array.

    Args:
        passes: What was given.
        points: Number of points N.

    Raises:
        InputError: If these are no counts, or not one or N of them.
    """
    if isinstance(passes, str) or not hasattr(passes, "__len__"):
        check_count("passes", passes, least=1, why="a prediction is made of one or more")
        return passes  # type: ignore[no-any-return]
    array = as_array("passes", passes)
    if array.shape != (points,):
        raise InputError(
            f"passes must be one number, or one per point, shape ({points},), got shape {array.shape}; "
            "give the number that each point took"
        )
    if array.dtype.kind not in "iu" or (array < 1).any():
        got = f"{array.min()}" if array.dtype.kind in "iu" else f"dtype {array.dtype}"
        raise InputError(f"passes must be integers of at least 1, got {got}; give the number that each point took")
    return array.astype(np.int64, copy=False)


def per_point(passes: int | NDArray[np.int64], ndim: int) -> Any:
    """Return numbers of passes in a shape that goes with arrays of so many axes, the points in front."""
    return passes if isinstance(passes, int | np.integer) else passes.reshape(-1, *[1] * (ndim - 1))


def as_error(name: str, error: ArrayLike | torch.Tensor | None, shape: tuple[int, ...]) -> NDArray[np.floating] | None:
    """Return Monte Carlo standard errors as an array, if there are any.

    Args:
        name: What the field is called.
        error: One for each value, or None.
        shape: The shape of the values.

    Raises:
        InputError: If they are no standard errors, or not one for each value.
    """
    if error is None:
        return None
    array = as_floats(name, error)
    if array.shape != shape:
        raise InputError(
            f"{name} must have one standard error per value, shape {shape}, got shape {array.shape}; leave it out "
            "where passes are independent"
        )
    refuse_outside(name, array, "be >= 0 and finite", least=0, advice="give standard errors, or leave it out")
    return array


def check_samples(
    samples: ArrayLike | torch.Tensor | None,
    passes: int | NDArray[np.int64] | None,
    *,
    reference: str,
    shape: tuple[int, ...],
) -> NDArray[np.floating] | None:
    """Return the passes, if they were kept, as an array of shape (T, *shape).

    Args:
        samples: The passes, or None.
        passes: Their number T, checked; None where there were none.
        reference: What the shape is of, for the message.
        shape: The shape of one pass.

    Raises:
        InputError: If the passes are not T arrays of that shape, or hold NaN.
    """
    if samples is None:
        return None
    array = as_floats("samples", samples)
    if array.ndim == 0 or array.shape[1:] != shape:
        raise InputError(
            f"samples must hold one array of the shape of {reference}, {shape}, per pass, got {array.shape}; "
            "put the passes on axis 0"
        )
    if np.ndim(passes) > 0 or len(array) != passes:  # type: ignore[arg-type]
        got = passes if np.ndim(passes) == 0 else "one per point"  # type: ignore[arg-type]
        raise InputError(
            f"passes must be the number of samples where they are kept, {len(array)}, got {got}; "
            f"give passes={len(array)}, or leave samples out"
        )
    if array.size and np.isnan(array.min()):  # one sweep without a copy; minus infinity can be a masked class
        raise InputError("samples must not hold NaN, got one or more; look at what the net gives for these inputs")
    return array


def _of_tensor(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor's numbers; NumPy has no bfloat16."""
    plain = tensor.detach().cpu()
    return np.asarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())
