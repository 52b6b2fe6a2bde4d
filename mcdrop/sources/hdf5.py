"""HDF5 and NetCDF4 files: one data set as the net's positional input, or those of the root group by name."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError
from mcdrop.sources.layout import Contents, RowType, common_length, first_few, row_type
from mcdrop.sources.packed import Packing, packing_of
from mcdrop.sources.source import Source

__all__ = ["HDF5Source"]

_LEAST_CACHE, _MOST_CACHE = 2**20, 2**28  # bytes for each data set
_NETCDF3 = (b"CDF\x01", b"CDF\x02", b"CDF\x05")  # how its files begin
_SLOTS = 12_289  # a prime, and many more than the chunks that lie side by side in a band


class HDF5Source(Source):
    """Data sets of an HDF5 file; packed ones, as NetCDF's conventions say, hold what their numbers stand for.

    Chunks are kept, decompressed, for as long as a read forward needs them, up to 256 MiB, so that small blocks do not
    decompress a chunk again and again.
    """

    kind = "an HDF5 file"

    def __init__(self, path: Path, *, part: str | None = None) -> None:
        """Look at the data set of that name, or at all numeric ones of the root group."""
        self._cache = _LEAST_CACHE
        self._packings: dict[str, Packing] = {}
        super().__init__(path, part=None if part is None else part.strip("/"))

    def _examine(self) -> Contents:
        with _file(self.path) as file:
            chosen = self._all(file) if self._part is None else {self._part: self._named(file, self._part)}
            arrays = {name: self._row(name, item) for name, item in chosen.items()}
            rows = common_length({name: len(item) for name, item in chosen.items()}, place=self.path)
            self._cache = min(max([_LEAST_CACHE, *(2 * _band(item) for item in chosen.values())]), _MOST_CACHE)
        return Contents(rows, arrays, by_name=self._part is None and len(arrays) > 1)

    def _row(self, name: str, item: Any) -> RowType:
        """Return what a row of a data set is once it is unpacked, and keep how that is done."""
        what = f"data set {name}"
        row = row_type(_shape(item, self.path), item.dtype, place=self.path, what=what)
        self._packings[name] = packing_of(item.dtype, item.attrs, place=self.path, what=what)
        return RowType(row.shape, self._packings[name].dtype)

    def _all(self, file: Any) -> dict[str, Any]:
        """Return the numeric data sets of the root group; labels of axes, which NetCDF4 puts there, are left out."""
        import h5py

        items = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
        found = {name: item for name, item in items.items() if item.dtype.kind in "biufc" and not item.is_scale}
        if not found:
            raise DataError(
                f"{self.path}: expected numeric data sets in the root group, got none; name one with ::, there are "
                f"{first_few(_data_sets(file))}"
            )
        return found

    def _named(self, file: Any, name: str) -> Any:
        import h5py

        item = file.get(name) if name else None
        if isinstance(item, h5py.Dataset):
            return item
        got = "a group" if isinstance(item, h5py.Group) else "no such name"
        raise DataError(
            f"{self.path}: expected a data set {name!r}, got {got}; there are {first_few(_data_sets(file))}"
        )

    def _open(self) -> "_DataSets":
        return _DataSets(self.path, list(self.arrays), self._cache)

    def _read(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        items = self._opened().items
        return {
            name: packing.unpacked(np.asarray(items[name][start:stop], dtype=packing.stored))
            for name, packing in self._packings.items()
        }


class _DataSets:
    """An open file and its open data sets, which lose their decompressed chunks when they are closed."""

    def __init__(self, path: Path, names: list[str], cache: int) -> None:
        self._file = _file(path, rdcc_nbytes=cache, rdcc_nslots=_SLOTS)
        self.items = {name: self._file[name] for name in names}

    def close(self) -> None:
        """Close the file and all in it."""
        self.items.clear()
        self._file.close()


def _file(path: Path, **cache: int) -> Any:
    """Open a file for reading, or say what is in the way: another format of NetCDF, or another program."""
    import h5py

    try:
        return h5py.File(path, "r", **cache)
    except OSError as error:
        with path.open("rb") as file:
            if file.read(4) in _NETCDF3:
                raise DataError(
                    f"{path}: expected NetCDF4, got NetCDF3, another format; convert it to NetCDF4 (nccopy -k nc4, or "
                    "xarray's to_netcdf)"
                ) from error
        if "unable to lock file" in str(error) or "already open for write" in str(error):
            raise DataError(
                f"{path}: expected a file that nobody writes to, got one that another program writes to, or did not "
                "close; wait for it, or copy the file"
            ) from error
        raise


def _shape(item: Any, place: Path) -> tuple[int, ...]:
    if item.shape is None:
        raise DataError(f"{place}: expected numbers in data set {item.name}, got an empty one; write it again")
    return tuple(item.shape)


def _data_sets(file: Any) -> list[str]:
    """Return the names of all data sets, in every group."""
    import h5py

    names: list[str] = []
    file.visititems(lambda name, item: names.append(str(name)) if isinstance(item, h5py.Dataset) else None)
    return sorted(names)


def _band(item: Any) -> int:
    """Return the bytes of the chunks that a row lies in."""
    if not item.chunks:
        return 0
    across = (-(-length // chunk) * chunk for length, chunk in zip(item.shape[1:], item.chunks[1:], strict=True))
    return int(item.chunks[0] * prod(across) * item.dtype.itemsize)
