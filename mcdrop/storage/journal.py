"""The journal of a long run: finished blocks, appended one by one, that outlive the run however it ends.

Only a record whose checksums hold is ever taken (see `mcdrop.storage.records`). What a crash or a full disk leaves of
the last one is cut off. Where one in the middle is damaged, it alone is left out if whole ones are found after it; its
rows are then simply not done yet. So what a journal gives back is always a part of what was appended, to the bit.
"""

import os
import time
from bisect import bisect_left, insort
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from mcdrop.arguments import check_count
from mcdrop.errors import DataError, InputError, OutputError
from mcdrop.files import check_place, write_whole
from mcdrop.sealed import plain
from mcdrop.storage.archive import Block, Group, Variable
from mcdrop.storage.lock import acquire, release
from mcdrop.storage.places import as_path
from mcdrop.storage.records import Entry, find, frame, is_journal, make_head, pack, payload_of, read_head, unpack

__all__ = ["Entry", "Journal"]

_SYNC_EVERY = 3.0  # seconds of work that a power failure may cost; the end of the process alone costs none
_ADVICE = "choose a writable folder with enough space"


class Journal:
    """An append-only log of finished blocks, owned by one run at a time.

    Attributes:
        path: The file.
        about: Plain data about the run, as it was given to `create`; tuples come back as lists.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from mcdrop.storage import Journal, Variable
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = Path(folder, "predictions.journal")
        ...     with Journal.create(place, {"seed": 0}) as journal:
        ...         new = journal.append(0, 2, {"predictions": {"mean": Variable(("point",), np.array([1.0, 2.0]))}})
        ...     with Journal.resume(place) as journal:
        ...         print(journal.about, journal.rows, journal.gaps(5))
        ...         print(journal.read(journal.entries[0])["predictions"]["mean"].values)
        {'seed': 0} 2 [range(2, 5)]
        [1. 2.]
    """

    def __init__(self, path: Path, file: BinaryIO, lock: Any) -> None:
        """Take over an open file; `create` and `resume` are for callers."""
        self.path = path
        self._file, self._lock = file, lock
        self._entries: list[Entry] = []
        self._synced = time.monotonic()
        try:
            self.about, self._key, self._end = read_head(file)
            for entry in find(file, key=self._key, start=self._end):
                self._end = entry.end
                if self._overlapping(entry.start, entry.size) is None:
                    insort(self._entries, entry)
            self._cut()
        except BaseException:
            file.close()
            raise

    @classmethod
    def create(cls, path: str | Path, about: Mapping[str, Any], *, overwrite: bool = False) -> Self:
        """Begin a journal.

        Args:
            path: The file; its folder is made if need be.
            about: Plain data about the run: what JSON can hold, no NaN among it.
            overwrite: Whether a journal that is there already is given up, even if there are blocks in it. One without
                any always is, no other file ever.

        Raises:
            InputError: If there is a journal already, or `about` is no plain data.
            DataError: If there is a file that is no journal.
            OutputError: If the file cannot be written, or another run is writing to it.
        """
        place = as_path(path)
        head = make_head(plain(about))
        check_place(place, advice=_ADVICE)
        lock = acquire(place)
        try:
            if place.exists():
                _refuse_to_replace(place, overwrite=overwrite or cls.is_empty(place))
            write_whole(place, lambda new: new.write_bytes(head), advice=_ADVICE)
            return cls(place, _open(place), lock)
        except BaseException:
            release(place, lock)
            raise

    @classmethod
    def resume(cls, path: str | Path) -> Self:
        """Go on with a journal, cut back to what is whole.

        Args:
            path: The file.

        Raises:
            DataError: If there is no such file, it is no journal, one of another format, or its head is damaged.
            OutputError: If the file cannot be written, or another run is writing to it.
        """
        place = as_path(path)
        if not place.is_file():
            what = "a folder" if place.is_dir() else "no such file"
            raise _unusable(place, what, "check the path, or leave out --resume to begin anew")
        lock = acquire(place)
        try:
            return cls(place, _open(place), lock)
        except BaseException as error:
            release(place, lock)
            if isinstance(error, ValueError):  # of the head
                raise _unusable(place, str(error), _advice_for(place)) from error
            raise

    @staticmethod
    def is_empty(path: str | Path) -> bool:
        """Tell whether a file is a journal in which there is no block: what a run leaves that did not get far.

        Args:
            path: The file; it is only read, even while another run writes to it.
        """
        try:
            with as_path(path).open("rb") as file:
                _, key, start = read_head(file)
                return next(find(file, key=key, start=start), None) is None
        except (OSError, ValueError):  # it is not there, or no journal that can be read
            return False

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The blocks that are in it, in order of their rows."""
        return tuple(self._entries)

    @property
    def rows(self) -> int:
        """Number of rows that are done."""
        return sum(entry.size for entry in self._entries)

    @property
    def blocks(self) -> list[Block]:
        """The blocks in order of their rows, for `write_blocks` and `write_table`; read when they are needed."""
        return [Block(entry.points, partial(self.read, entry)) for entry in self._entries]

    def gaps(self, rows: int) -> list[range]:
        """Return the runs of rows that are not done yet.

        Args:
            rows: How many there are in all.
        """
        ends = [0, *(entry.stop for entry in self._entries)]
        starts = [*(entry.start for entry in self._entries), rows]
        return [range(end, start) for end, start in zip(ends, starts, strict=True) if end < start]

    def append(self, start: int, size: int, groups: Mapping[str, Group]) -> bool:
        """Add a finished block; once this returns, the end of the process cannot undo it.

        Args:
            start: Number of its first row.
            size: How many rows it is made of; its variables may hold fewer points.
            groups: Its variables by group and name: numbers and truth values.

        Returns:
            Whether it is new: the same rows once more, as from a worker that was started again, are ignored.

        Raises:
            InputError: If some of its rows, but not exactly these, are in the journal, or a variable cannot be kept.
            OutputError: If it cannot be written. The blocks before it are kept.
        """
        check_count("start", start, least=0, why="rows are numbered from 0")
        check_count("size", size, least=1, why="a block has rows")
        if (there := self._overlapping(start, size)) is not None:
            if (there.start, there.size) == (start, size):
                return False
            raise InputError(
                f"blocks must not overlap, got rows {start} to {start + size - 1}, while {there.start} to "
                f"{there.stop - 1} are in {self.path}; append the same blocks, or rows that are not done yet"
            )
        payload, points = pack(start, size, groups)
        entry = Entry(start, size, points, self._end, len(payload))
        self._write(frame(payload, key=self._key, place=self._end), payload)
        self._end = entry.end
        insort(self._entries, entry)
        return True

    def read(self, entry: Entry) -> dict[str, dict[str, Variable]]:
        """Return the variables of a block, checked once more.

        Args:
            entry: One of `entries`.

        Raises:
            DataError: If the file was damaged meanwhile.
        """
        payload = payload_of(self._file, entry, key=self._key)
        if payload is None:
            rows = f"rows {entry.start} to {entry.stop - 1}"
            raise _unusable(self.path, f"damage in {rows}", "go on with --resume: they will be done again")
        return unpack(payload)

    def close(self) -> None:
        """Put everything on the disk and let another run have the file; a second time does nothing.

        Raises:
            OutputError: If the disk fails.
        """
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._file.close()
            release(self.path, self._lock)

    def remove(self) -> None:
        """Delete the file, once its blocks are elsewhere.

        Raises:
            OutputError: If it cannot be deleted.
        """
        self._file.close()
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {self.path}: {error.strerror}; remove it by hand") from error
        finally:
            release(self.path, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _overlapping(self, start: int, size: int) -> Entry | None:
        """Return a block that has one of these rows, if there is one."""
        after = bisect_left(self._entries, start, key=lambda entry: entry.start)
        for entry in self._entries[max(after - 1, 0) : after + 1]:
            if entry.start < start + size and start < entry.stop:
                return entry
        return None

    def _write(self, *parts: bytes) -> None:
        """Write at the end, all or nothing."""
        try:
            self._file.seek(self._end)
            for part in parts:
                left = memoryview(part)
                while left:
                    left = left[self._file.write(left) :]
            if time.monotonic() - self._synced >= _SYNC_EVERY:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except BaseException as error:
            self._cut()
            if isinstance(error, OSError):
                raise self._failed(error) from error
            raise

    def _cut(self) -> None:
        """Take off what was written of a record that did not become whole."""
        try:
            self._file.truncate(self._end)
        except OSError:  # then the next run does it
            return

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot write {self.path}: {error.strerror}; its {len(self._entries)} finished block(s) of {self.rows} "
            "row(s) are kept: make space, then go on with --resume"
        )


def _open(place: Path) -> BinaryIO:
    """Open a journal to read and write, without a buffer: what is written is out of the process at once."""
    try:
        return place.open("r+b", buffering=0)
    except OSError as error:
        raise OutputError(f"cannot write {place}: {error.strerror}; check its permissions") from error


def _advice_for(place: Path) -> str:
    """Return what to do about a file whose head cannot be read."""
    with place.open("rb") as file:
        known = is_journal(file.read(16))
    return "give it up with --overwrite" if known else "move it away, or choose another output"


def _refuse_to_replace(place: Path, *, overwrite: bool) -> None:
    """Refuse what is there already, unless it is a journal that may go."""
    with place.open("rb") as file:
        start = file.read(16)
    if not is_journal(start):
        raise _unusable(place, f"a file that starts with {start!r}", "choose another output")
    if not overwrite:
        raise InputError(
            f"{place} must be new, got the journal of an unfinished run; go on with it with --resume, or give it up "
            "with --overwrite"
        )


def _unusable(place: Path, got: str, advice: str) -> DataError:
    return DataError(f"{place}: expected the journal of an unfinished run, got {got}; {advice}")
