"""Who predicts the blocks: this process here, one after another; others may do it elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.bulk.blocks import Reader, Rows
from mcdrop.errors import InputError, NetError
from mcdrop.inputs import float_types_of
from mcdrop.inputs.nesting import leaves
from mcdrop.inputs.values import ValueReader
from mcdrop.prepared import Prepared
from mcdrop.progress import Advance

__all__ = ["Done", "Execute", "advising", "in_process", "predicted"]


@dataclass(frozen=True, slots=True)
class Done:
    """A block that is predicted.

    Attributes:
        start: The number of its first row.
        gaps: Which of its rows hold NaN, shape (n,).
        prediction: What is predicted of all of them.
    """

    start: int
    gaps: NDArray[np.bool_]
    prediction: Any


Execute: TypeAlias = Callable[[Prepared[Any], Reader, Sequence[range], Advance], Iterator[Done]]
"""Predicts blocks, given by the numbers of their rows, in any order; tells how many row-passes are done."""


def in_process(prepared: Prepared[Any], reader: Reader, blocks: Sequence[range], advance: Advance) -> Iterator[Done]:
    """Predict one block after another.

    Args:
        prepared: The passes.
        reader: Reads the blocks.
        blocks: The numbers of their rows.
        advance: Is told how many passes have run, times their rows; of passes="auto" as if they were the most.

    Yields:
        Each block, predicted.

    Raises:
        NetError: If the net refuses rows, or its outputs are unusable.
    """
    for rows in blocks:
        block = reader.read(rows.start, rows.stop)
        made = predicted(prepared, block, advance=advance if prepared.fixed else None)
        if not prepared.fixed:
            advance(len(rows) * prepared.passes)
        yield Done(block.start, block.gaps, made)


def predicted(
    prepared: Prepared[Any], block: Rows, *, passes: range | None = None, advance: Advance | None = None
) -> Any:
    """Predict a block.

    Args:
        prepared: The passes.
        block: The rows.
        passes: Numbers of the passes to run; default: all of them.
        advance: Is told how many more passes have run, times their rows.

    Returns:
        The prediction; of some of the passes, what they add up to.

    Raises:
        NetError: If the net refuses rows, or its outputs are unusable.
    """
    with advising(prepared, lambda: block):
        if passes is None or len(passes) == prepared.passes:
            return prepared.predict(block.x, start=block.start, advance=advance)
        return prepared.partial(block.x, start=block.start, passes=passes, advance=advance)


@contextmanager
def advising(prepared: Prepared[Any], read: Callable[[], Rows]) -> Iterator[None]:
    """Add advice to an error of the net where its inputs are infinite in its type: `on_nan` leaves such rows alone.

    Args:
        prepared: The passes.
        read: Returns the rows that the net was given.

    Raises:
        NetError: The error of the net, with the advice.
    """
    try:
        yield
    except NetError as error:
        block = read()
        usual, kept = float_types_of(prepared.origin[0].net)
        bad = _infinite(block, ValueReader(torch.device("cpu"), usual, kept))
        if not bad.any():
            raise
        row = block.start + int(np.flatnonzero(bad)[0])
        raise NetError(
            f"{error}; {bad.sum():,} of these rows hold infinity, or numbers too large for {str(usual)[6:]}, in the "
            f"inputs, the first of them row {row:,}: bound the inputs in a transform, or leave these rows out (of a "
            "file by NaN in their place and on_nan, --on-nan)"
        ) from error


def _infinite(block: Rows, reader: ValueReader) -> NDArray[np.bool_]:
    """Return which rows are infinite as the net gets them."""
    found = np.zeros(len(block.gaps), dtype=bool)
    for part in leaves(block.x):
        with suppress(InputError):  # what the net does not take
            values = reader.read(part, "x")
            if isinstance(values, Tensor) and values.shape[:1] == found.shape:
                bad = values.isinf()
                found |= (bad.flatten(1).any(1) if bad.ndim > 1 else bad).numpy()
    return found
