"""NumPy's `.npz` archives: members are read as streams, compressed or not, and never lie in memory whole."""

import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from mcdrop.errors import DataError
from mcdrop.sources.layout import Contents, common_length, first_few
from mcdrop.sources.npy_bytes import PIECE, Header, holds_numbers, read_header, read_rows
from mcdrop.sources.source import Source

__all__ = ["NpzSource"]

_ENDING = ".npy"


class NpzSource(Source):
    """Members of a `.npz` archive: one is a positional input, several are keyword inputs; texts and objects are none.

    A member can only be read forward; whoever goes back makes it start anew.
    """

    kind = "a .npz archive"

    def _examine(self) -> Contents:
        with zipfile.ZipFile(self.path) as archive:
            names = [info.filename.removesuffix(_ENDING) for info in archive.infolist() if _is_array(info)]
            chosen = [self._part] if self._part is not None else [name for name in names if _is_numeric(archive, name)]
            if not chosen or chosen[0] not in names:
                expected = "arrays of numbers" if self._part is None else f"an array {self._part!r}"
                raise DataError(f"{self.path}: expected {expected}, got none; there are {first_few(names)}")
            self._headers = {name: self._header(archive, name) for name in chosen}
        rows = common_length({name: header.rows for name, header in self._headers.items()}, place=self.path)
        arrays = {name: header.row for name, header in self._headers.items()}
        return Contents(rows, arrays, by_name=len(arrays) > 1)

    def _header(self, archive: zipfile.ZipFile, name: str) -> Header:
        with archive.open(name + _ENDING) as stream:
            header = read_header(stream, place=self.path, what=f"array {name}")
        if header.fortran:
            raise DataError(
                f"{self.path}: expected array {name} in C order, got Fortran order, of which no row can be read "
                "before the end of the file; save np.ascontiguousarray of it, or save it as .npy"
            )
        size = archive.getinfo(name + _ENDING).file_size
        if size != header.size:
            raise ValueError(f"{size:,} bytes in array {name} where its header says {header.size:,}")
        return header

    def _open(self) -> "_Members":
        return _Members(self.path, self._headers)

    def _read(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        members: _Members = self._opened()
        return {name: members.read(name, start, stop) for name in self._headers}


class _Members:
    """Open members of an archive, each with the number of the row that comes next."""

    def __init__(self, path: Path, headers: dict[str, Header]) -> None:
        self._headers = headers
        self._stack = ExitStack()
        self._archive = self._stack.enter_context(zipfile.ZipFile(path))
        self._open: dict[str, tuple[IO[bytes], int]] = {}

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Return rows of a member; at its end its checksum is compared."""
        header = self._headers[name]
        stream, row = self._open.get(name, (None, 0))
        if stream is None or row > start:
            if stream is not None:
                stream.close()
            stream, row = self._archive.open(name + _ENDING), 0
            self._open[name] = (stream, row)  # before it is read: `close` finds it whatever comes of that
            _skip(stream, header.offset)
        _skip(stream, (start - row) * header.row_bytes)
        array = read_rows(stream, header, stop - start)
        self._open[name] = (stream, stop)
        return array

    def close(self) -> None:
        """Close the members and the archive."""
        for stream, _ in self._open.values():
            stream.close()
        self._stack.close()


def _skip(stream: IO[bytes], count: int) -> None:
    """Read past so many bytes; to seek would end the checksum, from Python 3.12 on."""
    while count > 0:
        piece = stream.read(min(PIECE, count))
        if not piece:
            raise EOFError("it ends early")
        count -= len(piece)


def _is_numeric(archive: zipfile.ZipFile, name: str) -> bool:
    with archive.open(name + _ENDING) as stream:
        return holds_numbers(stream)


def _is_array(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(_ENDING)
