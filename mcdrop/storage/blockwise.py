"""Writing block by block: the file that `write` makes of the whole, with one block at a time in memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from mcdrop.errors import InputError
from mcdrop.progress import track
from mcdrop.storage.archive import Block
from mcdrop.storage.attributes import encode, own
from mcdrop.storage.joining import Whole, join
from mcdrop.storage.labels import Labels, told
from mcdrop.storage.layout import fill
from mcdrop.storage.places import as_path
from mcdrop.storage.writing import save

__all__ = ["write_blocks"]


def write_blocks(
    path: str | Path,
    kind: str,
    blocks: Sequence[Block],
    attributes: Mapping[str, Any],
    *,
    coords: Mapping[str, ArrayLike | Labels] | None = None,
    progress: bool | str = False,
    partial: str | None = None,
) -> Path:
    """Write blocks of points to the file that `write` would make of them as a whole.

    Variables that have the axis "point" are joined along it. All others, such as the number of passes, must be the
    same in every block. Every block is read once, the first one twice.

    Args:
        path: The file; an old one is replaced once the new one is whole, which takes over its permissions.
        kind: Name of the class whose result it is.
        blocks: The blocks in order of their points.
        attributes: Plain data about the whole, as `write` takes it.
        coords: Labels along an axis, by its name: an array, or a function that gives the labels from one position up
            to another, so that they need not be in memory. Default: 0, 1, 2, ...
        progress: Show a progress bar, or a text beside one.
        partial: Name of the file beside it that is written first. For a caller who sees to it that no one else writes
            there: what a process that was killed left under this name is removed before. Default: a name of chance.

    Returns:
        The path.

    Raises:
        InputError: If blocks differ in names, axes, types or trailing shapes, or in what must be the same in all.
        OutputError: If the file cannot be written, or something is there that is no file; it is still there then.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from mcdrop import storage
        >>> def block(values):
        ...     groups = {"predictions": {"mean": storage.Variable(("point",), np.array(values), "ppm")}}
        ...     return storage.Block(len(values), lambda: groups)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = storage.write_blocks(f"{folder}/a.nc", "Example", [block([1.0, 2.0]), block([3.0])], {"seed": 0})
        ...     storage.read(path).groups["predictions"]["mean"].values
        array([1., 2., 3.])
    """
    target = as_path(path)
    whole = join(blocks)
    labels = {dim: _told(dim, values, whole) for dim, values in (coords or {}).items()}

    def fill_in(file: Any) -> None:
        fill(file, whole.constants)
        with track(whole.points, "Writing", enabled=progress) as advance:
            for start, stop, groups in whole.parts():
                fill(file, groups, start)
                del groups  # before the next one is read
                advance(stop - start)

    save(target, whole.specs, encode(attributes) | own(kind), fill_in, labels=labels, partial=partial)
    return target


def _told(dim: str, values: ArrayLike | Labels, whole: Whole) -> Labels:
    sizes = {
        name: size
        for known in whole.specs.values()
        for spec in known.values()
        for name, size in zip(spec.dims, spec.shape, strict=True)
    }
    if dim not in sizes:
        raise InputError(f"coords must label axes of the variables, got {dim}; leave it out")
    return told(dim, values, sizes[dim])
