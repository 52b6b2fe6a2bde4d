"""The tensors inside whatever a net returns, by the names that choose them."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

__all__ = ["MISSING", "describe", "find", "tensors_in"]

MISSING = object()
"""What is found where there is nothing of that name."""

_SHOWN = 12


def find(output: Any, name: str | int) -> Any:
    """Return the part of that name: an entry, an attribute, a place in a tuple, or a path to one such as "decoder.0".

    Args:
        output: What a net returned.
        name: The name of the part.

    Returns:
        The part, or `MISSING`.
    """
    part = _entry(output, name)
    if part is not MISSING or not isinstance(name, str) or "." not in name:
        return part
    part = output
    for step in name.split("."):
        part = _entry(part, step)
    return part


def _entry(output: Any, name: str | int) -> Any:
    if isinstance(output, Tensor):  # whose attributes are methods, and whose places are rows
        return MISSING
    if isinstance(output, Mapping) and name in output:
        return output[name]
    if isinstance(name, str) and not name.lstrip("-").isdigit():
        return getattr(output, name, MISSING)
    places = output.to_tuple() if hasattr(output, "to_tuple") else output  # an ordered dict that is a tuple too
    try:
        return places[int(name)] if isinstance(places, tuple | list) else MISSING
    except IndexError:
        return MISSING


def tensors_in(output: Any, *, skip: frozenset[str] = frozenset()) -> dict[str, Tensor]:
    """Return all tensors in what a net returned, by their paths.

    Args:
        output: What a net returned.
        skip: Names of entries to pass over.

    Example:
        >>> import torch
        >>> list(tensors_in({"a": torch.ones(2), "b": (torch.ones(3), None)}))
        ['a', 'b.0']
    """
    return dict(_walk(output, "", skip))


def _walk(output: Any, path: str, skip: frozenset[str]) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield path, output
        return
    for name, part in _entries(output):
        if name not in skip:
            yield from _walk(part, f"{path}.{name}" if path else name, skip)


def _entries(output: Any) -> list[tuple[str, Any]]:
    if isinstance(output, Mapping):
        return [(str(name), part) for name, part in output.items()]
    if isinstance(output, tuple | list):
        names = getattr(output, "_fields", range(len(output)))
        return [(str(name), part) for name, part in zip(names, output, strict=True)]
    if is_dataclass(output) and not isinstance(output, type):
        return [(field.name, getattr(output, field.name)) for field in fields(output)]
    return []


def describe(output: Any) -> str:
    """Return what a net returned, for messages: its type, and the paths, shapes and types of its tensors."""
    if isinstance(output, Tensor):
        return f"one tensor of shape {tuple(output.shape)}"
    found = [f"{path} {tuple(tensor.shape)} ({str(tensor.dtype)[6:]})" for path, tensor in tensors_in(output).items()]
    kind = type(output).__name__
    if not found:
        return f"{kind} without tensors" if _entries(output) else kind
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{kind} with {', '.join(found[:_SHOWN])}{more}"
