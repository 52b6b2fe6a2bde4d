"""Tables: one row per point as CSV or Parquet, written block by block."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_choice
from mcdrop.errors import DataError, DependencyError, OutputError
from mcdrop.files import write_whole
from mcdrop.progress import track
from mcdrop.storage.archive import Block
from mcdrop.storage.columns import ROW_COLUMN, Cells, Column, cells_of, columns_of, rows_of
from mcdrop.storage.joining import Whole, join
from mcdrop.storage.labels import Labels, told
from mcdrop.storage.places import as_path

__all__ = ["TableFormat", "write_table"]

TableFormat = Literal["csv", "parquet"]

_ROW_GROUP = 1 << 16  # points of Parquet that are packed together
_ROW_GROUP_BYTES = 1 << 25  # or as many as are in that many bytes, since they are in memory at once

_Frame = dict[str, Cells]
_Add = Callable[[_Frame], None]


def write_table(
    path: str | Path,
    blocks: Sequence[Block],
    *,
    format: TableFormat,
    labels: ArrayLike | Labels | None = None,
    progress: bool | str = False,
    partial: str | None = None,
) -> Path:
    """Write one row per point, with a column for each number that a prediction has there.

    The first column, `row`, says which point it is. A variable with one value per point is a column of its name, one
    with several is `mean_0`, `mean_1`, ..., one over a grid `mean_0_0`, ... What is the same for all points is no
    column. Numbers are written so that they read back to the bit. NaN is an empty cell; where nothing was predicted,
    whole numbers are empty too.

    Args:
        path: The file; an old one is replaced once the new one is whole.
        blocks: The blocks in order of their points.
        format: "csv", or "parquet", which needs pyarrow.
        labels: Name or number of every point, as an array or a function that gives them from one position up to
            another. Default: the variable `row` of the blocks if there is one, else 0, 1, 2, ...
        progress: Show a progress bar, or a text beside one.
        partial: Name of the file beside it that is written first. For a caller who sees to it that no one else writes
            there: what a process that was killed left under this name is removed before. Default: a name of chance.

    Returns:
        The path.

    Raises:
        InputError: If blocks differ, hold the passes themselves, or have too many numbers per point for a table.
        DependencyError: If pyarrow is needed and missing.
        OutputError: If the file cannot be written, or something is there that is no file.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from mcdrop import storage
        >>> mean = storage.Variable(("point", "output"), np.array([[0.1, 2.0], [np.nan, 3.0]]))
        >>> block = storage.Block(2, lambda: {"predictions": {"mean": mean}})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     storage.write_table(f"{folder}/a.csv", [block], format="csv").read_text().split()
        ['row,mean_0,mean_1', '0,0.1,2.0', '1,,3.0']
    """
    check_choice("format", format, TableFormat)
    if format == "parquet":
        _refuse_without_pyarrow()
    target = as_path(path)
    whole = join(blocks)
    columns = columns_of(whole.specs)
    known = None if labels is None else told(ROW_COLUMN, labels, whole.points)
    opened = {"csv": _csv, "parquet": _parquet}[format]
    try:
        write_whole(
            target,
            lambda place: _write(opened(place), whole, columns, known, progress),
            advice="choose a writable folder with enough space",
            partial=partial,
        )
    except OutputError as error:
        if isinstance(error.__cause__, DataError):  # of what is written: the place is not to blame
            raise error.__cause__ from None
        raise
    return target


def _write(
    opened: AbstractContextManager[_Add],
    whole: Whole,
    columns: list[Column],
    labels: Labels | None,
    progress: bool | str,
) -> None:
    """Write a table into an open file, block by block."""
    with opened as add, track(whole.points, "Writing", enabled=progress) as advance:
        add(_nothing(whole, columns, labels))
        for start, stop, groups in whole.parts():
            own = rows_of(groups) if labels is None else labels(start, stop)
            rows = np.arange(start, stop) if own is None else own
            cells = zip(columns, cells_of(columns, groups), strict=True)
            add({ROW_COLUMN: _full(rows)} | {column.name: cell for column, cell in cells})
            del groups, cells  # before the next block is read
            advance(stop - start)


def _nothing(whole: Whole, columns: list[Column], labels: Labels | None) -> _Frame:
    """Return the table without any points: names and types of the columns."""
    rows = np.zeros(0, dtype=np.int64) if labels is None else labels(0, min(whole.points, 1))[:0]
    return {ROW_COLUMN: _full(rows)} | {column.name: _full(np.zeros(0, dtype=column.dtype)) for column in columns}


def _full(values: NDArray[Any]) -> Cells:
    return Cells(values, np.zeros(len(values), dtype=bool))


@contextmanager
def _csv(place: Path) -> Iterator[_Add]:
    """Open a CSV file; the first piece that is added gives the names of the columns."""
    import pandas as pd

    with place.open("w", encoding="utf-8", newline="") as file:

        def add(frame: _Frame) -> None:
            table = pd.DataFrame({name: _nullable(cells) for name, cells in frame.items()})
            table.to_csv(file, index=False, header=file.tell() == 0, lineterminator="\n")

        yield add


def _nullable(cells: Cells) -> Any:
    """Return cells as pandas writes them; NaN is empty there in any case."""
    import pandas as pd

    if cells.values.dtype.kind in "fU" or not cells.empty.any():
        return cells.values
    kind = pd.arrays.BooleanArray if cells.values.dtype.kind == "b" else pd.arrays.IntegerArray
    return kind(cells.values, cells.empty)


@contextmanager
def _parquet(place: Path) -> Iterator[_Add]:
    """Open a Parquet file; the first piece that is added gives names and types of the columns."""
    import pyarrow as pa
    from pyarrow import parquet

    waiting: list[Any] = []
    writer: Any = None

    def write() -> None:
        if waiting:
            writer.write_table(pa.concat_tables(waiting), row_group_size=_ROW_GROUP)
            waiting.clear()

    def add(frame: _Frame) -> None:
        nonlocal writer
        table = pa.table({name: pa.array(cells.values, mask=cells.empty) for name, cells in frame.items()})
        writer = writer or parquet.ParquetWriter(place, table.schema)
        waiting.append(table)
        rows, size = sum(len(one) for one in waiting), sum(one.nbytes for one in waiting)
        if rows >= _ROW_GROUP or size >= _ROW_GROUP_BYTES:
            write()

    try:
        yield add
        write()
    finally:
        if writer is not None:
            writer.close()


def _refuse_without_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            "format='parquet' needs pyarrow, which is not installed; install it with pip install \"mcdrop[parquet]\", "
            "or write format='csv'"
        ) from error
