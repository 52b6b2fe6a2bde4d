"""Arrays, tensors, tuples, dicts and loaders as one stream of checked batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

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
    if isinstance(x, PackedSequence):
        raise InputError("x must have its rows on the first axis, got a PackedSequence; pack inside the net's forward")
    if isinstance(x, Tensor | tuple | Mapping) or hasattr(x, "__array__") or _is_nested_list(x):
        block = _block(x, 0, device, dtype)
        return Stream(block, iter([block]), block.size)
    if not isinstance(x, Iterable) or isinstance(x, str | bytes):
        raise InputError(
            f"x must be a tensor, an array, a tuple or dict of them, or a DataLoader, got {type(x).__name__}; "
            "for example torch.as_tensor(values)"
        )
    if isinstance(getattr(x, "sampler", None), torch.utils.data.RandomSampler):
        raise InputError(
            "x must be a loader that keeps the order of its rows, got one that shuffles, so that nothing says which "
            "prediction is whose; pass DataLoader(..., shuffle=False)"
        )
    blocks = _loader_blocks(x, device, dtype)
    first = next(blocks, None)
    if first is None:
        raise InputError("x must hold at least one row, got a loader without batches; check the data set")
    return Stream(first, chain([first], blocks), None)


def _is_nested_list(x: Any) -> bool:
    """Whether x is a list of numbers, or of lists of numbers, rather than of batches."""
    first = x
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(x, list) and isinstance(first, int | float | np.number)


def _loader_blocks(loader: Iterable[Any], device: torch.device, dtype: torch.dtype) -> Iterator[Batch]:
    start = 0
    with torch.random.fork_rng(devices=[]):  # a DataLoader draws a seed for its workers when it starts
        items = iter(loader)
    for item in items:
        inputs = item[0] if isinstance(item, tuple | list) and len(item) > 0 else item
        if isinstance(inputs, list) and all(isinstance(part, Tensor) for part in inputs):
            inputs = tuple(inputs)  # a DataLoader makes lists of tuples: the net's several inputs
        block = _block(inputs, start, device, dtype)
        yield block
        start += block.size


def _block(x: Any, start: int, device: torch.device, dtype: torch.dtype) -> Batch:
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(x, Mapping):
        kwargs = {str(k): _tensor(value, f"x[{k!r}]", start, device, dtype) for k, value in x.items()}
    elif isinstance(x, tuple):
        args = tuple(_tensor(value, f"x[{i}]", start, device, dtype) for i, value in enumerate(x))
    else:
        args = (_tensor(x, "x", start, device, dtype),)
    lengths = {len(value) for value in (*args, *kwargs.values()) if isinstance(value, Tensor)}
    if not lengths:
        raise InputError(
            f"x must hold at least one tensor or array, got none in {type(x).__name__}; "
            "rows come on the first axis, for example torch.as_tensor(values)"
        )
    if 0 in lengths:
        raise InputError("x must hold at least one row, got none; check what was passed or filtered before")
    if len(lengths) > 1:
        raise InputError(
            f"all inputs must have the same number of rows, got {sorted(lengths)}; rows come on the first axis"
        )
    return Batch(args, kwargs, start, lengths.pop())


def _tensor(value: Any, name: str, start: int, device: torch.device, dtype: torch.dtype) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value  # an option of the forward, not data
    try:
        tensor = value if isinstance(value, Tensor) else _from_array(np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name} must be numbers in a tensor or a rectangular array, got {type(value).__name__}: {error}"
        ) from error
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        kind = "meta" if tensor.is_meta else "nested" if tensor.is_nested else str(tensor.layout)
        raise InputError(f"{name} must be a dense tensor with data, got a {kind} one; use .to_dense() or pad it")
    if tensor.dim() == 0:
        raise InputError(f"{name} must have its rows on the first axis, got a single number; wrap it in a list")
    if tensor.is_floating_point():
        tensor = tensor.to(device=device, dtype=dtype)
        _refuse_nan(tensor, name, start)
        return tensor
    return tensor.to(device)


def _from_array(array: NDArray[Any]) -> Tensor:
    """Make a tensor of an array; one that torch cannot share memory with is copied."""
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.as_tensor(np.require(native, requirements=["C", "W"]))


def _refuse_nan(tensor: Tensor, name: str, start: int) -> None:
    if tensor.numel() == 0 or not bool(torch.isnan(tensor).any()):
        return
    bad = torch.isnan(tensor).flatten(1).any(1) if tensor.dim() > 1 else torch.isnan(tensor)
    rows = (bad.nonzero().flatten() + start).tolist()
    shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    raise InputError(
        f"{name} must not hold NaN, got it in {len(rows)} of {len(tensor)} rows ({shown}); drop or impute them"
    )
