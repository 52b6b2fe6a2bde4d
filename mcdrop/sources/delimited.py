"""CSV and TSV files, plain or gzipped: columns of numbers as one array of float64."""

import gzip
import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError
from mcdrop.sources.columns import choose_columns
from mcdrop.sources.layout import Contents, RowType, first_few
from mcdrop.sources.source import Source

__all__ = ["DelimitedSource"]

_CELLS, _BYTES = 2**19, 2**24
"""So many cells, of so many bytes, are parsed at once where rows are counted or passed over."""

_LOOK = 2**20
"""Bytes at the start of the file that tell how long its lines are."""


class DelimitedSource(Source):
    """Columns of a text file, the first line of which names them.

    The file is parsed once when it is opened, in pieces: that counts the rows as the parser sees them, with quoted line
    breaks, and finds text among the numbers before any long work starts. Empty cells and words such as NA become NaN.
    Lines without anything in them are no rows, except in a file of one column, where such a line is an empty cell,
    unless the file ends with it. What a reader passes over is parsed, too; whoever goes back makes it start anew.
    """

    kind = "a CSV file"

    def __init__(self, path: Path, *, columns: Sequence[str] | None = None) -> None:
        """Read the header and parse the file once.

        Args:
            path: The file; tabs separate its cells if its name says `.tsv`, else commas.
            columns: The columns to read, in this order; None for all.
        """
        self._wanted = columns
        super().__init__(path)

    def describe(self) -> str:
        """Return one line for a report: name, number of rows, and the columns."""
        return f"{super().describe()} ({first_few(self._options['columns'], most=8)})"

    def _examine(self) -> Contents:
        names = self._header()
        self._width = len(names)
        self._piece = self._rows_at_once()
        chosen = choose_columns(names, self._wanted, place=self.path)
        self._places = [names.index(name) for name in chosen]
        self._titles = dict(zip(self._places, chosen, strict=True))
        self._options["columns"] = chosen
        return Contents(self._count(), {"x": RowType((len(chosen),), np.dtype(np.float64))})

    def _header(self) -> list[str]:
        from pandas import read_csv

        first = read_csv(self.path, header=None, nrows=1, dtype=str, keep_default_na=False, **self._dialect())
        names = [str(name).strip() for name in first.iloc[0]]
        if len(names) == 1 and self._start().count(b";") > names[0].count(";") > 0:
            raise DataError(
                f"{self.path}: expected commas between its cells, got semicolons; write it with commas, and decimal "
                "points in its numbers"
            )
        if all(map(_is_number, names)):
            raise DataError(
                f"{self.path}: expected names of columns in the first line, got the numbers {first_few(names, most=3)};"
                " put a line with names before them"
            )
        return names

    def _dialect(self) -> dict[str, Any]:
        endings = [ending.lower() for ending in self.path.suffixes]
        return {
            "sep": "\t" if ".tsv" in endings[-2:] else ",",
            "compression": "gzip" if endings[-1] == ".gz" else None,
            "encoding": "utf-8",
            "engine": "c",
        }

    def _parser(self, dtype: Any, *, chosen: bool, piece: int | None = None) -> Any:
        """Start to parse the lines after the header.

        Args:
            dtype: Of the cells, or of each column's by its place.
            chosen: Whether to take the chosen columns only; then a line with too many cells goes unnoticed.
            piece: Rows that each step gives.
        """
        from pandas import read_csv

        return read_csv(
            self.path,
            header=0,
            names=list(range(self._width)),
            usecols=self._places if chosen else None,
            index_col=False,
            dtype=dtype,
            iterator=True,
            chunksize=piece,
            skip_blank_lines=self._width > 1,
            **self._dialect(),
        )

    def _rows_at_once(self) -> int:
        """Return how many rows to parse at once where all are parsed: few where lines hold long texts."""
        start = self._start()
        line = len(start) // max(1, start.count(b"\n"))
        return max(1, min(_CELLS // self._width, _BYTES // max(1, line)))

    def _count(self) -> int:
        """Parse the whole file in pieces, and return the number of its rows."""
        from pandas.errors import ParserWarning

        rows = 0
        dtypes = {place: np.float64 if place in self._titles else str for place in range(self._width)}
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)  # of lines with more cells than the header
            with self._parser(dtypes, chosen=False, piece=self._piece) as parser:
                try:
                    for frame in parser:
                        rows += len(frame)
                except ValueError as error:
                    self._refuse_text(rows, rows + self._piece, error)
                    raise
        return rows - (self._width == 1 and self._ends_blank())

    def _ends_blank(self) -> bool:
        """Tell whether the last line has nothing in it: then it is a line break too many, and no empty cell."""
        end = b""
        with self._bytes() as file:
            while piece := file.read(_LOOK):
                end = (end + piece)[-4:]
        return end.replace(b"\r\n", b"\n").replace(b"\r", b"\n").endswith(b"\n\n")

    def _start(self) -> bytes:
        with self._bytes() as file:
            return file.read(_LOOK)

    def _bytes(self) -> gzip.GzipFile | IO[bytes]:
        return gzip.open(self.path) if self._dialect()["compression"] else self.path.open("rb")

    def _open(self) -> "_Lines":
        return _Lines(self._parser(np.float64, chosen=True), self._piece)

    def _read(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        lines: _Lines = self._opened()
        if lines.row > start:
            self.close()
            lines = self._opened()
        try:
            frame = lines.read(start, stop)
        except ValueError as error:
            self._refuse_text(start, stop, error)
            raise
        return {"x": np.array(frame[self._places], dtype=np.float64, order="C")}

    def _refuse_text(self, start: int, stop: int, error: Exception) -> None:
        """Say where the text is that is no number, if there is one in these rows."""
        from pandas import to_numeric

        with closing(_Lines(self._parser(str, chosen=True), self._piece)) as lines:
            frame = lines.read(start, stop)
        bad = {
            place: np.flatnonzero(
                frame[place].notna() & to_numeric(frame[place].astype(object), errors="coerce").isna()
            )
            for place in self._places
        }
        places = [place for place, rows in bad.items() if len(rows)]
        if places:
            place = min(places, key=lambda place: int(bad[place][0]))
            at = int(bad[place][0])
            raise DataError(
                f"{self.path}: expected numbers in column {self._titles[place]!r}, got {str(frame[place].iloc[at])!r} "
                f"in row {start + at}; leave out the column, or turn its texts into numbers"
            ) from error


class _Lines:
    """A parser and the number of the row that comes next."""

    def __init__(self, parser: Any, piece: int) -> None:
        self.row = 0
        self._parser = parser
        self._piece = piece

    def read(self, start: int, stop: int) -> Any:
        """Return rows as a frame, fewer where the file ends; `start` is not before the next row."""
        while self.row < start:
            self._next(min(self._piece, start - self.row))
        return self._next(stop - start)

    def _next(self, rows: int) -> Any:
        frame = self._parser.get_chunk(rows)
        self.row += len(frame)
        return frame

    def close(self) -> None:
        """Close the file."""
        self._parser.close()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
