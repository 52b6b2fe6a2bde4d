"""Tuples, lists and mappings of values, changed leaf by leaf and kept in their own types."""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["change_leaves", "leaves", "rebuilt"]


def leaves(value: Any) -> Iterator[Any]:
    """Yield what lies in tuples, lists and the values of mappings, at any depth, in order."""
    if isinstance(value, Mapping | tuple | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from leaves(part)
    else:
        yield value


def change_leaves(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a value with every leaf changed, in containers of the same types."""
    if isinstance(value, Mapping):
        return rebuilt(value, {key: change_leaves(part, change) for key, part in value.items()})
    if isinstance(value, tuple | list):
        return rebuilt(value, [change_leaves(part, change) for part in value])
    return change(value)


def rebuilt(value: Any, parts: Any) -> Any:
    """Return a container of the type of another, with these parts in the place of its own.

    Args:
        value: A mapping, tuple or list; it stays as it is.
        parts: For a mapping a dict with the same keys, else a list of the same length.

    Returns:
        A copy with its attributes, if it is a mapping; a plain dict for one that cannot be written to.
    """
    if isinstance(value, tuple):
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list) or type(value) is dict:
        return parts
    try:
        made: Any = copy.copy(value)  # an ordered dict that is a dataclass too takes no dict when it is made
        for key, part in parts.items():
            made[key] = part
    except TypeError:
        return parts
    return made
