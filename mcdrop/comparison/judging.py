r"""Judging: standard errors of scores, which is the best of each, and what lies within noise of it.

The spread over resamples of n points (or n groups of them) is too small by the factor $\sqrt{(n - 1) / n}$: that of a
mean is the plug-in standard error, with n in place of n - 1. It is corrected here. Two scores differ by more than noise
where the difference is larger than its standard error times the two-sided 95% point of Student's t with n - 1 degrees
of freedom: 2.26 for 10 points, 1.98 for 100. So two equally good models differ beyond noise in about 5% of the data
sets, in simulations too: 3% to 8% from 10 points on for averages and their roots, less for coverages of few points, up
to 10% for the ECE of 20 points. A difference that is the same at every point has no error; below 6 points it proves
nothing all the same, for one sign at n points is no rarer by chance than $2 / 2^n$.

References:
    Efron, B. and Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman & Hall (plug-in standard error of a
    mean: chapter 5; Student's t: chapter 12).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcdrop.comparison.columns import Direction

__all__ = ["Judgment", "judge", "noise_limit"]

Floats = NDArray[np.float64]

_SIGN_TEST = 6
"""Points from which on one sign at all of them happens in less than 5% of the cases, 2 of 2^n, by chance."""

_ROUNDING = 1e-12
"""Relative difference up to which two values are the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgment:
    """What can be said of the scores of M models in S columns.

    Attributes:
        errors: Standard error of each value, shape (M, S); NaN where there is none.
        best: Whether a value is the best of its column, shape (M, S).
        tied: Whether a value is not the best but within noise of it, shape (M, S).

    A finite value without standard error is neither best nor tied nor worse.
    """

    errors: Floats
    best: NDArray[np.bool_]
    tied: NDArray[np.bool_]


def noise_limit(units: int) -> float:
    """Return how many standard errors of a difference count as noise.

    Args:
        units: Number of independent points, or of groups of points, n of at least 2.

    Returns:
        The two-sided 95% point of Student's t with n - 1 degrees of freedom.

    Example:
        >>> [round(noise_limit(units), 2) for units in (3, 10, 1000)]
        [4.3, 2.26, 1.96]
    """
    from scipy.special import stdtrit

    return float(stdtrit(units - 1, 0.975))


def judge(values: Floats, replicates: Floats, directions: Sequence[Direction], *, units: int) -> Judgment:
    """Judge every column.

    Args:
        values: Scores of M models in S columns, shape (M, S); NaN where a model has none.
        replicates: The same in R resamples, which are the same for all models, shape (M, S, R); NaN where a score is
            undefined in a resample, which then does not count.
        directions: Which values are better, one per column.
        units: Number of points, or of groups of points, that were resampled.

    Returns:
        Errors, the best, and those within noise of the best.
    """
    errors = np.full(values.shape, np.nan)
    best, tied = np.zeros(values.shape, dtype=np.bool_), np.zeros(values.shape, dtype=np.bool_)
    limit, scale = noise_limit(units), (units / (units - 1)) ** 0.5
    for k, direction in enumerate(directions):
        column = values[:, k]
        errors[:, k] = [scale * _spread(drawn) for drawn in replicates[:, k]]
        judged = np.isfinite(column) & np.isfinite(errors[:, k])
        if direction is None or not judged.any() or np.count_nonzero(judged | np.isinf(column)) < 2:
            continue
        loss, losses = _loss(column, direction), _loss(replicates[:, k], direction)
        winner = int(np.where(judged, loss, np.inf).argmin())
        best[:, k] = judged & (np.abs(column - column[winner]) <= _ROUNDING * np.abs(column[winner]))
        for row in np.flatnonzero(judged & ~best[:, k]):
            error = scale * _spread(losses[row] - losses[winner])
            tied[row, k] = loss[row] - loss[winner] <= limit * error or (error == 0 and units < _SIGN_TEST)
    return Judgment(errors, best, tied)


def _loss(values: Floats, direction: Direction) -> Floats:
    """Return what is smallest for the best."""
    if isinstance(direction, float):
        return np.abs(values - direction)
    return -values if direction == "higher" else values


def _spread(replicates: Floats) -> float:
    """Return the standard deviation of those that are defined; NaN if fewer than two are."""
    defined = replicates[~np.isnan(replicates)]
    # Around one of them: the mean of equal numbers may differ from them by rounding, and they have no spread at all.
    return float((defined - defined[0]).std(ddof=1)) if len(defined) > 1 else float("nan")
