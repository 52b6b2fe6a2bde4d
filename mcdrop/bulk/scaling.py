"""Inputs scaled to the range that a net was trained on, such as bytes of images to [0, 1]."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcdrop.errors import InputError

__all__ = ["DividedBy"]


@dataclass(frozen=True, slots=True)
class DividedBy:
    """Divides inputs by a number, and makes whole numbers decimal; a `transform` of `predict_file`.

    Attributes:
        divisor: The number, such as 255 for images in bytes.

    Example:
        >>> import numpy as np
        >>> DividedBy(255)(np.array([[0, 51, 255]], np.uint8))
        array([[0. , 0.2, 1. ]], dtype=float32)
    """

    divisor: float

    def __post_init__(self) -> None:
        """Refuse what nothing can be divided by.

        Raises:
            InputError: If it is zero or no finite number.
        """
        if not np.isfinite(self.divisor) or self.divisor == 0:
            raise InputError(f"inputs must be divided by a finite number other than 0, got {self.divisor}; such as 255")

    def __call__(self, x: Any) -> Any:
        """Return an array, or arrays by name, divided: in float32 where they held whole numbers.

        Half precision is kept, but divided in float32: a divisor such as 1e5 has no place in it.
        """
        if isinstance(x, Mapping):
            return {name: self(values) for name, values in x.items()}
        kind = np.dtype(np.float32) if x.dtype.kind in "biu" else x.dtype
        wide = np.promote_types(kind, np.float32)
        return np.asarray(np.asarray(x, wide) / np.asarray(self.divisor, wide), kind)
