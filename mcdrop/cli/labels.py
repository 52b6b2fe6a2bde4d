"""Labels of groups from files: numbers, as other arrays are read, or texts, which no net takes as inputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.cli.arrays import TABLES, parted, read_array
from mcdrop.errors import DataError, McdropError

__all__ = ["read_labels"]

_EXACT = 2.0**53
"""Below it, a float tells whole numbers apart."""


def read_labels(place: str, *, option: str) -> NDArray[Any]:
    """Read one array of numbers or texts.

    Args:
        place: The file, or `file::name`.
        option: Which option names it, for messages.

    Returns:
        Numbers as `read_array` reads them, else texts, shape (N,). Numbers of a table that are too long for a float,
        such as those of patients, are texts, too.

    Raises:
        McdropError: As of `read_array`; or if texts have gaps.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/g.npy", np.array(["may", "june"]))
        ...     read_labels(f"{folder}/g.npy", option="--groups").tolist()
        ['may', 'june']
    """
    try:
        values = read_array(place, option=option)
    except McdropError:
        texts = _texts(*parted(place), option)
        if texts is None:
            raise
        return texts
    if values.dtype == np.float64 and (np.abs(values) >= _EXACT).any():
        texts = _texts(*parted(place), option)
        return values if texts is None else texts
    return values


def _texts(path: Path, name: str | None, option: str) -> NDArray[np.str_] | None:
    """Return texts, or None where there are none to be read."""
    try:
        cells = _cells(path, name)
    except Exception:  # what is wrong with the file has been said by who reads numbers
        return None
    if cells is None:
        return None
    gaps = [row for row, cell in enumerate(cells) if not isinstance(cell, str) or not cell]
    if gaps:
        raise DataError(f"{option}: {path}: expected a label in every row, got an empty one in row {gaps[0]}; fill it")
    return np.array(cells, dtype=np.str_)


def _cells(path: Path, name: str | None) -> Sequence[Any] | None:
    """Return the texts of a file, something else than a text where one is missing."""
    ending = path.name.lower()
    if ending.endswith((".npy", ".npz")):
        return _numpy_texts(path, name)
    if ending.endswith(TABLES):
        return _parquet_texts(path, name) if ending.endswith((".parquet", ".pq")) else _delimited_texts(path, name)
    return _hdf5_texts(path, name)


def _numpy_texts(path: Path, name: str | None) -> Sequence[Any] | None:
    with path.open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        values = stored if isinstance(stored, np.ndarray) else stored[_only(stored.files) if name is None else name]
    return values.tolist() if values.dtype.kind == "U" and values.ndim == 1 else None


def _hdf5_texts(path: Path, name: str | None) -> Sequence[Any] | None:
    import h5py

    with h5py.File(path, "r") as file:
        item = file[_only(list(file)) if name is None else name]
        return item.asstr()[:].tolist() if item.dtype.kind in "OS" and item.ndim == 1 else None


def _parquet_texts(path: Path, name: str | None) -> Sequence[Any]:
    from pyarrow import compute, parquet, string

    with parquet.ParquetFile(path) as file:
        chosen = _only(file.schema_arrow.names) if name is None else name
        return compute.cast(file.read([chosen]).column(chosen), string()).to_pylist()  # type: ignore[no-any-return]


def _delimited_texts(path: Path, name: str | None) -> Sequence[Any]:
    """Return a column of a text file, whose rows are those that `mcdrop.sources` sees."""
    import warnings

    from pandas import read_csv

    dialect: dict[str, Any] = {"sep": "\t" if ".tsv" in path.name.lower() else ",", "dtype": str, "encoding": "utf-8"}
    first = read_csv(path, header=None, nrows=1, keep_default_na=False, **dialect)
    names = [str(title).strip() for title in first.iloc[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of lines with more cells than the header
        table = read_csv(
            path,
            header=0,
            names=list(range(len(names))),
            index_col=False,
            skip_blank_lines=len(names) > 1,
            low_memory=False,
            **dialect,
        )
    place = names.index(_only(names) if name is None else name)
    return table[place].to_list()  # type: ignore[no-any-return]


def _only(names: Sequence[str]) -> str:
    """Return the only name there is."""
    (name,) = names
    return name
