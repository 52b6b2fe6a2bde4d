"""What lists, tuples, deques and dicts hold, however deep: nets keep modules, tensors and vocabularies in them.

PyTree does this too, but builds an object for every step to every value, which takes long where a net holds a
vocabulary, and fails where a container holds itself. Other types that are registered with it are values here.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

__all__ = ["CONTAINERS", "within"]

CONTAINERS = (list, tuple, deque, dict)


def within(container: Any) -> Iterator[tuple[str, Any, Any]]:
    """Go through what is held; each container is read at once, so that other threads may change it.

    Args:
        container: A list, tuple, deque or dict.

    Yields:
        Every value that is no container itself (a module never is), in order: the path of its container, such as
        "['layers'][0]", its key or number there, and the value. A container that is held twice comes once.
    """
    yield from _search("", container, {})


def _search(path: str, container: Any, seen: dict[int, Any]) -> Iterator[tuple[str, Any, Any]]:
    if id(container) in seen:
        return
    seen[id(container)] = container  # kept: another one in its place would have its number
    for key, value in _items(container):
        if isinstance(value, CONTAINERS) and not isinstance(value, nn.Module):
            yield from _search(f"{path}[{key!r}]", value, seen)
        else:
            yield path, key, value


def _items(container: Any) -> Iterable[tuple[Any, Any]]:
    """Return a copy of what is held, past what a subclass makes of it: some dicts import what they are asked for."""
    if isinstance(container, dict):
        return [*dict.items(container)]
    kind = next(kind for kind in CONTAINERS if isinstance(container, kind))
    return enumerate([*kind.__iter__(container)])
