"""How variables lie in a NetCDF4 file: axes with labels, chunks, checksums; made empty first, then filled by parts.

References:
    Unidata. NetCDF-4 format specification: groups, dimension scales, attributes as HDF5 objects.
    https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.storage.archive import POINT, Group, Variable
from mcdrop.storage.labels import Labels

__all__ = ["CHUNK_FROM", "Spec", "Specs", "create", "fill", "size_of", "specs_of"]

CHUNK_FROM = 1 << 14
"""Bytes of a variable; below, chunks and their index cost more than they save."""

_CHUNK = 1 << 18  # bytes, of chunks along the points: few enough that single rows are read quickly
_LABELS = 1 << 16  # so many labels are made at once


@dataclass(frozen=True, slots=True)
class Spec:
    """A variable without its values.

    Attributes:
        dims: Name of each axis.
        shape: Length of each axis.
        dtype: Type of the values.
        units: Their unit.
        long_name: What they are, in words.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    units: str
    long_name: str

    @classmethod
    def of(cls, variable: Variable) -> "Spec":
        """Return what is to be known of a variable before its values are."""
        values = np.asarray(variable.values)
        return cls(tuple(variable.dims), values.shape, values.dtype, variable.units, variable.long_name)

    @property
    def nbytes(self) -> int:
        """Size of the values in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


Specs = Mapping[str, Mapping[str, Spec]]
"""Variables without values, by group and name."""


def specs_of(groups: Mapping[str, Group]) -> dict[str, dict[str, Spec]]:
    """Return what is to be known of variables, by group and name."""
    return {group: {name: Spec.of(variable) for name, variable in known.items()} for group, known in groups.items()}


def size_of(specs: Specs) -> int:
    """Return about how many bytes a file of such variables has: values, and labels of 8 bytes along the axes."""
    values = sum(spec.nbytes for group in specs.values() for spec in group.values())
    return values + 8 * sum(sum(_sizes(group).values()) for group in specs.values())


def create(file: Any, specs: Specs, labels: Mapping[str, Labels]) -> None:
    """Lay out groups, axes and empty variables in a new file, and label the axes.

    Args:
        file: An h5netcdf file that is open for writing.
        specs: Variables by group and name; within a group one axis has one length.
        labels: Labels along some axes, by the axis's name. Others are numbered 0, 1, 2, ...
    """
    for group, known in specs.items():
        folder = file.create_group(group)
        sizes = _sizes(known)
        folder.dimensions = sizes
        for dim, size in sizes.items():
            _label(folder, dim, size, labels.get(dim, np.arange))
        for name, spec in known.items():
            _declare(folder, name, spec)


def fill(file: Any, groups: Mapping[str, Group], start: int = 0) -> None:
    """Write values of variables that were laid out.

    Args:
        file: The file, after `create`.
        groups: Variables by group and name: all their values, or those of consecutive points.
        start: Number of the first of these points.
    """
    for group, variables in groups.items():
        for name, variable in variables.items():
            _put(file[group][name], variable, start)


def _put(made: Any, part: Variable, start: int) -> None:
    values = _stored(part.values)
    if values.size:
        where = tuple(
            slice(start, start + size) if dim == POINT else slice(None)
            for dim, size in zip(part.dims, values.shape, strict=True)
        )
        made[where or ...] = values


def _sizes(specs: Mapping[str, Spec]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for spec in specs.values():
        sizes.update(zip(spec.dims, spec.shape, strict=True))
    return sizes


def _label(folder: Any, dim: str, size: int, labels: Labels) -> None:
    """Write the labels along an axis, not all of which need to be in memory."""
    first = np.asarray(labels(0, min(size, _LABELS)))
    _declare(folder, dim, Spec((dim,), (size,), first.dtype, "", ""))
    for start in range(0, size, _LABELS):
        stop = min(start + _LABELS, size)
        folder[dim][start:stop] = _stored(np.asarray(labels(start, stop)) if start else first)


def _declare(folder: Any, name: str, spec: Spec) -> None:
    """Make an empty variable: no value stands for a gap, and large arrays lie in chunks with checksums.

    Whole numbers are packed. Draws are not: their digits are random, and an eighth less costs many times the time.
    """
    import h5py

    options: dict[str, Any] = {}
    kind = spec.dtype.kind
    if kind != "U" and spec.shape and spec.nbytes >= CHUNK_FROM:
        options = {"fletcher32": True, "chunks": _chunks(spec)}
        if kind in "iub":
            options |= {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    dtype = {"U": h5py.string_dtype(), "b": np.dtype("i1")}.get(kind, spec.dtype)
    made = folder.create_variable(name, spec.dims, dtype=dtype, **options)
    if kind == "b":
        made.attrs["dtype"] = "bool"  # how xarray knows truth values, which NetCDF4 lacks
    for key, text in (("units", spec.units), ("long_name", spec.long_name)):
        if text:
            made.attrs[key] = text


def _chunks(spec: Spec) -> tuple[int, ...] | None:
    """Return chunks of as many whole points as fit, or None for h5py's own choice where there are no points."""
    if POINT not in spec.dims:
        return None
    axis = spec.dims.index(POINT)
    chunk = [1 if place == axis else size for place, size in enumerate(spec.shape)]
    most = _CHUNK // spec.dtype.itemsize
    while math.prod(chunk) > most:
        widest = chunk.index(max(chunk))
        chunk[widest] = -(-chunk[widest] // 2)
    chunk[axis] = min(spec.shape[axis], max(most // math.prod(chunk), 1))
    return tuple(chunk)


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """Return values as the file holds them."""
    if values.dtype.kind == "b":
        return values.astype(np.int8)
    return values.astype(object) if values.dtype.kind == "U" else values
