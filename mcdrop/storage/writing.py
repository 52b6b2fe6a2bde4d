"""Writing: a file is saved beside its place and then renamed, so what is there is always whole."""

import errno
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError, OutputError
from mcdrop.storage.archive import Group, checked
from mcdrop.storage.attributes import encode, own
from mcdrop.storage.places import as_path, mode_there
from mcdrop.storage.seal import seal

__all__ = ["write"]

_CHUNK_FROM = 1 << 14  # bytes; below, chunks and their index cost more than they save


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
    from xarray import DataTree

    target = as_path(path)
    labels = {dim: np.asarray(values) for dim, values in (coords or {}).items()}
    ready = {name: checked(name, variables, labels) for name, variables in groups.items()}
    dims = {dim for variables in ready.values() for variable in variables.values() for dim in variable.dims}
    if unused := set(labels) - dims:
        raise InputError(f"coords must label axes of the variables, got {', '.join(sorted(unused))}; leave it out")
    datasets = {name: _dataset(variables, labels) for name, variables in ready.items()}
    tree = DataTree.from_dict(datasets)
    tree.attrs.update(encode(attributes) | own(kind))
    encoding = {f"/{name}": _encoding(dataset.variables) for name, dataset in datasets.items()}
    size = sum(dataset.nbytes for dataset in datasets.values())
    _replace(target, size, lambda file: tree.to_netcdf(file, engine="h5netcdf", encoding=encoding))
    return target


def _dataset(variables: Group, labels: Mapping[str, NDArray[Any]]) -> Any:
    from xarray import Dataset

    arrays = {}
    sizes: dict[str, int] = {}
    for name, variable in variables.items():
        about = {"units": variable.units, "long_name": variable.long_name}
        arrays[name] = (variable.dims, variable.values, {key: text for key, text in about.items() if text})
        sizes.update(zip(variable.dims, variable.values.shape, strict=True))
    return Dataset(arrays, coords={dim: labels.get(dim, np.arange(size)) for dim, size in sizes.items()})


def _encoding(variables: Mapping[Any, Any]) -> dict[Any, dict[str, Any]]:
    """Return how to store each: no value stands for a gap, and large arrays lie in chunks with checksums.

    Whole numbers are packed. Draws are not: their digits are random, and an eighth less costs many times the time.
    """
    encoding: dict[Any, dict[str, Any]] = {}
    for name, variable in variables.items():
        if variable.dtype.kind == "U":
            continue
        encoding[name] = {"_FillValue": None}
        if variable.nbytes >= _CHUNK_FROM:
            encoding[name]["fletcher32"] = True
            if variable.dtype.kind in "iub":
                encoding[name] |= {"zlib": True, "complevel": 4, "shuffle": True}
    return encoding


def _replace(target: Path, size: int, save: Callable[[Path], object]) -> None:
    """Save to a file of about that size beside the target, then rename it."""
    partial: Path | None = None
    try:
        target = target.resolve()  # a link stays a link
        mode = mode_there(target)
        partial = target.with_name(f".partial-{secrets.token_hex(8)}.nc")
        with partial.open("xb") as file:  # says what is wrong with the folder in plainer words than HDF5 does
            if mode is not None:
                partial.chmod(0o600)  # what only its owner may read is not shown while it is written either
            _reserve(file.fileno(), size)
        save(partial)
        seal(partial)
        if mode is not None:
            partial.chmod(mode)
        partial.replace(target)
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
        reserve(file, 0, size + _CHUNK_FROM)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}:  # others: this file system cannot reserve
            raise
