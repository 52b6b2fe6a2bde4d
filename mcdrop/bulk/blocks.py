"""One block of rows: read, its gaps dealt with, predicted, and made into what a file holds of it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError, InputError
from mcdrop.inputs.nesting import leaves
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.sources import Block, Source, nan_rows, select_rows
from mcdrop.storage import POINT, Variable

__all__ = ["Groups", "OnNan", "Reader", "Rows", "complete_row", "first_rows", "groups_of", "with_gaps"]

OnNan = Literal["error", "skip", "keep"]
"""What becomes of rows that hold NaN: refused, left out, or kept with NaN as their prediction."""


class Readable(Protocol):
    """Numbered rows: a `Source`, or what is read like one.

    Attributes:
        path: What they are called in messages.
    """

    path: Path

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> Block:
        """Return rows start to stop - 1, new arrays that may be written to."""


Groups: TypeAlias = Mapping[str, Mapping[str, Variable]]
"""What a file holds of a block: variables by group and name."""

_CONSTANTS, _ROW = "predictions_constant_data", "row"  # group and name of the variable that numbers the rows
_STEP, _STEP_BYTES = 1024, 1 << 26  # rows that are looked at at once, and what they may take
_NAMED = 5  # of the rows with NaN, this many are told


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that are read, predicted and written at once.

    Attributes:
        start: The number of the first row.
        x: What the net is given; rows with gaps have the values of another row, so that every row keeps its place.
        gaps: Which rows hold NaN, shape (n,).
    """

    start: int
    x: Any
    gaps: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads blocks of a source; it pickles as its source does.

    Attributes:
        source: The source.
        on_nan: What becomes of rows that hold NaN.
        filler: One row without NaN, to stand in for rows that have it.
        transform: Done to the inputs of each block before the net sees them, or None.
    """

    source: Readable
    on_nan: OnNan = "error"
    filler: Block | None = field(default=None, repr=False)
    transform: Callable[[Any], Any] | None = None

    def read(self, start: int, stop: int) -> Rows:
        """Return rows start to stop - 1.

        Raises:
            DataError: If rows hold NaN and that is an error, or the source cannot be read.
            InputError: If the transform fails, or gives something else than it got rows of.
        """
        x = self.source.read(start, stop)
        gaps = nan_rows(x)
        if gaps.any():
            if self.on_nan == "error" or self.filler is None:
                raise _gaps_refused(self.source, np.flatnonzero(gaps) + start)
            x = _filled(x, gaps, self.filler)
        return Rows(start, self.transformed(x, stop - start, start=start), gaps)

    def transformed(self, x: Block, rows: int, *, start: int = 0) -> Any:
        """Return inputs as the net takes them.

        Args:
            x: The inputs.
            rows: How many rows they have.
            start: The number of the first row.

        Raises:
            InputError: If the transform fails, or gives something else than it got rows of.
        """
        if self.transform is None:
            return x
        try:
            made = self.transform(x)
        except Exception as error:  # whatever their code raises
            raise _transform_failed(self.transform, start, rows, error) from error
        parts = [made] if isinstance(made, list) else leaves(made)
        got = {len(part) for part in parts if np.ndim(part)}  # a number or a text is an option, without rows
        if got != {rows}:
            told = " and ".join(map(str, sorted(got))) or f"none in {type(made).__name__}"
            raise InputError(
                f"the transform must return as many rows as it is given, {rows}, got {told}; put them on the first axis"
            )
        return made


def first_rows(source: Source) -> int:
    """Return how many rows to look at before there are blocks: so many that they say enough, and fit in memory.

    It depends on the form of a row alone, so that a run that is resumed looks at the same rows.
    """
    row = sum(math.prod(array.shape) * array.dtype.itemsize for array in source.arrays.values())
    return min(len(source), _STEP, max(1, _STEP_BYTES // max(row, 1)))


def complete_row(source: Source) -> Block:
    """Return the first row of a source that holds no NaN.

    Raises:
        DataError: If there is none.
    """
    step = first_rows(source)
    for start in range(0, len(source), step):
        x = source.read(start, min(start + step, len(source)))
        good = np.flatnonzero(~nan_rows(x))[:1]
        if len(good):
            return select_rows(x, good)
        del x  # before the next ones are read
    raise DataError(f"{source.path} must hold a row without NaN, got it in all {len(source):,}; impute them first")


def groups_of(
    pred: RegressionPredictive | ClassificationPredictive, start: int, gaps: NDArray[np.bool_]
) -> dict[str, dict[str, Variable]]:
    """Return what is kept of a block: the prediction's variables and the number of each row, without gaps.

    Args:
        pred: The prediction of all rows of the block.
        start: The number of its first row.
        gaps: Which of its rows hold NaN; they are left out.
    """
    groups = {name: dict(variables) for name, variables in pred.variables().items()}
    rows = Variable((POINT,), start + np.arange(len(gaps)), "1", "row of the inputs")
    groups.setdefault(_CONSTANTS, {})[_ROW] = rows
    return _changed(groups, lambda values, axis: np.compress(~gaps, values, axis=axis)) if gaps.any() else groups


def with_gaps(groups: Groups, rows: range) -> dict[str, dict[str, Variable]]:
    """Return what is kept of a block with the rows that were left out in their places, NaN or 0 in all variables.

    Args:
        groups: What `groups_of` returned.
        rows: The numbers of all rows of the block.
    """
    places = groups[_CONSTANTS][_ROW].values - rows.start

    def spread(values: NDArray[Any], axis: int) -> NDArray[Any]:
        shape = (*values.shape[:axis], len(rows), *values.shape[axis + 1 :])
        whole = np.full(shape, np.nan if values.dtype.kind == "f" else 0, values.dtype)
        whole[(slice(None),) * axis + (places,)] = values
        return whole

    whole = _changed(groups, spread)
    numbers = whole[_CONSTANTS][_ROW]
    whole[_CONSTANTS][_ROW] = replace(numbers, values=np.arange(rows.start, rows.stop, dtype=numbers.values.dtype))
    return whole


def _changed(groups: Groups, change: Callable[[NDArray[Any], int], NDArray[Any]]) -> dict[str, dict[str, Variable]]:
    """Return variables with the values of those changed that have points, on the axis that is told."""
    return {
        group: {
            name: replace(variable, values=change(variable.values, variable.dims.index(POINT)))
            if POINT in variable.dims
            else variable
            for name, variable in variables.items()
        }
        for group, variables in groups.items()
    }


def _filled(x: Block, gaps: NDArray[np.bool_], filler: Block) -> Block:
    """Return rows with those that hold NaN replaced, in place: they were read for this alone."""
    pairs = [(x[name], filler[name]) for name in x] if isinstance(x, dict) else [(x, filler)]
    for values, row in pairs:
        values[gaps] = row
    return x


def _transform_failed(transform: Callable[[Any], Any], start: int, rows: int, error: Exception) -> InputError:
    name = getattr(transform, "__qualname__", type(transform).__qualname__)
    said = " ".join(str(error).split())[:300] or "no message"
    return InputError(
        f"the transform {name} must take every block of inputs, got {type(error).__name__} on rows {start:,} to "
        f"{start + rows - 1:,}: {said}; mend the transform"
    )


def _gaps_refused(source: Readable, rows: NDArray[np.int64]) -> DataError:
    shown = ", ".join(f"{row:,}" for row in rows[:_NAMED]) + (", ..." if len(rows) > _NAMED else "")
    return DataError(
        f"{source.path} must not hold NaN, got it in row{'s' if len(rows) > 1 else ''} {shown} (counted from 0); "
        'impute them, leave them out with on_nan="skip" (--on-nan skip), or keep their places with on_nan="keep"'
    )
