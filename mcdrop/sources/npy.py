"""NumPy's `.npy` files: rows are read from where they lie in the file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.sources.layout import Contents
from mcdrop.sources.npy_bytes import Header, read_header, read_rows
from mcdrop.sources.source import Source

__all__ = ["NpySource"]


class NpySource(Source):
    """The array of a `.npy` file, never a pickled one.

    Nothing is kept open, and rows are read rather than mapped: the process does not grow by what it has read. In
    Fortran order, where the values of a row lie far apart, the file is mapped for the time of a read.
    """

    kind = "a .npy file"

    def _examine(self) -> Contents:
        with self.path.open("rb") as file:
            self._header: Header = read_header(file, place=self.path, what="the array")
        if self._size != self._header.size:
            raise ValueError(f"{self._size:,} bytes where its header says {self._header.size:,}")
        return Contents(self._header.rows, {"x": self._header.row})

    def _read(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        header = self._header
        if header.fortran:
            mapped = np.load(self.path, mmap_mode="r", allow_pickle=False)
            return {"x": np.array(mapped[start:stop], dtype=header.row.dtype, order="C")}
        with self.path.open("rb") as file:
            file.seek(header.offset + start * header.row_bytes)
            return {"x": read_rows(file, header, stop - start)}
