"""Arrays, tensors, tuples, dicts and loaders as one stream of checked batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcdrop.errors import InputError

__all__ = ["Batch", "Stream", "open_stream"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of the inputs, as the arguments of one call of the net.

    Attributes:
        args: Positional arguments; tensors among them have the rows on their first axis.
        kwargs: Keyword arguments, likewise.
        start: Number of the first row, counted over the whole input.
        size: Number of rows n.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    start: int
    size: int

    @property
    def rows(self) -> range:
        """The numbers of the rows, counted over the whole input."""
        return range(self.start, self.start + self.size)

    def tensors(self) -> list[Tensor]:
        """Return every tensor among the arguments."""
        return [value for value in (*self.args, *self.kwargs.values()) if isinstance(value, Tensor)]

    def map(self, change: Callable[[Tensor], Tensor], *, start: int, size: int) -> "Batch":
        """Return a batch with every tensor changed."""

        def apply(value: Any) -> Any:
            return change(value) if isinstance(value, Tensor) else value

        args = tuple(apply(value) for value in self.args)
        return Batch(args, {name: apply(value) for name, value in self.kwargs.items()}, start, size)

    def cloned(self) -> "Batch":
        """Return a batch whose tensors may be written to."""
        return self.map(lambda tensor: tensor.clone(), start=self.start, size=self.size)

    def repeated(self, rows: int) -> "Batch":
        """Return so many rows, taken from the front and repeated when there are fewer."""
        index = torch.arange(rows) % self.size
        return self.map(lambda tensor: tensor[index.to(tensor.device)], start=0, size=rows)

    def split(self, rows: int) -> Iterator["Batch"]:
        """Cut the batch into parts of at most so many rows."""
        for first in range(0, self.size, rows):
            part = slice(first, min(first + rows, self.size))
            yield self.map(itemgetter(part), start=self.start + first, size=part.stop - first)

    def describe(self) -> str:
        """Return the shapes of the tensors, for messages."""
        shapes = [str(tuple(tensor.shape)) for tensor in self.tensors()]
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


def open_stream(x: Any, *, device: torch.device, dtype: torch.dtype) -> Stream:
    """Read inputs of any accepted form.

    Args:
        x: A tensor or array with the rows on its first axis; a tuple of them (positional arguments) or a
            mapping (keyword arguments); or a DataLoader or other iterable of batches, each a tensor, a mapping,
            or a tuple or list whose first entry is the net's input and whose others (labels) are left out.
        device: Where the net is.
        dtype: Floating type of the net's parameters; floating inputs are converted to it.

    Returns:
        The stream.

    Raises:
        InputError: If there are no rows, rows do not match, or values are NaN or no numbers.
    """
    if isinstance(x, Tensor | np.ndarray | tuple | Mapping) or _is_nested_numbers(x):
        block = _block(x, 0, device, dtype)
        return Stream(block, iter([block]), block.size)
    if not isinstance(x, Iterable):
        raise InputError(
            f"x must be a tensor, an array, a tuple or dict of them, or a DataLoader, got {type(x).__name__}; "
            "for example torch.as_tensor(values)"
        )
    blocks = _loader_blocks(x, device, dtype)
    first = next(blocks, None)
    if first is None:
        raise InputError("x must hold at least one row, got a loader without batches; check the data set")
    return Stream(first, chain([first], blocks), None)


def _is_nested_numbers(x: Any) -> bool:
    """Whether x is a plain list of numbers, or of lists of numbers, rather than of batches."""
    while isinstance(x, list) and x:
        x = x[0]
    return isinstance(x, int | float | np.number)


def _loader_blocks(loader: Iterable[Any], device: torch.device, dtype: torch.dtype) -> Iterator[Batch]:
    start = 0
    for item in loader:
        inputs = item[0] if isinstance(item, tuple | list) and len(item) > 0 else item
        block = _block(inputs, start, device, dtype)
        yield block
        start += block.size


def _block(x: Any, start: int, device: torch.device, dtype: torch.dtype) -> Batch:
    if isinstance(x, Mapping):
        args, kwargs = (), {str(name): _tensor(value, str(name), device, dtype) for name, value in x.items()}
    else:
        values = x if isinstance(x, tuple) else (x,)
        args, kwargs = tuple(_tensor(value, f"x[{i}]", device, dtype) for i, value in enumerate(values)), {}
    lengths = {len(value) for value in (*args, *kwargs.values()) if isinstance(value, Tensor)}
    if not lengths or 0 in lengths:
        raise InputError("x must hold at least one row, got none; check what was passed or filtered before")
    if len(lengths) > 1:
        raise InputError(
            f"all inputs must have the same number of rows, got {sorted(lengths)}; rows come on the first axis"
        )
    return Batch(args, kwargs, start, lengths.pop())


def _tensor(value: Any, name: str, device: torch.device, dtype: torch.dtype) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value  # an option of the forward, not data
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name} must be numbers in a tensor or a rectangular array, got {type(value).__name__}: {error}"
        ) from error
    if tensor.dim() == 0:
        raise InputError(f"{name} must have its rows on the first axis, got a single number; wrap it in a list")
    if tensor.is_floating_point():
        tensor = tensor.to(device=device, dtype=dtype)
        _refuse_nan(tensor, name)
        return tensor
    return tensor.to(device)


def _refuse_nan(tensor: Tensor, name: str) -> None:
    if tensor.numel() == 0 or not bool(torch.isnan(tensor).any()):
        return
    bad = torch.isnan(tensor).flatten(1).any(1) if tensor.dim() > 1 else torch.isnan(tensor)
    rows = bad.nonzero().flatten().tolist()
    shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    raise InputError(
        f"{name} must not hold NaN, got it in {len(rows)} of {len(tensor)} rows ({shown}); drop or impute these rows"
    )
