r"""Which net makes fewer errors than which, and whether the digits and the repeats are enough to say so.

Two nets are compared on the same N held-out digits after training with the same R seeds. Let $d_{ri}$ be 1 where in
repeat r the first alone errs on digit i, -1 where the second alone does, else 0. Another set of digits and other seeds
would give another mean of these, so both count as random, crossed, with one observation per cell:

$$d_{ri} = \mu + a_i + b_r + e_{ri}, \qquad
  \mathrm{Var}[\bar d] = \frac{\sigma_a^2}{N} + \frac{\sigma_b^2}{R} + \frac{\sigma_e^2}{RN}.$$

The mean squares of a two-way table without replication estimate it, with no component below zero:

$$\widehat{\mathrm{Var}}[\bar d] = \frac{1}{RN}
  \max(\mathrm{MS}_a + \mathrm{MS}_b - \mathrm{MS}_e,\ \mathrm{MS}_a,\ \mathrm{MS}_b,\ \mathrm{MS}_e), \qquad
  \nu = \frac{(RN\, \widehat{\mathrm{Var}}[\bar d])^2}
  {\frac{\mathrm{MS}_a^2}{N - 1} + \frac{\mathrm{MS}_b^2}{R - 1} + \frac{\mathrm{MS}_e^2}{(R - 1)(N - 1)}}.$$

$\bar d$ over its standard error is compared with Student's t of $\nu$ degrees of freedom (Satterthwaite's), two-sided,
and the p values of all pairs are adjusted together (Holm's): the chance that any verdict "supported" is false is 5% at
most, as far as the approximation holds. Where two nets of one law are drawn at 1,000 digits, a pair's own rate of
false verdicts comes out at 2% to 6% from 3 repeats on, whatever the seeds' share in the variance; at 2 repeats it is 2%
to 11%. Errors of the digits alone would give 5% to 78%.

A single repeat does not tell what another seed would have given: the error is then that of the digits alone, too small
by an unknown amount, and no verdict is given.

References:
    Searle, S. R., Casella, G. and McCulloch, C. E. (1992). Variance Components. Wiley.
    https://doi.org/10.1002/9780470316856 (chapter 4: balanced data, the two-way crossed classification).
    Satterthwaite, F. E. (1946). An Approximate Distribution of Estimates of Variance Components. Biometrics
    Bulletin 2(6). https://doi.org/10.2307/3002019
    Holm, S. (1979). A Simple Sequentially Rejective Multiple Test Procedure. Scandinavian Journal of Statistics 6(2).
    https://www.jstor.org/stable/4615733
    Owen, A. B. (2007). The pigeonhole bootstrap. Annals of Applied Statistics 1(2).
    https://doi.org/10.1214/07-AOAS122 (crossed random effects: why errors of one side alone are too small).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mcdrop.arguments import check_count
from mcdrop.errors import InputError

__all__ = ["LEVEL", "Ordering", "Spread", "adjust", "compare_errors", "mean_error", "spread_errors", "state_orderings"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEVEL = 0.05
"""The largest adjusted p value that supports an ordering."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """Two nets in the order of their errors.

    Attributes:
        better: Name of the net with fewer errors; of two with equally many the one that came first.
        worse: Name of the other.
        difference: Mean over repeats of the errors by which the other exceeds it, at least 0, in digits out of N.
        error: Its standard error, in digits out of N; of a single repeat the part that comes from the digits alone.
        dof: Degrees of freedom of the error; 0 where nothing varies.
        p_value: Two-sided; of a single repeat that of the digits alone. None where nothing varies and the nets differ,
            as on digits that one net always gets right and the other never: no error can be estimated then.
        p_adjusted: Adjusted for all pairs that were compared.
        supported: Whether the data supports the order. None if it was not judged: of a single repeat, or without p.
    """

    better: str
    worse: str
    difference: float
    error: float
    dof: float
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


def compare_errors(wrong: Mapping[str, Flags]) -> tuple[Ordering, ...]:
    """Compare the errors of all pairs of nets.

    Args:
        wrong: Name of each net -> whether its repeat r gets held-out digit i wrong, shape (R, N); digits and seeds are
            the same for all nets.

    Returns:
        One ordering per pair, in the order of the names; none for a single net.

    Raises:
        InputError: If there is no net, an array is not of truth values of shape (R, N) with N at least 2, or the
            shapes differ.

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
    pairs = [_compare(a, b, tables) for a, b in combinations(tables, 2)]
    known = {k: pair.p_value for k, pair in enumerate(pairs) if pair.p_value is not None}
    adjusted = dict(zip(known, adjust(list(known.values())), strict=True))
    repeats = next(iter(tables.values())).shape[0]
    return tuple(_judge(pair, adjusted.get(k), repeats) for k, pair in enumerate(pairs))


