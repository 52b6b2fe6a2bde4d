"""What a transform is, as a text: the same in any process, another one for whatever changes what it does."""

import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import nn

from mcdrop.models import fingerprint

__all__ = ["describe"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe(transform: Callable[..., Any]) -> str:
    """Return the name of a transform and a checksum of all that it tells of itself.

    Of a function that is its source, its defaults and the values that it closes over; of a `functools.partial` the
    function and its arguments; of an object the source of its class and how it prints itself. The functions that
    these call, and global names, do not count.

    Args:
        transform: The transform.

    Example:
        >>> def scaled(by):
        ...     return lambda x: x * by
        >>> describe(scaled(2)) == describe(scaled(2)), describe(scaled(2)) == describe(scaled(3))
        (True, False)
    """
    named = transform if hasattr(transform, "__qualname__") else type(transform)
    text = _told(transform, frozenset())
    return f"{named.__module__}:{named.__qualname__} ({hashlib.sha256(text.encode()).hexdigest()[:8]})"


def _told(value: Any, above: frozenset[int]) -> str:
    """Return what a value is, without addresses in memory.

    Args:
        value: A function, or what it holds.
        above: Identities of what holds it, for functions that close over themselves.
    """
    if id(value) in above:
        return "..."
    inner = above | {id(value)}
    if isinstance(value, np.ndarray | torch.Tensor):
        return _numbers(value)
    if isinstance(value, nn.Module):
        return str(fingerprint(value))
    if isinstance(value, functools.partial):
        return " ".join(_told(part, inner) for part in ("partial", value.func, value.args, value.keywords))
    if inspect.ismethod(value):
        return f"{_told(value.__func__, inner)} {_told(value.__self__, inner)}"
    if inspect.isfunction(value):
        held = [value.__defaults__, value.__kwdefaults__, [_cell(cell) for cell in value.__closure__ or ()]]
        return " ".join([_source(value), *(_told(part, inner) for part in held)])
    return _plain(value, inner)


def _plain(value: Any, inner: frozenset[int]) -> str:
    """Return what a value is that is no function: collections by what is in them, objects by their class, too."""
    if isinstance(value, Mapping):
        return str([(_told(key, inner), _told(each, inner)) for key, each in value.items()])
    if isinstance(value, Set):  # in an order that is not that of this process
        return str(sorted(_told(each, inner) for each in value))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | range):
        return f"{type(value).__name__} {[_told(each, inner) for each in value]}"
    is_own = not isinstance(value, type) and callable(value) and hasattr(type(value), "__module__")
    source = _source(type(value)) if is_own else ""
    return f"{source} {_ADDRESS.sub('', repr(value))}"


def _numbers(values: Any) -> str:
    """Return all of an array, where it would print itself with a gap."""
    array = values.detach().cpu().contiguous() if isinstance(values, torch.Tensor) else np.ascontiguousarray(values)
    if isinstance(array, torch.Tensor):
        data = array.reshape(-1).view(torch.uint8).numpy().tobytes()
    else:
        data = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
    return f"{array.dtype} {tuple(array.shape)} {hashlib.sha256(data).hexdigest()}"


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _source(code: Any) -> str:
    """Return the source of a function or class, or how it prints itself where none can be had."""
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return _ADDRESS.sub("", repr(code))
