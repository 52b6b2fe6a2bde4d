"""The bytes of NumPy's own format: the header that says shape and type, and rows read from a stream.

References:
    NumPy developers (2025). numpy.lib.format: the .npy format. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError
from mcdrop.sources.layout import RowType, row_type

__all__ = ["PIECE", "Header", "holds_numbers", "read_header", "read_rows"]

PIECE = 2**20
"""So many bytes are read from a stream at once."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of an array says.

    Attributes:
        rows: Number of rows N.
        row: What a row is.
        dtype: The type as it is stored, in the file's byte order.
        fortran: Whether the first axis, not the last, changes fastest.
        offset: Where the array's bytes start.
    """

    rows: int
    row: RowType
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.row.shape) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Bytes of header and array together."""
        return self.offset + self.rows * self.row_bytes


def read_header(stream: IO[bytes], *, place: Path, what: str) -> Header:
    """Read the header of an array, after which the stream stands at its first byte.

    Args:
        stream: At the start of the header.
        place: The file, for messages.
        what: What the array is called, for messages.

    Raises:
        DataError: If the array is pickled, holds no numbers, or has no rows on its first axis.
        ValueError: If it is no such header.
    """
    shape, fortran, dtype = _read_start(stream)
    if dtype.hasobject:
        raise DataError(
            f"{place}: expected numbers in {what}, got a pickled array, which was refused since to read it would run "
            "code; save it again with a numeric dtype"
        )
    row = row_type(shape, dtype, place=place, what=what)
    return Header(shape[0], row, dtype, fortran, stream.tell())


def holds_numbers(stream: IO[bytes]) -> bool:
    """Tell whether an array holds numbers or truth values, by its header; nothing else of it is read.

    Args:
        stream: At the start of the header.

    Raises:
        ValueError: If it is no such header.
    """
    return _read_start(stream)[2].kind in "biufc"


def _read_start(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, whether the order is Fortran's, and type."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"version {version} of the format")  # only records have names that need a later one


def read_rows(stream: IO[bytes], header: Header, rows: int) -> NDArray[Any]:
    """Read so many rows from where a stream stands.

    Raises:
        EOFError: If the stream ends before.
    """
    array = np.empty((rows, *header.row.shape), header.dtype)
    flat = array.reshape(-1).view(np.uint8)
    done = 0
    while done < len(flat):
        piece = stream.read(min(PIECE, len(flat) - done))
        if not piece:
            raise EOFError("it ends early")
        flat[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    return array.astype(header.row.dtype, copy=False)
