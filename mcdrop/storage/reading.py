"""Reading: a file that is missing, cut off, damaged, foreign or newer is one clear error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mcdrop.errors import DataError
from mcdrop.storage.archive import FORMAT, Archive, Variable
from mcdrop.storage.attributes import decode
from mcdrop.storage.places import as_path
from mcdrop.storage.seal import has_seal, inspect

__all__ = ["read", "read_attributes"]

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
    with _telling(place):
        _refuse_other_files(place)
        stored, groups = _contents(place)
        kind = stored["mcdrop_kind"]
        if not isinstance(kind, str):
            raise TypeError(f"its kind is {kind!r}")
        return Archive(kind, groups, decode(stored), place)


def read_attributes(path: str | Path) -> dict[str, Any]:
    """Read what a file that `write` wrote says of itself as a whole, and none of its arrays.

    That the file ends as it should is seen, so that one that is cut off is refused. Its checksum is over everything,
    and only `read` checks it.

    Args:
        path: The file.

    Returns:
        The attributes that it was written with.

    Raises:
        DataError: If there is no such file, it is cut off, something else wrote it, or a newer mcdrop.
        InputError: If this is no path at all.
    """
    place = as_path(path)
    with _telling(place):
        _refuse_other_forms(place)
        stored = _own_attributes(place)
        if not has_seal(place):
            raise _unsealed(place)
        return decode(stored)


@contextmanager
def _telling(place: Path) -> Iterator[None]:
    """Turn whatever a file fails with into one error."""
    try:
        yield
    except DataError:
        raise
    except PermissionError as error:
        raise _unusable(place, "one that may not be read", "check its permissions") from error
    except Exception as error:  # a damaged file can fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _unusable(place, f"a file that cannot be read ({reason})", "it may be cut off; save it again") from error


def _refuse_other_files(place: Path) -> None:
    """Refuse a path that holds no file of ours, a damaged one, or one of a later format."""
    _refuse_other_forms(place)
    state = inspect(place)
    if state == "damaged":
        raise _unusable(place, "a file whose checksum differs", "it is damaged; save it again")
    _own_attributes(place)
    if state == "unsealed":
        raise _unsealed(place)


def _refuse_other_forms(place: Path) -> None:
    """Refuse what is no file of HDF5."""
    if not place.is_file():
        raise _unusable(place, "a folder" if place.is_dir() else "no such file", "check the path")
    with place.open("rb") as file:
        start = file.read(len(_SIGNATURE))
    if start != _SIGNATURE:
        what = f"a file that is no HDF5 and starts with {start!r}" if start else "an empty file"
        raise _unusable(place, what, "check the path, or save the result again")


def _own_attributes(place: Path) -> dict[str, Any]:
    """Return the root's attributes of a file of ours, of a format that is known here."""
    import h5py

    with h5py.File(place, "r") as file:
        attributes = {name: _plain(value) for name, value in file.attrs.items() if not name.startswith("_")}
    if "mcdrop_kind" not in attributes:
        raise _unusable(place, "an HDF5 file that mcdrop did not write", "open it with h5py, xarray or ArviZ")
    layout = int(attributes["mcdrop_format"])
    if layout > FORMAT:
        newer = f"format {layout} of mcdrop {attributes['creation_library_version']}"
        raise _unusable(place, newer, f"this mcdrop reads up to format {FORMAT}; install a newer one")
    return attributes


def _plain(value: Any) -> Any:
    """Return an attribute as it was given: numbers come as arrays of one."""
    return value.item() if isinstance(value, np.ndarray | np.generic) and value.size == 1 else value


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


def _unsealed(place: Path) -> DataError:
    return _unusable(place, "one without its checksum", "it is cut off or another program edited it; save it again")


def _unusable(place: Path, got: str, advice: str) -> DataError:
    return DataError(f"{place}: expected a result that mcdrop saved, got {got}; {advice}")
