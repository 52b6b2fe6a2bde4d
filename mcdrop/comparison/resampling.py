r"""The bootstrap: what the scores of a model would have been for other points of the same kind.

A resample draws N of the N points with replacement, which gives point i a whole weight $w_i$, how often it was drawn.
Every summary of a score is written here as a function of these weights, for many resamples at once: with all weights 1
it is the summary itself, and its spread over resamples is the standard error. All models see the same resamples, so
that what is difficult about a point cancels in their differences. Points that are not independent, such as the turns of
one digit, belong to a group and are drawn together; otherwise the errors come out too small.

References:
    Efron, B. and Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman & Hall (standard error: eq. 6.6).
    Gneiting, T. and Katzfuss, M. (2014). Probabilistic Forecasting. Annual Review of Statistics and Its Application 1.
    https://doi.org/10.1146/annurev-statistics-062713-085831 (comparing average scores).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Statistic",
    "auroc_of",
    "calibration_of",
    "ece_of",
    "kept_accuracy_of",
    "mean_of",
    "replicate",
    "resample",
    "root_mean_of",
]

Floats = NDArray[np.float64]
Weights = NDArray[np.int64]
Number = TypeVar("Number", np.float64, np.int64)

Statistic = Callable[[Weights], Floats]
"""A summary over points, from weights (R, N) to one value per resample (R,)."""

_ROUNDING = 64 * float(np.finfo(np.float64).eps)
"""Relative differences between points that mean nothing."""

_BLOCK = 2**17
"""Weights that are held at once: what a processor's cache holds."""


def resample(groups: NDArray[np.intp], *, resamples: int, seed: int) -> Iterator[Weights]:
    """Yield the weights of all resamples, in blocks (R, N).

    Args:
        groups: Which group each of the N points belongs to, numbered from 0 without gaps; each point a group of its
            own where points are independent.
        resamples: Number of resamples.
        seed: Start of the random stream.

    Yields:
        How often each point was drawn: G groups are drawn from G, so that where all groups are of one size, each
        row has the sum N.
    """
    rng, units = np.random.default_rng(seed), int(groups.max()) + 1
    rows = max(1, _BLOCK // len(groups))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = rng.integers(units, size=(count, units)) + units * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units)
        yield weights if units == len(groups) else weights[:, groups]


def replicate(
    statistics: Sequence[Statistic], groups: NDArray[np.intp], *, resamples: int, seed: int
) -> tuple[Floats, Floats]:
    """Return the statistics of all points, and of every resample.

    Args:
        statistics: S of them, all of the same N points.
        groups: Which group each point belongs to, as for `resample`.
        resamples: Number of resamples R.
        seed: Start of the random stream.

    Returns:
        Values (S,) and replicates (S, R); NaN marks a resample in which a statistic is undefined.
    """
    values = np.array([statistic(np.ones((1, len(groups)), dtype=np.int64))[0] for statistic in statistics])
    blocks = [
        np.stack([statistic(weights) for statistic in statistics])
        for weights in resample(groups, resamples=resamples, seed=seed)
    ]
    return values, np.concatenate(blocks, axis=1)


def mean_of(values: NDArray[np.generic]) -> Statistic:
    """Return the average of one value per point, shape (N,)."""
    numbers = np.asarray(values, dtype=np.float64)
    if np.ptp(numbers) <= _ROUNDING * np.abs(numbers).max():  # has no error at all, and not one of rounding
        return lambda weights: np.full(len(weights), numbers[0])
    return lambda weights: weights @ numbers / weights.sum(axis=1)


def root_mean_of(values: Floats) -> Statistic:
    """Return the root of the average of one value per point, shape (N,)."""
    mean = mean_of(values)
    return lambda weights: np.sqrt(mean(weights))


def calibration_of(pit: Floats, levels: Sequence[float]) -> Statistic:
    """Return the calibration error of probability integral transforms, shape (N, D), at nominal coverages."""
    nominal = np.asarray(levels, dtype=np.float64)
    inside = (np.abs(2 * pit - 1)[..., None] <= nominal).mean(axis=1)
    return lambda weights: np.abs(weights @ inside / weights.sum(axis=1)[:, None] - nominal).mean(axis=1)


def ece_of(right: NDArray[np.bool_], confidence: Floats, bins: int) -> Statistic:
    """Return the expected calibration error, in bins that are drawn anew for every resample."""
    order, ends = _sort(confidence)
    gap = (np.asarray(right, dtype=np.float64) - confidence)[order]
    borders = np.arange(1, bins) / bins

    def statistic(weights: Weights) -> Floats:
        drawn = weights.take(order, axis=1)
        held, gaps = _up_to(ends, drawn), _up_to(ends, drawn * gap)
        middle = (held[:, 1:] + held[:, :-1]) / 2
        errors = np.empty(len(drawn))
        for row, ranks in enumerate(middle):
            points = held[row, -1]
            cuts = np.concatenate([[0], np.searchsorted(ranks, borders * points), [len(ranks)]])
            errors[row] = np.abs(np.diff(gaps[row, cuts])).sum() / points
        return errors

    return statistic


def auroc_of(uncertainty: Floats, positive: NDArray[np.bool_]) -> Statistic:
    """Return the AUROC; undefined (NaN) in a resample that has only positive or only negative points."""
    order = np.argsort(uncertainty, kind="stable")
    ranked, flags = uncertainty[order], positive[order]
    where = np.flatnonzero(flags)
    below = np.searchsorted(ranked, ranked[where], side="left")
    up_to = np.searchsorted(ranked, ranked[where], side="right")

    def statistic(weights: Weights) -> Floats:
        drawn = weights.take(order, axis=1)
        positives = drawn[:, where]
        negatives = _up_to(np.arange(len(order) + 1), np.where(flags, 0, drawn))
        won = (positives * (negatives[:, below] + negatives[:, up_to])).sum(axis=1) / 2
        pairs = positives.sum(axis=1) * negatives[:, -1]
        return np.asarray(np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0))

    return statistic


def kept_accuracy_of(right: NDArray[np.bool_], uncertainty: Floats, share: float) -> Statistic:
    """Return the accuracy of the answers kept when the least certain share is refused."""
    order, ends = _sort(uncertainty)
    flags = right[order]

    def statistic(weights: Weights) -> Floats:
        drawn = weights.take(order, axis=1)
        held, won = _up_to(ends, drawn), _up_to(ends, np.where(flags, drawn, 0))
        kept = np.maximum(held[:, -1] - np.floor(share * held[:, -1] + 1e-9), 1)
        right_kept = np.array([np.interp(*row) for row in zip(kept, held, won, strict=True)])
        return np.asarray(right_kept / kept)

    return statistic


def _sort(keys: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the order of the keys, and the ranks between which they are equal: 0, ..., N."""
    order = np.argsort(keys, kind="stable")
    return order, np.concatenate([[0], np.flatnonzero(np.diff(keys[order])) + 1, [len(keys)]])


def _up_to(ends: NDArray[np.intp], values: NDArray[Number]) -> NDArray[Number]:
    """Return the sums of each row's values below each of the ranks."""
    sums = np.zeros((len(values), values.shape[1] + 1), dtype=values.dtype)
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums if len(ends) == sums.shape[1] else sums[:, ends]
