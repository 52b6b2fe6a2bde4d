"""Folders of images: one row a file, in the order in which people count."""

import hashlib
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError, DependencyError
from mcdrop.sources.images import ImageOptions, read_image
from mcdrop.sources.layout import Contents, RowType
from mcdrop.sources.source import Source

__all__ = ["IMAGE_ENDINGS", "ImageFolder", "natural_key"]

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
"""How the names of image files end."""


class ImageFolder(Source):
    """The images in a folder and its subfolders, sorted so that img2 comes before img10.

    Hidden files and folders are passed over. Links are followed, and a folder counts once, however many lead to it.
    Files whose names do not end as images' do are counted and left out. Only the names of all images lie in memory.
    """

    kind = "a folder of images"

    def __init__(self, path: Path, *, image: ImageOptions | None = None) -> None:
        """List the images; the first one is read where no size is given.

        Args:
            path: The folder.
            image: How images become inputs; the default takes them as RGB, all of one size.
        """
        self._image = image or ImageOptions()
        options = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self._image).items()}
        super().__init__(path, options={"image": options})

    def names(self, start: int, stop: int) -> NDArray[np.str_]:
        """Return the paths of the images below the folder, with slashes.

        Raises:
            InputError: If there are no such rows.
        """
        super().names(start, stop)
        return np.array(self._names[start:stop], dtype=np.str_)

    def describe(self) -> str:
        """Return one line for a report: name, number of images, what a row is, and how many files were left out."""
        others = f"; {self._others:,} file{'s' * (self._others > 1)} left out that are no images"
        return super().describe() + others * (self._others > 0)

    def _state(self) -> tuple[int, int]:
        """List the images; return their size in bytes together, and the time of the last change of any."""
        self._names: list[str] = []
        self._others = 0
        with self._telling():
            for name in _files(self.path):
                if name.lower().endswith(IMAGE_ENDINGS):
                    self._names.append(name)
                else:
                    self._others += 1
            if not self._names and (table := next(self.path.rglob("*.parquet"), None)):
                raise DataError(
                    f"{self.path}: expected images, got a folder of Parquet files; name one of them, such as {table}, "
                    "or write them as one file"
                )
            if not self._names:
                raise DataError(
                    f"{self.path}: expected images, files that end in {', '.join(IMAGE_ENDINGS)}, got none among "
                    f"{self._others} files; check the folder"
                )
            self._names.sort()
            self._names.sort(key=natural_key)  # names that count alike stay in the order of their letters
            return self._states()

    def _states(self) -> tuple[int, int]:
        digest = hashlib.sha256()
        size = latest = 0
        for name in self._names:
            state = (self.path / name).stat()
            size, latest = size + state.st_size, max(latest, state.st_mtime_ns)
            digest.update(os.fsencode(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0"))
        self._digest = digest.hexdigest()
        return size, latest

    def _refuse_changed(self) -> None:
        """Do nothing: to list a large folder before each block takes long, and an image that is gone is an error."""

    def _about(self) -> dict[str, Any]:
        return {**super()._about(), "files_sha256": self._digest}

    def _examine(self) -> Contents:
        shape = (self._image.channels, *(self._image.size or self._load(0).shape[1:]))
        return Contents(len(self._names), {"x": RowType(shape, np.dtype(np.float32))})

    def _read(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        shape = self.arrays["x"].shape
        array = np.empty((stop - start, *shape), np.float32)
        for row in range(start, stop):
            image = self._load(row)
            if image.shape != shape:
                raise DataError(
                    f"{self.path}: expected images of one size, {shape[1]} x {shape[2]} pixels as {self._names[0]} is, "
                    f"got {image.shape[1]} x {image.shape[2]} in row {row}, {self._names[row]}; give the size that all "
                    "shall be resized to (height and width)"
                )
            array[row - start] = image
        return {"x": array}

    def _load(self, row: int) -> NDArray[np.float32]:
        try:
            return read_image(self.path / self._names[row], self._image)
        except (DependencyError, MemoryError):
            raise
        except Exception as error:  # a damaged file can fail in any way
            told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            reason = " ".join(told.split()) or type(error).__name__
            raise DataError(
                f"{self.path}: expected an image in row {row}, {self._names[row]}, got one that cannot be read "
                f"({reason}); mend it or take it out of the folder"
            ) from error


def natural_key(name: str) -> str:
    """Return what sorts paths as people count: folder by folder, digits as numbers, large and small letters alike.

    One text rather than a list of parts, since a large folder has many.

    Args:
        name: A path with slashes.

    Example:
        >>> sorted(["img10", "img2", "Img1"], key=natural_key)
        ['Img1', 'img2', 'img10']
    """
    return re.sub(r"[0-9]+", _by_length, name.casefold()).replace("/", "\0")


def _by_length(digits: re.Match[str]) -> str:
    """Put its number of digits before a number: then texts are in the order of the numbers in them."""
    number = digits[0].lstrip("0")
    return "0" + chr(len(number)) + number


def _files(root: Path) -> Iterator[str]:
    """Yield the files below a folder, by paths with slashes; links come last, so that a folder has its own name."""
    waiting: deque[Path] = deque([root])
    seen: set[Path] = set()
    while waiting:
        folder = waiting.popleft()
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        subfolders = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if Path(entry).is_dir() if entry.is_symlink() else entry.is_dir():
                    subfolders.append(Path(entry))
                else:
                    yield Path(entry).relative_to(root).as_posix()
        for path in sorted(subfolders):  # so that of two links to a folder the same one counts everywhere
            (waiting.append if path.is_symlink() else waiting.appendleft)(path)
