"""From whatever a user hands over to a stream of batches."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from mcdrop.errors import InputError
from mcdrop.inputs.batch import Batch, Stream
from mcdrop.inputs.keywords import Keywords
from mcdrop.inputs.loaders import refuse_reordered
from mcdrop.inputs.values import ValueReader, is_nested_list, refuse_packed

__all__ = ["open_stream"]

_ANY = Keywords()


def open_stream(
    x: Any,
    *,
    device: torch.device,
    dtype: torch.dtype,
    kept: frozenset[torch.dtype] = frozenset(),
    keywords: Keywords = _ANY,
    start: int = 0,
) -> Stream:
    """Read inputs of any accepted form.

    Args:
        x: A tensor or array with the rows on its first axis; a tuple of arguments or a mapping of keyword arguments,
            each such a tensor, an option, or tuples, lists and mappings of them; or a DataLoader or other iterable of
            batches, each a tensor, a mapping, or a tuple or list whose first entry is the net's input and whose others
            (labels) are left out.
        device: Where the net is.
        dtype: Floating type that most of the net has; floating inputs are converted to it.
        kept: All floating types that the net has: a tensor in one of them stays as it is.
        keywords: What the net takes by name. Of a mapping, labels that it does not take are left out; a mapping is
            one positional argument where the net takes a single one, of another name than any in it.
        start: The number of the first row.

    Returns:
        The stream.

    Raises:
        InputError: If there are no rows, rows do not match, a name is not one of the net's arguments, values are NaN
            or no numbers, or a loader is known not to give every row once and in order.
    """
    refuse_packed(x, "x")
    reader = ValueReader(device, dtype, kept, start)
    if isinstance(x, Tensor | tuple | Mapping) or hasattr(x, "__array__") or is_nested_list(x):
        block = _block(x, reader, keywords)
        return Stream(block, iter([block]), block.size)
    if not isinstance(x, Iterable) or isinstance(x, str | bytes):
        raise InputError(
            f"x must be a tensor, an array, a tuple or dict of them, or a DataLoader, got {type(x).__name__}; "
            "for example torch.as_tensor(values)"
        )
    refuse_reordered(x)
    blocks = _loader_blocks(x, reader, keywords)
    first = next(blocks, None)
    if first is None:
        raise InputError("x must hold at least one row, got a loader without batches; check the data set")
    return Stream(first, chain([first], blocks), None)


def _loader_blocks(loader: Iterable[Any], reader: ValueReader, keywords: Keywords) -> Iterator[Batch]:
    start = reader.start
    with torch.random.fork_rng(devices=[]):  # a DataLoader draws a seed for its workers when it starts
        items = iter(loader)
    for item in items:
        inputs = item[0] if isinstance(item, tuple | list) and len(item) > 0 else item
        if isinstance(inputs, list) and not is_nested_list(inputs):
            inputs = tuple(inputs)  # a DataLoader makes lists of tuples: the net's several inputs
        block = _block(inputs, replace(reader, start=start), keywords)
        yield block
        start += block.size


def _block(x: Any, reader: ValueReader, keywords: Keywords) -> Batch:
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(x, Mapping) and not keywords.wants_whole(x):
        kwargs = {name: reader.read(value, f"x[{name!r}]") for name, value in keywords.select(x).items()}
    elif isinstance(x, tuple):
        refuse_packed(x, "x")
        args = tuple(reader.read(value, f"x[{i}]") for i, value in enumerate(x))
    elif getattr(x, "ndim", None) == 0:
        raise InputError("x must have its rows on the first axis, got a single number; wrap it in a list")
    else:
        args = (reader.read(x, "x"),)
    batch = Batch(args, kwargs, reader.start, 0)
    return replace(batch, size=_count_rows(batch, type(x).__name__))


def _count_rows(batch: Batch, kind: str) -> int:
    lengths = {len(tensor) for tensor in batch.tensors() if tensor.dim() > 0}
    if not lengths:
        raise InputError(
            f"x must hold at least one tensor or array, got none in {kind}; "
            "rows come on the first axis, for example torch.as_tensor(values)"
        )
    if 0 in lengths:
        raise InputError("x must hold at least one row, got none; check what was passed or filtered before")
    if len(lengths) > 1:
        raise InputError(
            f"all inputs must have the same number of rows, got {sorted(lengths)}; rows come on the first axis, and a "
            "tensor that has none, such as a table or a graph, belongs in the net: as a buffer of its own or of a "
            "module around it, whose forward hands it on"
        )
    return lengths.pop()
