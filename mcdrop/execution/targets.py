"""The truth beside the inputs: y checked once, then handed out along with the rows of x."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.errors import InputError
from mcdrop.precision.likelihood import LARGEST

__all__ = ["Targets", "read_targets"]


@dataclass(frozen=True, slots=True)
class Targets:
    """What the net should have given at every row of the inputs.

    Attributes:
        values: One entry per row, shape (N, ...): float64, or int64 for class numbers.
    """

    values: Tensor

    def __len__(self) -> int:
        """Return the number of rows N."""
        return len(self.values)

    def take(self, rows: range) -> Tensor:
        """Return the entries of some rows of the inputs.

        Raises:
            InputError: If y ends before the rows do.
        """
        if rows.stop > len(self):
            self.check_length(rows.stop, "at least ")
        return self.values[rows.start : rows.stop]

    def check_length(self, rows: int | None, more: str = "") -> None:
        """Refuse inputs with another number of rows; None means that it is not known yet.

        Raises:
            InputError: If y is longer or shorter than the inputs.
        """
        if rows is not None and rows != len(self):
            raise InputError(
                f"x and y must have one row per example each, got {more}{rows} and {len(self)}; "
                "drop the rows without a partner"
            )


def read_targets(y: Any, *, labels: bool) -> Targets:
    """Read the truth from any form an array comes in.

    Args:
        y: A tensor, array or list with the N rows on its first axis.
        labels: Whether it holds class numbers rather than values.

    Returns:
        The checked truth, on the CPU.

    Raises:
        InputError: If there are no rows, values are not finite, too large or no numbers, or class numbers no whole
            numbers from 0.
    """
    array = _array(y)
    if array.ndim == 0 or array.size == 0:
        raise InputError(f"y must hold at least one row, got shape {array.shape}; give one entry per row of x")
    if labels:
        if array.dtype.kind not in "iu":
            raise InputError(
                f"y must hold class numbers, integers from 0, got {array.dtype}; "
                "convert whole numbers with .astype(int), and one-hot rows with .argmax(1)"
            )
        if array.min() < 0:
            raise InputError(
                f"y must hold class numbers, integers from 0, got {array.min()}; drop rows without a class"
            )
        if array.max() > np.iinfo(np.int64).max:
            raise InputError(
                f"y must hold class numbers, integers from 0, got {array.max()}; no net has so many classes"
            )
        return Targets(torch.from_numpy(array.astype(np.int64)))
    if array.dtype.kind not in "fiub":
        raise InputError(f"y must hold real numbers, got {array.dtype}; convert it with .astype(float)")
    bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    if len(bad):
        shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise InputError(
            f"y must be finite, got NaN or infinity in {len(bad)} of {len(array)} rows ({shown}); drop or fill them"
        )
    values = array.astype(np.float64)
    if np.abs(values).max() > LARGEST:
        raise InputError(
            f"y must lie within {LARGEST:g} of 0, got {values.min():g} to {values.max():g}; rescale it to other units"
        )
    return Targets(torch.from_numpy(values))


def _array(y: Any) -> NDArray[Any]:
    try:
        if isinstance(y, Tensor):
            floating = y.is_floating_point()  # NumPy does not know every floating type of torch
            return np.asarray(y.detach().to("cpu", torch.float64 if floating else y.dtype).numpy())
        return np.asarray(y)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"y must be a rectangular array of numbers, got {type(y).__name__}: {error}") from error
