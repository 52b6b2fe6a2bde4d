"""Where the data files lie, and HDF5 files as arrays with errors that say what is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError

__all__ = ["bundled", "read_hdf5"]


def bundled(name: str) -> Path:
    """Find a file that comes with mcdrop: inside the installed package, or beside it in a checkout.

    Args:
        name: The file's name.

    Returns:
        Where it is.

    Raises:
        DataError: If it is in neither place.
    """
    package = Path(__file__).parents[1]
    places = [package / "data" / name, package.parent / "data" / name]
    for place in places:
        if place.is_file():
            return place
    raise DataError(f"expected {name} at {places[0]} or {places[1]}, got neither; reinstall mcdrop")


def read_hdf5(path: Path, *layouts: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read the data sets of the first layout whose names are all there.

    Args:
        path: An HDF5 file.
        *layouts: The names that each accepted layout needs; more may be there.

    Returns:
        The arrays of that layout by name.

    Raises:
        DataError: If the file is missing or damaged, or fits no layout.
    """
    import h5py

    expected = " or ".join(f"data sets {', '.join(names)}" for names in layouts)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: expected an HDF5 file with {expected}, got {what}; check the path")
    present: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: present.append(name) if isinstance(item, h5py.Dataset) else None)
            for names in layouts:
                if set(names) <= set(present):
                    return {name: np.asarray(file[name][()]) for name in names}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: expected a readable HDF5 file, got: {reason}; fetch or make it again") from error
    found = ", ".join(sorted(map(str, present))[:8]) or "none"
    raise DataError(f"{path}: expected {expected}, got {found}; rename or write the missing ones")
