"""Names for the axes of results, by which files and their readers know them: point, output, class, chain, draw."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError
from mcdrop.storage import Archive, Variable

__all__ = ["name_axes", "pack_passes", "stack_passes", "unpack_passes", "unstack_passes"]


def name_axes(ndim: int, last: str) -> tuple[str, ...]:
    """Return a name for each axis of an array with the points in front.

    Args:
        ndim: How many axes there are.
        last: What the trailing axis holds: "output" or "class". Where a net gives several outputs in a grid,
            or classes at every place of one, the other axes are numbered.

    Example:
        >>> name_axes(2, "output"), name_axes(3, "output"), name_axes(3, "class")
        (('point', 'output'), ('point', 'output_0', 'output_1'), ('point', 'place_0', 'class'))
    """
    inner = ndim - 1
    if last == "output":
        trailing = ["output"] if inner == 1 else [f"output_{axis}" for axis in range(inner)]
    else:
        trailing = [*(f"place_{axis}" for axis in range(inner - 1)), last][: max(inner, 0)]
    return ("point", *trailing)[:ndim]


def stack_passes(samples: NDArray[Any], axes: tuple[str, ...], units: str, long_name: str) -> Variable:
    """Return the passes of shape (T, N, ...) as the draws of one chain, which is how ArviZ looks at samples."""
    return Variable(("chain", "draw", *axes), samples[None], units, long_name)


def pack_passes(passes: int | NDArray[np.int64]) -> Variable:
    """Return the number of passes, one or one for each point, as it is written."""
    return Variable(("point",)[: np.ndim(passes)], np.asarray(passes), "1", "number of passes")


def unpack_passes(passes: Variable) -> Any:
    """Return the number of passes as it was before it was written."""
    return passes.values.item() if passes.values.size == 1 and not passes.dims else passes.values


def unstack_passes(archive: Archive) -> NDArray[Any] | None:
    """Return the passes of shape (T, N, ...) that a file holds, or None if they were not kept.

    Raises:
        DataError: If they are not the draws of one chain.
    """
    samples = archive.groups.get("predictions", {}).get("samples")
    if samples is None:
        return None
    if samples.dims[:2] != ("chain", "draw") or len(samples.values) != 1:
        raise DataError(
            f"{archive.path}: expected samples that are the draws of one chain, got the axes {samples.dims} of shape "
            f"{samples.values.shape}; save the prediction again"
        )
    return np.asarray(samples.values[0])
