"""Packed data sets: numbers that stand for others, and those that stand for none, as NetCDF's conventions say.

What a packed number p stands for is

    x = scale_factor * p + add_offset,

and a p that is `_FillValue` or `missing_value` stands for no number: NaN. Integers with such a value become floats.

References:
    Eaton, B., et al. (2024). NetCDF Climate and Forecast (CF) Metadata Conventions 1.12, sections 2.5.1 and 8.1.
    https://cfconventions.org/cf-conventions/cf-conventions.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError
from mcdrop.sources.layout import native

__all__ = ["Packing", "packing_of"]

_FILLS = ("_FillValue", "missing_value")
_LINEAR = ("scale_factor", "add_offset")


@dataclass(frozen=True, slots=True)
class Packing:
    """How stored numbers become those that they stand for.

    Attributes:
        stored: The type as it is stored, in the byte order of this machine.
        dtype: The type of what the numbers stand for.
        fills: Stored numbers that stand for none.
        scale: What is multiplied by.
        offset: What is added after that.
    """

    stored: np.dtype[Any]
    dtype: np.dtype[Any]
    fills: tuple[Any, ...] = ()
    scale: float = 1.0
    offset: float = 0.0

    def unpacked(self, packed: NDArray[Any]) -> NDArray[Any]:
        """Return what stored numbers stand for.

        Args:
            packed: Numbers of the stored type, of any shape.

        Returns:
            An array of the same shape.

        Example:
            >>> kelvin = Packing(np.dtype("i2"), np.dtype("f8"), (-1,), 0.5, 273.0)
            >>> kelvin.unpacked(np.array([10, -1], "i2"))
            array([278.,  nan])
        """
        array = np.asarray(packed, dtype=self.dtype)
        if (self.scale, self.offset) != (1.0, 0.0):
            array = array * self.dtype.type(self.scale) + self.dtype.type(self.offset)
        empty = np.isin(packed, self.fills) if self.fills else None
        if empty is not None and empty.any():
            array = np.where(empty, self.dtype.type(np.nan), array)
        return array


def packing_of(dtype: np.dtype[Any], notes: Mapping[str, Any], *, place: Path, what: str) -> Packing:
    """Return how the numbers of a data set are packed, by the attributes beside it.

    Args:
        dtype: The type as it is stored.
        notes: The attributes.
        place: The file, for messages.
        what: What the data set is called, for messages.

    Raises:
        DataError: If an attribute is not what the conventions say, or numbers of this kind cannot be packed.
    """
    stored = native(dtype)
    given = {name: np.ravel(notes[name]) for name in (*_FILLS, *_LINEAR) if name in notes}
    for name, values in given.items():
        several = len(values) != 1 and name != "missing_value"
        if values.dtype.kind not in "iuf" or several or not (name in _FILLS or np.isfinite(values).all()):
            raise DataError(
                f"{place}: expected a number in {name} beside {what}, got {notes[name]!r}; mend the attribute or "
                "delete it"
            )
    if given and stored.kind not in "iuf":
        raise DataError(
            f"{place}: expected no {next(iter(given))} beside {what}, which holds {stored}, not numbers that can be "
            "packed; delete the attribute"
        )
    fills = [value for name in _FILLS if name in given for value in given[name] if not np.isnan(value)]
    if stored.kind == "f":
        fills = [stored.type(value) for value in fills]  # -999.9 in 64 bits is none of the numbers of 32
    linear = [given[name] for name in _LINEAR if name in given]
    kinds = [values.dtype for values in linear] or ([np.dtype(np.float32)] if fills and stored.kind != "f" else [])
    unpacked = np.result_type(stored, *kinds)
    if given and unpacked.kind != "f":
        unpacked = np.dtype(np.float64) if linear else stored
    scale, offset = (
        float(given[name][0]) if name in given else default for name, default in zip(_LINEAR, (1, 0), strict=True)
    )
    return Packing(stored, native(unpacked), tuple(fills), scale, offset)
