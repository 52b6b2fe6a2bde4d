"""Names for the axes of results, by which files and their readers know them: point, output, class, chain, draw."""

from typing import Any

from numpy.typing import NDArray

from mcdrop.errors import InputError
from mcdrop.storage import Variable

__all__ = ["name_axes", "refuse_misfits", "stack_passes"]


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


def refuse_misfits(reference: str, shape: tuple[int, ...], samples: NDArray[Any] | None) -> None:
    """Refuse passes that are not one array of the reference's shape per pass.

    Args:
        reference: What the shape is of, for the message.
        shape: The shape of one pass.
        samples: The passes, or None.

    Raises:
        InputError: If they are not of shape (T, *shape).
    """
    if samples is not None and samples.shape[1:] != shape:
        raise InputError(
            f"samples must hold one array of the shape of {reference}, {shape}, per pass, got {samples.shape}; "
            "put the passes on axis 0"
        )
