"""Who predicts the blocks: this process here, one after another; others may do it elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mcdrop.bulk.blocks import Reader, Rows
from mcdrop.errors import NetError
from mcdrop.inputs.nesting import leaves
from mcdrop.prepared import Prepared
from mcdrop.progress import Advance

__all__ = ["Done", "Execute", "in_process"]


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
        yield _done(prepared, reader.read(rows.start, rows.stop), advance)


def _done(prepared: Prepared[Any], block: Rows, advance: Advance) -> Done:
    try:
        made = prepared.predict(block.x, start=block.start, advance=advance if prepared.fixed else None)
    except NetError as error:
        raise _explained(error, block) from error
    if not prepared.fixed:
        advance(len(block.gaps) * prepared.passes)
    return Done(block.start, block.gaps, made)


def _explained(error: NetError, block: Rows) -> NetError:
    """Return an error of the net, with advice on infinite inputs where there are any: on_nan leaves those alone."""
    bad = np.zeros(len(block.gaps), dtype=bool)
    for part in leaves(block.x):
        values = np.asarray(part)
        if values.dtype.kind in "fc" and values.shape[:1] == bad.shape:
            bad |= np.isinf(values).reshape(len(bad), -1).any(axis=1)
    if not bad.any():
        return error
    row = block.start + int(np.flatnonzero(bad)[0])
    return NetError(
        f"{error}; {bad.sum():,} of these rows hold infinity in the inputs, the first of them row {row:,}: bound it in "
        "a transform, or write NaN in its place for on_nan (--on-nan)"
    )
