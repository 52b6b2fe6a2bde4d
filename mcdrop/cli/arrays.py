"""Arrays from files that a user names: `file`, or `file::name` where a file holds several.

They are read as inputs are (`mcdrop.sources`), so that a row of the truth is the row that was predicted. The name of a
table's column stands after the mark, too.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from mcdrop.errors import InputError, McdropError

if TYPE_CHECKING:
    from mcdrop.sources import Source

__all__ = ["FILE_AND_NAME", "TABLES", "label_of", "parted", "read_array"]

Array = NDArray[Any]

FILE_AND_NAME = "FILE[::NAME]"
"""How the help of an option shows what `read_array` takes."""

TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq")
"""How the names of files end that have columns."""


def read_array(place: str, *, option: str) -> Array:
    """Read one array of numbers.

    Args:
        place: The file, or `file::name`.
        option: Which option names it, for messages.

    Returns:
        Numbers or truth values, in the shape that they have in the file; of a table's column, shape (N,).

    Raises:
        McdropError: If there is no such file or no such name in it, it holds several arrays and none is named, it
            cannot be read, or it holds something else.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/a.npz", x=np.zeros(2), y=np.arange(3))
        ...     read_array(f"{folder}/a.npz::y", option="--truth")
        array([0, 1, 2])
    """
    path, name = parted(place)
    try:
        if path.is_dir():
            raise InputError(f"{path}: expected a file with an array, got a folder; check the path")
        values = _column(path, name) if path.name.lower().endswith(TABLES) else _array(place, path)
        if values.dtype.kind not in "biuf":
            raise InputError(f"{path}: expected real numbers, got {values.dtype}; take the part that is meant")
        return values
    except McdropError as error:
        raise type(error)(f"{option}: {error}") from error


def label_of(place: str) -> str:
    """Return what an array is called: its name in the file, else the file's.

    Example:
        >>> label_of("runs/co2.h5::test/year"), label_of("year.npy")
        ('year', 'year')
    """
    path, name = parted(place)
    return name.rsplit("/", 1)[-1] if name else path.name.split(".")[0]


def parted(place: str) -> tuple[Path, str | None]:
    """Return the file and the name in it, if one is given.

    Example:
        >>> parted("a.csv::y")[1], parted("a.csv")[1]
        ('y', None)
    """
    path, mark, name = place.partition("::")
    return (Path(path), name) if mark and not Path(place).exists() else (Path(place), None)


def _column(path: Path, name: str | None) -> Array:
    """Return a column of a table: the one of that name, or the only one there is."""
    from mcdrop.sources import open_source

    advice = f"name one column: {path.name}::column"
    try:
        source = open_source(path, columns=None if name is None else [name])
    except McdropError as error:
        if name is not None:
            raise
        raise type(error)(f"{error}; or {advice}") from error  # a column may be at fault that is not meant
    with source:
        if source.by_name or (name is None and source.arrays["x"].shape != (1,)):
            raise InputError(f"{path}: expected one column, got {source.describe()}; {advice}")
        values = _whole(source)
    return values[:, 0] if values.shape[1:] == (1,) else values  # else a column of lists


def _array(place: str, path: Path) -> Array:
    """Return the array of that name, or the only one there is."""
    from mcdrop.sources import open_source

    with open_source(place) as source:
        if source.by_name:
            names = list(source.arrays)
            raise InputError(f"{path}: expected one array, got {', '.join(names)}; name one: {path.name}::{names[0]}")
        return _whole(source)


def _whole(source: "Source") -> Array:
    values = source.read(0, len(source))
    assert not isinstance(values, dict)  # by_name is false
    return values
