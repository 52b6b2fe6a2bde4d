"""From a place that a user names to a source: the kind is told by how the name ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcdrop.errors import DataError, InputError
from mcdrop.sources.columns import check_columns
from mcdrop.sources.delimited import DelimitedSource
from mcdrop.sources.hdf5 import HDF5Source
from mcdrop.sources.image_folder import IMAGE_ENDINGS, ImageFolder
from mcdrop.sources.images import ImageOptions
from mcdrop.sources.layout import Contents, common_length
from mcdrop.sources.npy import NpySource
from mcdrop.sources.npz import NpzSource
from mcdrop.sources.parquet import ParquetSource
from mcdrop.sources.source import Source

__all__ = ["ENDINGS", "open_source"]

_HDF5 = (".h5", ".hdf5", ".hdf", ".nc")
_NPY = (".npy",)
_NPZ = (".npz",)
_DELIMITED = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_PARQUET = (".parquet", ".pq")

ENDINGS = (*_HDF5, *_NPY, *_NPZ, *_DELIMITED, *_PARQUET)
"""How the names of files of inputs may end, in small or large letters."""

_PART = "::"


def open_source(
    place: str | Path, *, columns: Sequence[str] | None = None, image: ImageOptions | None = None
) -> Source:
    """Open a file of inputs, whatever its kind.

    Args:
        place: An HDF5 or NetCDF4 file (`file.h5::group/dataset` for one positional input, `file.h5` for all numeric
            data sets of its root group as keyword inputs, or as the positional input where there is one); a `.npy`
            file; a `.npz` archive, with or without `::name` likewise; a `.csv` or `.tsv` file, which may be gzipped
            (`.csv.gz`); a `.parquet` file; or a folder of images.
        columns: The columns of a CSV or Parquet file to read, in this order; or the arrays of an HDF5 or NetCDF4 file
            or `.npz` archive: one is the positional input, several are keyword inputs by the last part of their names.
            None for all.
        image: How the images of a folder become inputs; None for RGB images that all have one size.

    Returns:
        The source; close it, or use it in a `with` statement.

    Raises:
        InputError: If the name ends otherwise, names a part of a file that has none, or an option does not fit.
        DataError: If nothing is there, or it is damaged, empty, or not what its name says.
        DependencyError: If a package that reads it is not installed.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/x.npy", np.arange(10.0).reshape(5, 2))
        ...     with open_source(f"{folder}/x.npy") as source:
        ...         source.describe(), source.read(3, 5)
        ('x.npy, 5 rows of (2,) float64', array([[6., 7.],
               [8., 9.]]))
    """
    path, part = _split(place)
    ending = _ending_of(path)
    wanted = check_columns(columns)
    _refuse_misfits(path, ending, part, columns, image)
    if ending in (*_HDF5, *_NPZ):
        kind = HDF5Source if ending in _HDF5 else NpzSource
        if wanted is None or len(wanted) == 1:
            return kind(path, part=part if wanted is None else wanted[0])
        return _Chosen(path, wanted, [kind(path, part=name) for name in wanted])
    if ending in _NPY:
        return NpySource(path)
    if ending in _DELIMITED:
        return DelimitedSource(path, columns=wanted)
    if ending in _PARQUET:
        return ParquetSource(path, columns=wanted)
    return ImageFolder(path, image=image)


class _Chosen(Source):
    """Arrays of a file that were chosen by name, as keyword inputs."""

    kind = "a file of arrays"

    def __init__(self, path: Path, names: list[str], parts: Sequence[Source]) -> None:
        keywords = [name.strip("/").rpartition("/")[2] for name in names]
        if len(set(keywords)) < len(keywords):
            raise InputError(
                f"{path}: expected arrays whose last names differ, since these are the keywords, got "
                f"{', '.join(names)}; rename one in the file"
            )
        self._parts = dict(zip(keywords, parts, strict=True))
        super().__init__(path, options={"columns": names})

    def _examine(self) -> Contents:
        rows = common_length({name: len(part) for name, part in self._parts.items()}, place=self.path)
        arrays = {name: next(iter(part.arrays.values())) for name, part in self._parts.items()}
        return Contents(rows, arrays, by_name=True)

    def _read(self, start: int, stop: int) -> dict[str, Any]:
        return {name: part.read(start, stop) for name, part in self._parts.items()}

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        for part in self._parts.values():
            part.close()


def _split(place: str | Path) -> tuple[Path, str | None]:
    """Cut a place into the file and the name of its part; a file whose own name holds the mark is found, too."""
    text = str(place)
    if not isinstance(place, str | Path) or not text or "\0" in text:
        raise InputError(f"a place must name a file or a folder, got {place!r}; for example 'inputs.h5::x'")
    if _PART not in text or Path(text).exists():
        return Path(text), None
    file, _, part = text.partition(_PART)
    if not file or not part:
        raise InputError(f"a place must be a file, or file{_PART}name, got {text!r}; for example 'inputs.h5::x'")
    return Path(file), part


def _ending_of(path: Path) -> str | None:
    """Return which of the endings the name of a file has, or None for a folder."""
    if path.is_dir():
        return None
    if not path.exists():
        raise DataError(f"{path}: expected a file of inputs or a folder of images, got nothing there; check the path")
    if not path.is_file():
        raise DataError(f"{path}: expected a file of inputs, got something that is no file; check the path")
    if path.name.lower().endswith(IMAGE_ENDINGS):
        raise InputError(f"{path}: expected a folder of images, got one image; name its folder, {path.parent}")
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise InputError(
            f"{path}: expected a folder of images, or a file that ends in {', '.join(ENDINGS)}, got "
            f"{path.suffix or 'no ending'}; rename or convert it"
        )
    return ending


def _refuse_misfits(path: Path, ending: str | None, part: str | None, columns: object, image: object) -> None:
    """Refuse a part or options that this kind of file does not have."""
    table = ending in (*_DELIMITED, *_PARQUET)
    if part is not None and ending not in (*_HDF5, *_NPZ):
        advice = "name columns by the option columns" if table else "give the path alone"
        raise InputError(f"{path}: expected no {_PART} after it, since it has no parts, got {_PART}{part}; {advice}")
    if columns is not None and not table and ending not in (*_HDF5, *_NPZ):
        raise InputError(
            f"{path}: expected no columns, which only tables have, and HDF5 and NPZ files, whose arrays they name; "
            "leave them out"
        )
    if columns is not None and part is not None:
        raise InputError(f"{path}: expected columns or a name after {_PART}, got both; name all by columns")
    if image is not None and not isinstance(image, ImageOptions):
        raise InputError(f"image must be ImageOptions, got {type(image).__name__}; use ImageOptions(size=(32, 32))")
    if image is not None and ending is not None:
        raise InputError(f"{path}: expected no image options, which only folders of images take; leave them out")
