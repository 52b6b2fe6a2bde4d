r"""The bootstrap: what the scores of a model would have been for other points of the same kind.

A resample draws N of the N points with replacement, which gives point i a whole weight $w_i$, how often it was drawn.
Every summary of a score is written here as a function of these weights, for many resamples at once: with all weights 1
it is the summary itself, and its spread over resamples is the standard error. All models see the same resamples, so
that what is difficult about a point cancels in their differences. Points count as independent; where they are not, as
in a time series, the true errors are larger.

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

_BLOCK = 2**17
"""Weights that are held at once: what a processor's cache holds."""


def resample(points: int, *, resamples: int, seed: int) -> Iterator[Weights]:
    """Yield the weights of all resamples, in blocks (R, N).

    Args:
        points: Number of points N.
        resamples: Number of resamples.
        seed: Start of the random stream.

    Yields:
        How often each point was drawn, each row with the sum N.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // points)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = rng.integers(points, size=(count, points)) + points * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * points).reshape(count, points)


def replicate(statistics: Sequence[Statistic], points: int, *, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Return the statistics of all points, and of every resample.

    Args:
        statistics: S of them, all of the same N points.
        points: Number of points N.
        resamples: Number of resamples R.
        seed: Start of the random stream.

    Returns:
        Values (S,) and replicates (S, R); NaN marks a resample in which a statistic is undefined.
    """
    values = np.array([statistic(np.ones((1, points), dtype=np.int64))[0] for statistic in statistics])
    blocks = [
        np.stack([statistic(weights) for statistic in statistics])
        for weights in resample(points, resamples=resamples, seed=seed)
    ]
    return values, np.concatenate(blocks, axis=1)


def mean_of(values: NDArray[np.generic]) -> Statistic:
    """Return the average of one value per point, shape (N,)."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.min() == numbers.max():  # has no error at all, and not one of rounding
        return lambda weights: np.full(len(weights), numbers[0])
    return lambda weights: weights @ numbers / len(numbers)


def root_mean_of(values: Floats) -> Statistic:
    """Return the root of the average of one value per point, shape (N,)."""
    mean = mean_of(values)
    return lambda weights: np.sqrt(mean(weights))


def calibration_of(pit: Floats, levels: Sequence[float]) -> Statistic:
    """Return the calibration error of probability integral transforms, shape (N, D), at nominal coverages."""
    nominal = np.asarray(levels, dtype=np.float64)
    inside = (np.abs(2 * pit - 1)[..., None] <= nominal).mean(axis=1)
    return lambda weights: np.abs(weights @ inside / len(inside) - nominal).mean(axis=1)


def ece_of(right: NDArray[np.bool_], confidence: Floats, bins: int) -> Statistic:
    """Return the expected calibration error, in bins that are drawn anew for every resample."""
    order, ends = _sort(confidence)
    gap = (np.asarray(right, dtype=np.float64) - confidence)[order]
    points = len(order)
    borders = np.arange(1, bins) * points / bins

    def statistic(weights: Weights) -> Floats:
        drawn = weights.take(order, axis=1)
        held, gaps = _up_to(ends, drawn), _up_to(ends, drawn * gap)
        middle = (held[:, 1:] + held[:, :-1]) / 2
        errors = np.empty(len(drawn))
        for row, ranks in enumerate(middle):
            cuts = np.concatenate([[0], np.searchsorted(ranks, borders), [len(ranks)]])
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
    flags, points = right[order], len(order)
    kept = points - np.floor(share * points + 1e-9)

    def statistic(weights: Weights) -> Floats:
        drawn = weights.take(order, axis=1)
        held, won = _up_to(ends, drawn), _up_to(ends, np.where(flags, drawn, 0))
        return np.asarray([np.interp(kept, *row) for row in zip(held, won, strict=True)]) / float(kept)

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
