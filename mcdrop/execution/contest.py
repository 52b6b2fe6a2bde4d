"""A contest between ways to do the same work: each does some of it against the clock, the quickest does the rest."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

__all__ = ["Contest"]

_ROUNDS = 2  # the first round of each pays for what it prepares
_HOPELESS = 3.0  # times the best: who is as slow as that in the first round gets no second one


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Way = TypeVar("Way", bound=_Named)


class Contest(Generic[Way]):
    """Whose turn it is."""

    def __init__(self, ways: Sequence[Way], *, is_timed: bool) -> None:
        """Line the ways up.

        Args:
            ways: What can do the work, best first as far as is known.
            is_timed: Whether the clock decides; if not, the first one does all the work, for as long as it can.
        """
        self._entries: list[tuple[Way, list[float]]] = [(way, []) for way in ways]
        self._is_timed = is_timed

    def next(self) -> Way:
        """Return whose turn it is: the first that has had too few, or the quickest."""
        if not self._is_timed or len(self._entries) == 1:
            return self._entries[0][0]
        fewest = min(self._entries, key=lambda entry: len(entry[1]))
        if not fewest[1]:
            return fewest[0]
        best = min(min(times) for _, times in self._entries)
        again = [way for way, times in self._entries if len(times) < _ROUNDS and times[0] < _HOPELESS * best]
        return again[0] if again else min(self._entries, key=lambda entry: min(entry[1]))[0]

    @contextmanager
    def timed(self, way: Way, work: int) -> Iterator[None]:
        """Take down how long a piece of work takes.

        Args:
            way: Who does it.
            work: How much it is.
        """
        start = time.perf_counter()
        yield
        seconds = (time.perf_counter() - start) / work
        next(times for entry, times in self._entries if entry is way).append(seconds)

    def drop(self, name: str) -> bool:
        """Let all ways of a name retire; tell whether any is left."""
        self._entries = [entry for entry in self._entries if entry[0].name != name]
        return bool(self._entries)
