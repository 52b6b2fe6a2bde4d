"""Reading: a file that is missing, cut off, damaged, foreign or newer is one clear error."""

from pathlib import Path
from typing import Any

import numpy as np

from mcdrop.errors import DataError
from mcdrop.storage.archive import FORMAT, Archive, Variable
from mcdrop.storage.attributes import decode
from mcdrop.storage.places import as_path
from mcdrop.storage.seal import inspect

__all__ = ["read"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def read(path: str | Path) -> Archive:
    """Read a file that `write` wrote, and check that it is still what was written.

    Args:
        path: The file.

    Returns:
        Its contents.

    Raises:
        DataError: If there is no such file, it is cut off or damaged, something else wrote it, or a newer mcdrop.
        InputError: If this is no path at all.
    """
    place = as_path(path)
    try:
        _refuse_other_files(place)
        stored, groups = _contents(place)
        kind = stored["mcdrop_kind"]
        if not isinstance(kind, str):
            raise TypeError(f"its kind is {kind!r}")
        return Archive(kind, groups, decode(stored), place)
    except DataError:
        raise
    except PermissionError as error:
        raise _unusable(place, "one that may not be read", "check its permissions") from error
    except Exception as error:  # a damaged file can fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _unusable(place, f"a file that cannot be read ({reason})", "it may be cut off; save it again") from error


def _refuse_other_files(place: Path) -> None:
    """Refuse a path that holds no file of ours, or one of a later format."""
    import h5py

    if not place.is_file():
        raise _unusable(place, "a folder" if place.is_dir() else "no such file", "check the path")
    with place.open("rb") as file:
        start = file.read(len(_SIGNATURE))
    if start != _SIGNATURE:
        what = f"a file that is no HDF5 and starts with {start!r}" if start else "an empty file"
        raise _unusable(place, what, "check the path, or save the result again")
    state = inspect(place)
    if state == "damaged":
        raise _unusable(place, "a file whose checksum differs", "it is damaged; save it again")
    with h5py.File(place, "r") as file:
        attributes = dict(file.attrs)
    if "mcdrop_kind" not in attributes:
        raise _unusable(place, "an HDF5 file that mcdrop did not write", "open it with h5py, xarray or ArviZ")
    layout = int(attributes["mcdrop_format"].item())  # numbers come as arrays of one
    if layout > FORMAT:
        newer = f"format {layout} of mcdrop {attributes['creation_library_version']}"
        raise _unusable(place, newer, f"this mcdrop reads up to format {FORMAT}; install a newer one")
    if state == "unsealed":
        raise _unusable(place, "one without its checksum", "it is cut off or another program edited it; save it again")


def _contents(place: Path) -> tuple[dict[str, Any], dict[str, dict[str, Variable]]]:
    """Return the root's attributes and all variables, as they are stored: no unit makes numbers into dates."""
    from xarray import open_datatree

    with open_datatree(
        place.absolute(),
        engine="h5netcdf",
        decode_times=False,
        decode_timedelta=False,
        decode_coords=False,
    ) as tree:
        stored = {
            str(name): value.item() if isinstance(value, np.generic) else value for name, value in tree.attrs.items()
        }
        groups = {
            str(group): {str(name): _variable(array) for name, array in child.dataset.data_vars.items()}
            for group, child in tree.children.items()
        }
    return stored, groups


def _variable(array: Any) -> Variable:
    values = np.asarray(array.values)
    if values.dtype.kind not in "fiub":
        values = values.astype(str)
    return Variable(array.dims, values, array.attrs.get("units", ""), array.attrs.get("long_name", ""))


def _unusable(place: Path, got: str, advice: str) -> DataError:
    return DataError(f"{place}: expected a result that mcdrop saved, got {got}; {advice}")
