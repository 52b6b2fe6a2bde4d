"""Judging: standard errors of scores, which is the best of each, and what lies within noise of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcdrop.comparison.columns import Direction

__all__ = ["Judgment", "judge"]

Floats = NDArray[np.float64]

_NOISE = 2.0
"""Standard errors of a difference up to which it counts as noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgment:
    """What can be said of the scores of M models in S columns.

    Attributes:
        errors: Standard error of each value, shape (M, S); NaN where there is none.
        best: Whether a value is the best of its column, shape (M, S).
        tied: Whether a value is not the best but within noise of it, shape (M, S).
    """

    errors: Floats
    best: NDArray[np.bool_]
    tied: NDArray[np.bool_]


def judge(values: Floats, replicates: Floats, directions: Sequence[Direction]) -> Judgment:
    """Judge every column.

    Args:
        values: Scores of M models in S columns, shape (M, S); NaN where a model has none.
        replicates: The same in R resamples, which are the same for all models, shape (M, S, R); NaN where a score is
            undefined in a resample, which then does not count.
        directions: Which values are better, one per column.

    Returns:
        Errors, the best, and those within noise of the best.
    """
    errors = np.full(values.shape, np.nan)
    best, tied = np.zeros(values.shape, dtype=np.bool_), np.zeros(values.shape, dtype=np.bool_)
    for k, direction in enumerate(directions):
        errors[:, k] = [_spread(drawn) for drawn in replicates[:, k]]
        if direction is None or np.count_nonzero(~np.isnan(values[:, k])) < 2:
            continue
        loss, losses = _loss(values[:, k], direction), _loss(replicates[:, k], direction)
        best[:, k] = loss == np.nanmin(loss)
        winner = int(np.flatnonzero(best[:, k])[0])
        for row in np.flatnonzero(np.isfinite(loss) & ~best[:, k]):
            error = _spread(losses[row] - losses[winner])
            tied[row, k] = loss[row] - loss[winner] <= _NOISE * error
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
