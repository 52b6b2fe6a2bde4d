"""Rows of the inputs as the arguments of a call: cut, repeated and changed at whatever depth the tensors lie."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from mcdrop.inputs.nesting import change_leaves, leaves

__all__ = ["Batch", "Stream"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of the inputs, consecutive as a rule, as the arguments of one call of the net.

    Attributes:
        args: Positional arguments; tensors in them, also inside tuples, lists and mappings, have the rows on their
            first axis. A tensor without axes is an option, the same for all rows.
        kwargs: Keyword arguments, likewise.
        start: Number of the first row, counted over the whole input.
        size: Number of rows n.
        numbers: The numbers of the rows where they are not consecutive, ascending.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    start: int
    size: int
    numbers: tuple[int, ...] | None = None

    @property
    def rows(self) -> Sequence[int]:
        """The numbers of the rows, counted over the whole input."""
        return range(self.start, self.start + self.size) if self.numbers is None else self.numbers

    def tensors(self) -> list[Tensor]:
        """Return every tensor in the arguments, at any depth."""
        return [leaf for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Tensor)]

    def map(self, change: Callable[[Tensor], Tensor], *, start: int, size: int) -> "Batch":
        """Return a batch with every tensor that has rows changed, whatever holds it."""
        return self._changed(lambda tensor: change(tensor) if tensor.dim() > 0 else tensor, start, size)

    def cloned(self) -> "Batch":
        """Return a batch whose tensors may be written to."""
        return replace(self._changed(torch.clone, self.start, self.size), numbers=self.numbers)

    def _changed(self, change: Callable[[Tensor], Tensor], start: int, size: int) -> "Batch":
        args, kwargs = change_leaves(
            (self.args, self.kwargs), lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf
        )
        return Batch(args, kwargs, start, size)

    def at(self, places: Tensor) -> "Batch":
        """Return some of the rows, given by their places in ascending order; they keep their numbers."""
        part = self.map(lambda tensor: tensor[places.to(tensor.device)], start=self.start, size=len(places))
        return replace(part, numbers=tuple(self.rows[place] for place in places.tolist()))

    def repeated(self, rows: int) -> "Batch":
        """Return so many rows, taken from the front, each repeated in place when there are fewer."""
        index = torch.arange(rows) * min(self.size, rows) // rows
        return self.map(lambda tensor: tensor[index.to(tensor.device)], start=0, size=rows)

    def split(self, rows: int) -> Iterator["Batch"]:
        """Cut the batch into parts of at most so many rows."""
        for first in range(0, self.size, rows):
            part = slice(first, min(first + rows, self.size))
            yield self.map(itemgetter(part), start=self.start + first, size=part.stop - first)

    def describe(self) -> str:
        """Return shapes and types of the tensors, for messages."""
        shapes = [f"{tuple(tensor.shape)} ({str(tensor.dtype)[6:]})" for tensor in self.tensors()]
        return ", ".join(shapes) or "(no tensors)"


@dataclass(frozen=True, slots=True)
class Stream:
    """The inputs as blocks of rows, the first of them at hand already.

    Attributes:
        first: The first block, for a look at what the net does with it.
        blocks: All blocks in order, the first included; can be walked once.
        total: Number of rows N, or None for a loader that has to be walked to know.
    """

    first: Batch
    blocks: Iterator[Batch]
    total: int | None