def mean_error(differences: NDArray[np.floating] | NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
    """Return the mean of paired differences, its standard error with digits and repeats random, and its dof.

    Args:
        differences: Shape (..., R, N), N at least 2. With R = 1 the error is that of the digits alone.

    Returns:
        Mean, error and degrees of freedom, each of shape (...); error and dof are 0 where nothing varies.
    """
    values = np.asarray(differences, dtype=np.float64)
    repeats, digits = values.shape[-2:]
    mean = values.mean(axis=(-2, -1))
    a = values.mean(axis=-2) - mean[..., None]
    b = values.mean(axis=-1) - mean[..., None]
    e = values - mean[..., None, None] - a[..., None, :] - b[..., :, None]
    dofs = np.array([digits - 1, repeats - 1, (repeats - 1) * (digits - 1)])
    sums = np.stack([repeats * (a**2).sum(-1), digits * (b**2).sum(-1), (e**2).sum((-2, -1))], axis=-1)
    squares = sums / np.maximum(dofs, 1)  # with one repeat the last two sums are 0
    scaled = np.maximum(squares[..., 0] + squares[..., 1] - squares[..., 2], squares.max(-1))
    varies = np.ptp(values, axis=(-2, -1)) > 0
    spread = (squares**2 / np.maximum(dofs, 1)).sum(-1)
    dof = np.where(varies, scaled**2 / np.where(varies, spread, 1.0), 0.0)
    return mean, np.where(varies, np.sqrt(scaled / (repeats * digits)), 0.0), dof


def adjust(p_values: Sequence[float]) -> list[float]:
    r"""Return p values adjusted for their number by Holm's step-down rule, in the order given.

    With $p_{(1)} \le \dots \le p_{(m)}$ the k-th becomes $\max_{j \le k} \min(1, (m - j + 1)\, p_{(j)})$.
    """
    count, adjusted, largest = len(p_values), [0.0] * len(p_values), 0.0
    for rank, k in enumerate(sorted(range(count), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, (count - rank) * p_values[k]))
        adjusted[k] = largest
    return adjusted


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
        >>> pair = Ordering("a", "b", 12.34, 3.1, 8.0, 0.004, 0.004, True)
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
    from scipy.stats import t

    differences = tables[a].astype(np.int8) - tables[b].astype(np.int8)
    digits = differences.shape[1]
    mean, error, dof = (float(value) for value in mean_error(differences))
    exact = int(differences.sum(dtype=np.int64))  # of nets with equally many errors the mean may round to above 0
    p: float | None = 1.0
    if exact != 0:
        p = None if error == 0 else float(2 * t.sf(abs(mean) / error, dof))
    better, worse = (b, a) if exact > 0 else (a, b)
    difference = abs(exact) / len(differences)
    return Ordering(better, worse, difference, error * digits, dof, p, None, None)


def _judge(pair: Ordering, p_adjusted: float | None, repeats: int) -> Ordering:
    """Return the pair with what all pairs together say of it."""
    supported = None if p_adjusted is None or repeats == 1 else p_adjusted <= LEVEL
    return replace(pair, p_adjusted=p_adjusted, supported=supported)


def _state(pair: Ordering, titles: Mapping[str, str], digits: int) -> str:
    better, worse = titles.get(pair.better, pair.better), titles.get(pair.worse, pair.worse)
    amount = f"{pair.difference:.1f} ± {pair.error:.1f}"
    if pair.supported:
        return f"{better} beats {worse} by {amount} errors in {digits:,} digits: supported ({_p(pair.p_adjusted)})."
    start = f"{better} makes {amount} fewer errors than {worse} in {digits:,} digits"
    if pair.difference == 0:
        start = f"{better} and {worse} make equally many errors in {digits:,} digits"
    if pair.p_value is None:
        return f"{start}: not judged, all digits and repeats differ alike and show no error of the difference."
    if pair.supported is None:
        return f"{start} (digits' error alone): not judged, one repeat shows nothing of the seeds."
    return f"{start}: noise ({_p(pair.p_adjusted)})."


def _p(value: float | None) -> str:
    if value is None or value < 0.001:
        return "p < 0.001"
    return f"p = {value:.2g}" if value < 0.995 else "p = 1"


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
