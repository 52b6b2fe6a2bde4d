"""Rows of a data set in Ray's object store, numbered, to be read by any worker in any order."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Self

import numpy as np

from mcdrop.bulk import Rows
from mcdrop.distributed.columns import Batch, inputs_of, refuse_gaps
from mcdrop.distributed.session import import_ray
from mcdrop.sources import nan_rows

__all__ = ["StoredRows"]


class StoredRows:
    """The blocks of a data set in the store; Ray spills them to disk where memory is short.

    It pickles without its references: Ray counts those that it is given itself, and keeps what the others refer to
    for as long as the driver lives.

    Attributes:
        blocks: References to the columns of each block.
        ends: Number of the row after the last one of each block.
        columns: The columns to take, or None for all.
    """

    def __init__(self, blocks: Sequence[Any], ends: Sequence[int], columns: Sequence[str] | None) -> None:
        """Put together what is known of them."""
        self.blocks, self.ends, self.columns = list(blocks), list(ends), columns
        self._held: tuple[int, Batch] | None = None

    @classmethod
    def of(cls, dataset: Any, columns: Sequence[str] | None) -> Self:
        """Read a data set into the store.

        Args:
            dataset: The Ray data set.
            columns: The columns to take, or None for all.
        """
        ray = import_ray()
        blocks = dataset.to_numpy_refs()
        count = ray.remote(lambda batch: len(next(iter(batch.values()), ())))  # by value: no process imports torch
        lengths = ray.get([count.remote(block) for block in blocks])
        return cls(blocks, list(accumulate(lengths)), columns)

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ([], self.ends, self.columns)

    def read(self, start: int, stop: int) -> Rows:
        """Return rows start to stop - 1, copied: what is in the store is not to be written to.

        Raises:
            DataError: If rows hold NaN.
            InputError: If columns are not usable.
        """
        parts, row = [], start
        while row < stop:
            number = bisect_right(self.ends, row)
            first = self.ends[number - 1] if number else 0
            end = min(stop, self.ends[number])
            batch = self._block(number)
            parts.append({name: batch[name][row - first : end - first] for name in self.columns or batch})
            row = end
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        x = inputs_of(whole, self.columns)
        gaps = nan_rows(x)
        refuse_gaps(gaps, start)
        return Rows(start, x, gaps)

    def _block(self, number: int) -> Batch:
        if self._held is None or self._held[0] != number:
            self._held = None  # before the next one comes
            self._held = (number, import_ray().get(self.blocks[number]))
        return self._held[1]
