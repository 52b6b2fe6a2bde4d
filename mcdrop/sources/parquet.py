"""Parquet files: columns of numbers as one array, columns of lists as arrays of their own."""

from collections.abc import Sequence
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError, DependencyError
from mcdrop.sources.columns import choose_columns
from mcdrop.sources.layout import Contents, RowType, first_few
from mcdrop.sources.parquet_columns import as_array, is_list, item_dtype, list_length
from mcdrop.sources.source import Source

__all__ = ["ParquetSource"]

_INDEX = "__index_level_"  # what pandas calls an index without a name that it writes beside the columns
_FEW = 1024  # rows that are read to see how long the lists are


class ParquetSource(Source):
    """Columns of a Parquet file, of which one group of rows lies in memory at a time.

    Columns of numbers are one float64 array of shape (N, number of columns), the net's positional input. A column of
    lists of one length L is an array (N, L), the positional input if it is the only column chosen; with others beside
    it, all are keyword inputs by name, of the types that they have in the file.
    """

    kind = "a Parquet file"

    def __init__(self, path: Path, *, columns: Sequence[str] | None = None) -> None:
        """Read the file's footer, and of columns of lists the first lists.

        Args:
            path: The file.
            columns: The columns to read, in this order; None for all, without an index that pandas wrote.
        """
        self._wanted = columns
        super().__init__(path)

    def describe(self) -> str:
        """Return one line for a report: name, number of rows, and the columns."""
        listed = "" if self.by_name else f" ({first_few(self._options['columns'], most=8)})"
        return super().describe() + listed

    def _examine(self) -> Contents:
        with closing(_file(self.path)) as file:
            schema = file.schema_arrow
            names = [name for name in schema.names if self._wanted is not None or not _is_index(schema, name)]
            chosen = choose_columns(names, self._wanted, place=self.path)
            self._options["columns"] = chosen
            types = {name: schema.field(name).type for name in chosen}
            dtypes = {name: item_dtype(kind, place=self.path, name=name) for name, kind in types.items()}
            groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            self._bounds = [0, *accumulate(groups)]
            if self._bounds[-1] == 0 or not chosen:
                raise DataError(f"{self.path}: expected rows and columns, got none; check what wrote it")
            lists = {name: self._length(file, name) for name, kind in types.items() if is_list(kind)}
        if not lists:
            self._columns = {name: RowType((), np.dtype(np.float64)) for name in chosen}
            return Contents(self._bounds[-1], {"x": RowType((len(chosen),), np.dtype(np.float64))})
        self._columns = {name: RowType((lists[name],) if name in lists else (), dtypes[name]) for name in chosen}
        return Contents(self._bounds[-1], self._columns, by_name=len(chosen) > 1)

    def _length(self, file: Any, name: str) -> int:
        for batch in file.iter_batches(batch_size=_FEW, columns=[name]):
            length = list_length(batch.column(name))
            if length is not None:
                if length == 0:
                    break
                return length
        raise DataError(f"{self.path}: expected values in the lists of column {name!r}, got none; write it again")

    def _open(self) -> "_Groups":
        return _Groups(self.path, self._columns, self._bounds)

    def _read(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        groups: _Groups = self._opened()
        parts = []
        for group, (first, end) in enumerate(zip(self._bounds, self._bounds[1:], strict=False)):
            if first < stop and start < end:
                columns = groups.read(group)
                part = slice(max(start, first) - first, min(stop, end) - first)
                # Copies, so that a group is freed before the next one is read
                parts.append({name: column[part].copy() for name, column in columns.items()})
        columns = {name: np.concatenate([part[name] for part in parts]) for name in self._columns}
        if self.arrays is self._columns:
            return columns
        return {"x": np.stack(list(columns.values()), axis=1)}


class _Groups:
    """An open file, and the group of rows that was read last."""

    def __init__(self, path: Path, columns: dict[str, RowType], bounds: list[int]) -> None:
        self._path, self._columns, self._bounds = path, columns, bounds
        self._file = _file(path)
        self._last: tuple[int, dict[str, NDArray[Any]]] | None = None

    def read(self, group: int) -> dict[str, NDArray[Any]]:
        """Return the columns of a group of rows."""
        if self._last is None or self._last[0] != group:
            self._last = None  # freed before the next one is read
            table = self._file.read_row_group(group, columns=list(self._columns), use_threads=False)
            arrays = {
                name: as_array(table.column(name), row, place=self._path, name=name, start=self._bounds[group])
                for name, row in self._columns.items()
            }
            self._last = (group, arrays)
        return self._last[1]

    def close(self) -> None:
        """Close the file and let go of the group."""
        self._last = None
        self._file.close()


def _is_index(schema: Any, name: str) -> bool:
    """Tell a column of an index that pandas wrote: the schema lists them, whatever they are called."""
    listed = (schema.pandas_metadata or {}).get("index_columns", [])
    return name.startswith(_INDEX) or name in [each for each in listed if isinstance(each, str)]


def _file(path: Path) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise DependencyError(
            'Parquet files need pyarrow, which is not installed; pip install "mcdrop[parquet]"'
        ) from error
    return ParquetFile(path)
