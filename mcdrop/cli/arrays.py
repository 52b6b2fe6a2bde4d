"""Arrays from files that a user names: `file`, or `file::name` where a file holds several.

`.npy` holds one array; `.npz` members, `.h5` datasets and `.csv` columns, of which one has to be named unless there is
only one. Nothing is unpickled, so no file runs code.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError

__all__ = ["FILE_AND_NAME", "label_of", "read_array"]

Array = NDArray[Any]

FILE_AND_NAME = "FILE[::NAME]"
"""How the help of an option shows what `read_array` takes."""


def read_array(place: str, *, what: str) -> Array:
    """Read one array.

    Args:
        place: The file, or `file::name`.
        what: What it is for, such as "truth", for messages.

    Returns:
        Numbers, truth values or texts, in the shape that they have in the file; of a column, shape (N,).

    Raises:
        DataError: If there is no such file or no such name in it, it holds several arrays and none is named, it cannot
            be read, or it holds something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/a.npz", x=np.zeros(2), y=np.arange(3))
        ...     read_array(f"{folder}/a.npz::y", what="truth")
        array([0, 1, 2])
    """
    path, name = _parted(place)
    read = _reader(path, what)
    if not path.is_file():
        raise _unusable(what, path, "a folder" if path.is_dir() else "no such file", "check the path")
    try:
        values = np.asarray(read(path, name, what))
    except DataError:
        raise
    except PermissionError as error:
        raise _unusable(what, path, "one that may not be read", "check its permissions") from error
    except Exception as error:  # a damaged file can fail in any way
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise _unusable(what, path, f"a file that cannot be read ({reason})", "it may be damaged") from error
    if values.dtype.kind == "O":
        raise _unusable(what, path, "values of several types", "keep numbers alone, or texts alone")
    if values.dtype.kind not in "biufU" or values.ndim == 0:
        got = f"{values.dtype}" if values.ndim else "a single value"
        raise _unusable(what, path, got, "store one number or text per row")
    return values


def label_of(place: str) -> str:
    """Return what an array is called: its name in the file, else the file's.

    Example:
        >>> label_of("runs/co2.h5::test/year"), label_of("year.npy")
        ('year', 'year')
    """
    path, name = _parted(place)
    return name.rsplit("/", 1)[-1] if name else path.name.split(".")[0]


def _parted(place: str) -> tuple[Path, str | None]:
    """Return the file and the name in it, if one is given."""
    path, mark, name = place.partition("::")
    return (Path(path), name) if mark and not Path(place).exists() else (Path(place), None)


def _reader(path: Path, what: str) -> Callable[[Path, str | None, str], Any]:
    for ending, read in _READERS.items():
        if path.name.lower().endswith(ending):
            return read
    raise _unusable(what, path, f"a file named *{path.suffix}", f"give one of {', '.join(_READERS)}")


def _read_npy(path: Path, name: str | None, what: str) -> Array:
    if name is not None:
        raise _unusable(what, path, f"the name {name!r}", "an .npy file holds one array; leave '::' out")
    with path.open("rb") as file:
        try:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        except ValueError as error:
            raise _pickled(what, path, error) from error


def _read_npz(path: Path, name: str | None, what: str) -> Array:
    with np.load(path, allow_pickle=False) as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise _unusable(what, path, "a single array", "name it *.npy")
        chosen = _choose(what, path, name, file.files, "member")
        try:
            return np.asarray(file[chosen])
        except ValueError as error:
            raise _pickled(what, path, error) from error


def _read_hdf5(path: Path, name: str | None, what: str) -> Array:
    import h5py

    with h5py.File(path, "r") as file:
        found: list[str] = []
        file.visititems(lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) else None)
        chosen = file[_choose(what, path, None if name is None else name.strip("/"), found, "dataset")]
        return np.asarray(chosen.asstr()[...] if chosen.dtype.kind in "OS" else chosen[...], dtype=_text(chosen.dtype))


def _text(dtype: np.dtype[Any]) -> type | None:
    return str if dtype.kind in "OS" else None


def _read_csv(path: Path, name: str | None, what: str) -> Array:
    import pandas as pd

    separator = "\t" if ".tsv" in path.name.lower() else ","
    columns = [str(column) for column in pd.read_csv(path, sep=separator, nrows=0).columns]
    if name is None and any(_is_number(column) for column in columns):
        raise _unusable(what, path, f"numbers in its first line ({columns[0]!r})", "name the columns there")
    chosen = _choose(what, path, name, columns, "column")
    table = pd.read_csv(path, sep=separator, usecols=[chosen], skip_blank_lines=False)
    values = table[chosen].to_numpy()
    return values if values.dtype.kind in "biuf" else _texts(table[chosen], what, path)


def _texts(column: Any, what: str, path: Path) -> Array:
    """Return texts; a gap or a number among them has no type of its own in a CSV file, so a gap is refused."""
    gaps = np.flatnonzero(column.isna().to_numpy())
    if len(gaps):
        raise _unusable(what, path, f"texts with an empty cell in row {gaps[0]}", "fill it")
    return np.asarray(column.to_numpy(), dtype=str)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _choose(what: str, path: Path, name: str | None, found: Sequence[str], each: str) -> str:
    """Return the name that is asked for, or the only one there is."""
    listed = ", ".join(found[:20]) + (", ..." if len(found) > 20 else "")
    if name is None:
        if len(found) == 1:
            return found[0]
        raise _unusable(what, path, f"{len(found)} {each}s ({listed})", f"name one: {path.name}::{each}")
    if name not in found:
        raise _unusable(what, path, f"no {each} {name!r} in it", f"there are: {listed or 'none'}")
    return name


def _pickled(what: str, path: Path, error: ValueError) -> DataError:
    if "allow_pickle" not in str(error):
        return _unusable(what, path, f"a file that cannot be read ({error})", "it may be damaged")
    return _unusable(what, path, "a pickled array, whose reading could run code", "save it as plain numbers or texts")


def _unusable(what: str, path: Path, got: str, advice: str) -> DataError:
    return DataError(f"{what} must be an array in a file, got {got} ({path}); {advice}")


_READERS: dict[str, Callable[[Path, str | None, str], Any]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".nc": _read_hdf5,
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".tsv": _read_csv,
}
