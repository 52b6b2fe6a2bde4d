"""What lists, tuples, deques and dicts hold, however deep: nets keep modules, tensors and vocabularies in them.

PyTree does this too, but builds a path for every value, a hundred times slower where a net holds a vocabulary, and does
not end where a container holds itself.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

__all__ = ["CONTAINERS", "within"]

CONTAINERS = (list, tuple, deque, dict)


def within(container: Any) -> Iterator[tuple[str, Any, Any]]:
    """Go through what is held.

    Args:
        container: One of them.

    Yields:
        Every value that is no container itself, those of each container once, in order: the path of its container, as
        "['layers'][0]", its key or number there, and the value.
    """
    yield from _search("", container, set())


def _search(path: str, container: Any, seen: set[int]) -> Iterator[tuple[str, Any, Any]]:
    if id(container) in seen:
        return
    seen.add(id(container))
    for key, value in container.items() if isinstance(container, dict) else enumerate(container):
        if isinstance(value, CONTAINERS):
            yield from _search(f"{path}[{key!r}]", value, seen)
        else:
            yield path, key, value
