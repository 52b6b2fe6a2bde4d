"""Writing: a file is saved beside its place and then renamed, so what is there is always whole."""

import errno
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mcdrop.errors import DataError, InputError, OutputError
from mcdrop.storage.archive import Group, checked
from mcdrop.storage.attributes import encode, own
from mcdrop.storage.labels import Labels, labels_of
from mcdrop.storage.layout import CHUNK_FROM, Specs, create, fill, size_of, specs_of
from mcdrop.storage.places import as_path, mode_there
from mcdrop.storage.seal import seal

__all__ = ["save", "write"]


def write(
    path: str | Path,
    kind: str,
    groups: Mapping[str, Group],
    attributes: Mapping[str, Any],
    *,
    coords: Mapping[str, ArrayLike] | None = None,
) -> Path:
    """Write groups of variables to a file that `read`, ArviZ and xarray open.

    Args:
        path: The file; an old one is replaced once the new one is whole, which takes over its permissions.
        kind: Name of the class whose result it is.
        groups: Variables by group and name; the groups are those of ArviZ, such as "posterior".
        attributes: Plain data about the whole. Numbers and one-line texts are kept as they are, anything else as JSON.
        coords: Labels along an axis, by its name, for those who open the file elsewhere. Default: 0, 1, 2, ...

    Returns:
        The path.

    Raises:
        InputError: If the arrays and names do not fit together, an attribute is no plain data, or the path none.
        OutputError: If the file cannot be written, or something is there that is no file; it is still there then.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from mcdrop import storage
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     groups = {"posterior": {"noise": storage.Variable(("chain", "draw"), np.ones((1, 3)), "ppm")}}
        ...     path = storage.write(f"{folder}/gp.nc", "Example", groups, {"seed": 0})
        ...     archive = storage.read(path)
        >>> archive.groups["posterior"]["noise"].values, archive.attributes
        (array([[1., 1., 1.]]), {'seed': 0})
    """
    target = as_path(path)
    labels = {dim: np.asarray(values) for dim, values in (coords or {}).items()}
    ready = {name: checked(name, variables, labels) for name, variables in groups.items()}
    dims = {dim for variables in ready.values() for variable in variables.values() for dim in variable.dims}
    if unused := set(labels) - dims:
        raise InputError(f"coords must label axes of the variables, got {', '.join(sorted(unused))}; leave it out")
    told = {dim: labels_of(values) for dim, values in labels.items()}
    save(target, specs_of(ready), encode(attributes) | own(kind), lambda file: fill(file, ready), labels=told)
    return target


def save(
    target: Path,
    specs: Specs,
    attributes: Mapping[str, Any],
    fill_in: Callable[[Any], object],
    *,
    labels: Mapping[str, Labels],
    partial: str | None = None,
) -> None:
    """Make a sealed file of variables; what was there is replaced once it is whole.

    Args:
        target: The file.
        specs: The variables by group and name, without their values.
        attributes: The root's, as HDF5 can hold them.
        fill_in: Writes the values into the open h5netcdf file.
        labels: Labels along some axes, by the axis's name.
        partial: Name of the file that is written first, as for `write_blocks`.

    Raises:
        OutputError: If the file cannot be written, or something is there that is no file; it is still there then.
    """
    _replace(target, size_of(specs), lambda place: _build(place, specs, attributes, fill_in, labels), name=partial)


def _build(
    place: Path,
    specs: Specs,
    attributes: Mapping[str, Any],
    fill_in: Callable[[Any], object],
    labels: Mapping[str, Labels],
) -> None:
    import h5netcdf

    with h5netcdf.File(place, "w") as file:
        file.attrs.update(attributes)
        create(file, specs, labels)
        fill_in(file)


def _replace(target: Path, size: int, save: Callable[[Path], object], *, name: str | None) -> None:
    """Save to a file of about that size beside the target, then rename it."""
    partial: Path | None = None
    try:
        target = target.resolve()  # a link stays a link
        mode = mode_there(target)
        partial = target.with_name(name or f".partial-{secrets.token_hex(8)}.nc")
        if name:
            partial.unlink(missing_ok=True)
        with partial.open("xb") as file:  # says what is wrong with the folder in plainer words than HDF5 does
            if mode is not None:
                partial.chmod(0o600)  # what only its owner may read is not shown while it is written either
            _reserve(file.fileno(), size)
        save(partial)
        seal(partial)
        if mode is not None:
            partial.chmod(mode)
        partial.replace(target)
    except DataError:  # of what is written: the place is not to blame
        raise
    except (OSError, RuntimeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else " ".join(str(error).split())
        raise OutputError(f"cannot write {target}: {reason}; choose a writable folder with enough space") from error
    finally:
        if partial is not None:
            with suppress(OSError):  # where it could not be made or removed, the error above says why
                partial.unlink(missing_ok=True)


def _reserve(file: int, size: int) -> None:
    """See that the disk has the space: HDF5 may crash when it has not."""
    reserve = getattr(os, "posix_fallocate", None)
    if reserve is None:
        return
    try:
        reserve(file, 0, size + CHUNK_FROM)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}:  # others: this file system cannot reserve
            raise
