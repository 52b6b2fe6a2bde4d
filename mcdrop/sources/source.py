"""What all files of inputs have in common: so many rows, of which any run can be read as a block."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError, InputError, McdropError
from mcdrop.sources.blocks import Block
from mcdrop.sources.layout import Contents, RowType

__all__ = ["Source"]


class Source(ABC):
    """A file of inputs, open for reading; make one with `open_source`.

    Rows are numbered from 0 over the whole source. Blocks can be read in any order; forward is what every kind does
    well, in time that grows with the rows read and memory that does not grow with N. A source that is pickled, or that
    a forked process inherits, opens its file anew there. One thread at a time may read.

    Attributes:
        path: The file or folder, absolute.
        about: What identifies the source for a run that is resumed, as data that JSON can hold: kind, name of the
            file, size in bytes, time of its last change in ns, part and options, number of rows, and the shape and
            type of a row of each array.
    """

    kind: ClassVar[str]
    """What such files are called in messages."""

    def __init__(self, path: Path, *, part: str | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Look at the file once: how many rows it holds, and what a row is.

        Args:
            path: The file or folder, which is there.
            part: The array in the file, where one was named.
            options: What else was asked for, as plain data.

        Raises:
            DataError: If the file is damaged, empty, or holds something else.
        """
        self.path = path.absolute()
        self._part = part
        self._options = dict(options or {})
        self._handle: Any = None
        self._process = os.getpid()
        self._size, self._mtime = self._state()
        if self._size == 0:
            raise DataError(f"{self.path}: expected {self.kind}, got an empty file; write it again")
        with self._telling():
            self._contents = self._examine()
        self._refuse_changed()
        if self._contents.rows == 0:
            raise DataError(f"{self.path}: expected at least one row, got none; check what wrote it")
        self.about: dict[str, Any] = self._about()

    def __len__(self) -> int:
        return self._contents.rows

    @property
    def arrays(self) -> Mapping[str, RowType]:
        """What a row of each array is, by the array's name."""
        return self._contents.arrays

    @property
    def by_name(self) -> bool:
        """Whether blocks are dicts, for keyword inputs; else they are arrays, for one positional input."""
        return self._contents.by_name

    def read(self, start: int, stop: int) -> Block:
        """Read the rows start, ..., stop - 1.

        Args:
            start: Number of the first row, from 0.
            stop: Number of the row after the last one, at most N.

        Returns:
            An array of shape (stop - start, ...), or arrays by name where `by_name` is true. They are new: nobody else
            writes to them.

        Raises:
            InputError: If there are no such rows.
            DataError: If the file is damaged, or has changed since it was opened.
        """
        self._check_range(start, stop)
        if start == stop:
            arrays = {name: np.empty((0, *row.shape), row.dtype) for name, row in self.arrays.items()}
            return arrays if self.by_name else next(iter(arrays.values()))
        try:
            with self._telling():
                self._refuse_changed()
                arrays = self._read(int(start), int(stop))
        except BaseException:  # an interrupt, too, may leave a cursor between two rows
            self.close()
            raise
        if any(len(array) != stop - start for array in arrays.values()):
            raise self._changed("fewer rows")
        return arrays if self.by_name else next(iter(arrays.values()))

    def names(self, start: int, stop: int) -> NDArray[np.str_] | None:
        """Return what the rows start, ..., stop - 1 are called, where the source says it, else None.

        Raises:
            InputError: If there are no such rows.
        """
        self._check_range(start, stop)
        return None

    def describe(self) -> str:
        """Return one line for a report: name, number of rows, and what a row is."""
        name = self.path.name + (f"::{self._part}" if self._part is not None else "")
        listed = [f"{array} {row}" if self.by_name else str(row) for array, row in self.arrays.items()]
        return f"{name}, {len(self):,} row{'s' * (len(self) != 1)} of {', '.join(listed)}"

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(Exception):  # of a damaged file; nothing was written, so nothing is lost
                handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        # A copy of the file on another machine has another time of change, so that it is not compared there.
        return {**self.__dict__, "_handle": None, "_mtime": None}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.describe()}>"

    @abstractmethod
    def _examine(self) -> Contents:
        """Return what the file holds."""

    @abstractmethod
    def _read(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Return the rows of each array by name; start < stop are within the rows."""

    def _open(self) -> Any:
        """Return what `_read` reads from, with a method `close`; for kinds that keep something open."""
        raise NotImplementedError

    def _opened(self) -> Any:
        """Return what is open, opened when needed; never what the parent of a forked process reads from, too."""
        if self._handle is None or self._process != os.getpid():
            self._handle, self._process = self._open(), os.getpid()
        return self._handle

    def _about(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "file": self.path.name,
            "size": self._size,
            "mtime_ns": self._mtime,
            "part": self._part,
            "options": self._options,
            "rows": len(self),
            "by_name": self.by_name,
            "arrays": {name: {"shape": list(row.shape), "dtype": str(row.dtype)} for name, row in self.arrays.items()},
        }

    def _state(self) -> tuple[int, int]:
        """Return the size in bytes and the time of the last change in ns."""
        with self._telling():
            state = self.path.stat()
        return state.st_size, state.st_mtime_ns

    def _refuse_changed(self) -> None:
        size, mtime = self._state()
        self._mtime = mtime if self._mtime is None else self._mtime
        if size != self._size:
            raise self._changed(f"{size:,} bytes instead of {self._size:,}")
        if mtime != self._mtime:
            raise self._changed("another time of change")

    def _changed(self, got: str) -> DataError:
        return DataError(
            f"{self.path}: expected the file as it was when it was opened, got {got}; start again, and let no other "
            "program write to it meanwhile"
        )

    def _check_range(self, start: int, stop: int) -> None:
        whole = all(isinstance(row, int | np.integer) and not isinstance(row, bool) for row in (start, stop))
        if not whole or not 0 <= start <= stop <= len(self):
            raise InputError(
                f"start and stop must be row numbers with 0 <= start <= stop <= {len(self)}, got {start!r} and {stop!r}"
            )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn whatever a damaged file leads to into one clear error."""
        try:
            yield
        except (McdropError, MemoryError):
            raise
        except Exception as error:  # a damaged file can fail in any way
            told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            reason = " ".join(told.split()) or type(error).__name__
            raise DataError(
                f"{self.path}: expected {self.kind}, got one that cannot be read ({reason}); check it, or make or "
                "fetch it again"
            ) from error
