"""Which net makes fewer errors than which, and whether the digits and the repeats are enough to say so.

Nets are compared on the same digits after training with the same seeds: the difference of their errors is the mean of
paired differences, and `crossed` says what that is worth.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mcdrop.arguments import check_count
from mcdrop.demos.regularization.crossed import LEAST, adjust, judge, mean_test, state_p
from mcdrop.errors import InputError

__all__ = ["Ordering", "Spread", "compare_errors", "spread_errors", "state_orderings"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ordering:
    """Two nets in the order of their errors.

    Attributes:
        better: Name of the net with fewer errors; of two with equally many the one that came first.
        worse: Name of the other.
        difference: Mean over repeats of the errors by which the other exceeds it, at least 0, in digits out of N.
        error: Its standard error, in digits out of N; of a single repeat the part that comes from the digits alone.
        p_value: Two-sided; of a single repeat that of the digits alone. None where nothing varies and the nets differ,
            as on digits that one net always gets right and the other never: no error can be estimated then.
        p_adjusted: Adjusted for all pairs that were compared.
        supported: Whether the data supports the order. None if it was not judged: of fewer than 3 repeats, or without
            p.
    """

    better: str
    worse: str
    difference: float
    error: float
    p_value: float | None
    p_adjusted: float | None
    supported: bool | None


@dataclass(frozen=True, slots=True)
class Spread:
    """The errors of one net over its repeats, in digits out of N.

    Attributes:
        mean: Their mean.
        std: Their standard deviation, with one degree of freedom taken off; None for a single repeat.
        least: The fewest.
        greatest: The most.
        repeats: Number of repeats R.
    """

    mean: float
    std: float | None
    least: int
    greatest: int
    repeats: int


def compare_errors(
    wrong: Mapping[str, Flags], *, pairs: Iterable[tuple[str, str]] | None = None, beside: Sequence[float] = ()
) -> tuple[Ordering, ...]:
    """Compare the errors of pairs of nets.

    Args:
        wrong: Name of each net -> whether its repeat r gets held-out digit i wrong, shape (R, N); digits and seeds are
            the same for all nets.
        pairs: Names of the nets to be compared. Default: all pairs, in the order of the names.
        beside: p values of other comparisons that are made together with these.

    Returns:
        One ordering per pair; none for a single net.

    Raises:
        InputError: If there is no net, an array is not of truth values of shape (R, N) with N at least 2, or the
            shapes differ.
        KeyError: If `pairs` has a name that is not in `wrong`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> hard = rng.random(1000) < 0.05
        >>> plain = hard & (rng.random((3, 1000)) < 0.9)
        >>> dropout = hard & (rng.random((3, 1000)) < 0.4)
        >>> (ordering,) = compare_errors({"plain": plain, "dropout": dropout})
        >>> ordering.better, ordering.supported
        ('dropout', True)
    """
    tables = _check_wrong(wrong)
    found = [_compare(a, b, tables) for a, b in (combinations(tables, 2) if pairs is None else pairs)]
    known = {k: pair.p_value for k, pair in enumerate(found) if pair.p_value is not None}
    adjusted = dict(zip(known, adjust([*known.values(), *beside]), strict=False))  # the last are those beside
    repeats = next(iter(tables.values())).shape[0]
    return tuple(
        replace(pair, p_adjusted=adjusted.get(k), supported=judge(adjusted.get(k), repeats))
        for k, pair in enumerate(found)
    )


def state_orderings(
    orderings: Sequence[Ordering], titles: Mapping[str, str] | None = None, *, digits: int
) -> tuple[str, ...]:
    """Say in a sentence each which orderings the data supports; ± is one standard error, p is adjusted.

    Args:
        orderings: From `compare_errors`.
        titles: Name of a net -> what the sentences call it. Default: its name.
        digits: Number of held-out digits N.

    Returns:
        One sentence per ordering.

    Raises:
        InputError: If `digits` is no whole number above 0.

    Example:
        >>> pair = Ordering("a", "b", 12.34, 3.1, 0.004, 0.004, True)
        >>> state_orderings([pair], {"a": "LeNet with dropout", "b": "LeNet without"}, digits=1000)
        ('LeNet with dropout beats LeNet without by 12.3 ± 3.1 errors in 1,000 digits: supported (p = 0.004).',)
    """
    check_count("digits", digits, least=1, why="errors are made on digits")
    return tuple(_state(pair, {} if titles is None else titles, digits) for pair in orderings)


def spread_errors(wrong: Mapping[str, Flags]) -> dict[str, Spread]:
    """Return how many errors each net makes, and how much that differs between its repeats.

    Args:
        wrong: As for `compare_errors`.

    Raises:
        InputError: As of `compare_errors`.
    """
    counts = {name: table.sum(axis=1) for name, table in _check_wrong(wrong).items()}
    return {
        name: Spread(
            mean=float(errors.mean()),
            std=float(errors.std(ddof=1)) if len(errors) > 1 else None,
            least=int(errors.min()),
            greatest=int(errors.max()),
            repeats=len(errors),
        )
        for name, errors in counts.items()
    }


def _compare(a: str, b: str, tables: Mapping[str, Flags]) -> Ordering:
    """Return one pair by itself, not judged yet."""
    differences = tables[a].astype(np.int8) - tables[b].astype(np.int8)
    _, error, p = mean_test(differences)
    exact = int(differences.sum(dtype=np.int64))
    better, worse = (b, a) if exact > 0 else (a, b)
    digits = differences.shape[1]
    return Ordering(better, worse, abs(exact) / len(differences), error * digits, p, None, None)


def _state(pair: Ordering, titles: Mapping[str, str], digits: int) -> str:
    better, worse = titles.get(pair.better, pair.better), titles.get(pair.worse, pair.worse)
    start = better[:1].upper() + better[1:]
    amount = f"{pair.difference:.1f} ± {pair.error:.1f}"
    if pair.supported:
        return f"{start} beats {worse} by {amount} errors in {digits:,} digits: supported ({state_p(pair.p_adjusted)})."
    text = f"{start} makes {amount} fewer errors in {digits:,} digits than {worse}"
    if pair.difference == 0:
        text = f"{start} makes as many errors in {digits:,} digits as {worse}"
    if pair.p_value is None:
        return f"{text}: not judged, all digits and repeats differ alike and show no error of the difference."
    if pair.supported is None:
        return f"{text}: not judged, which takes {LEAST} seeds."
    return f"{text}: not told apart from chance ({state_p(pair.p_adjusted)})."


def _check_wrong(wrong: Mapping[str, Flags]) -> dict[str, Flags]:
    """Return the tables as arrays, all of one shape (R, N)."""
    expected = "wrong must map the name of each net to truth values of shape (R, N), whether a repeat errs on a digit"
    if not isinstance(wrong, Mapping) or not wrong:
        raise InputError(f"{expected}, got {type(wrong).__name__ if wrong else 'nothing'}; pass one array per net")
    tables = {name: np.asarray(table) for name, table in wrong.items()}
    shape = next(iter(tables.values())).shape
    for name, table in tables.items():
        if table.dtype != np.bool_ or table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
            raise InputError(
                f"{expected}, got {table.dtype} of shape {table.shape} for {name!r}; compare the answers with the "
                "labels of two or more digits"
            )
        if table.shape != shape:
            raise InputError(
                f"{expected}, the same digits and seeds for all, got {table.shape} for {name!r} beside {shape}; "
                "leave out what not all nets have"
            )
    return tables
