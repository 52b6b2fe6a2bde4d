r"""Calibration: are the intervals right as often as they say, and the answers as often as they are sure.

- Coverage curve: how many of N values lie in their central intervals of nominal probability c, that is have
  $|2 \, \mathrm{pit} - 1| \le c$. Calibration error: the mean over c of |observed - nominal|.
- Reliability curve: points sorted by confidence $\max_k p_k$ into bins of equal mass. With the accuracy and the mean
  confidence of each bin, the expected calibration error is
  $\mathrm{ECE} = \sum_b \frac{n_b}{N} |\mathrm{acc}_b - \mathrm{conf}_b|$.

References:
    Gneiting, T., Balabdaoui, F. and Raftery, A. (2007). Probabilistic forecasts, calibration and sharpness. JRSS B 69.
    https://doi.org/10.1111/j.1467-9868.2007.00587.x (section 3: PIT and central intervals).
    Kuleshov, V., Fenner, N. and Ermon, S. (2018). Accurate Uncertainties for Deep Learning Using Calibrated Regression.
    ICML. https://arxiv.org/abs/1807.00263 (calibration error, there of squares over quantiles).
    Guo, C. et al. (2017). On Calibration of Modern Neural Networks. ICML. https://arxiv.org/abs/1706.04599
    (ECE: eq. 3).
    Nixon, J. et al. (2019). Measuring Calibration in Deep Learning. CVPR Workshops. https://arxiv.org/abs/1904.01685
    (bins of equal mass).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_count
from mcdrop.errors import InputError
from mcdrop.scores.arrays import check_floats, check_labels, check_level, check_probs

__all__ = ["BINS", "LEVELS", "CoverageCurve", "ReliabilityCurve", "coverage_curve", "reliability_curve"]

Floats = NDArray[np.float64]

LEVELS = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Nominal coverages of a curve: 5%, 10%, ... 95%."""

BINS = 15
"""Bins of a reliability curve."""


@dataclass(frozen=True, slots=True, eq=False)
class CoverageCurve:
    """Observed against nominal coverage of central intervals.

    Attributes:
        nominal: Probability the intervals are meant to hold, ascending, shape (L,).
        observed: Share of values that lie inside, shape (L,).
        count: Number of values.
    """

    nominal: Floats
    observed: Floats
    count: int

    @property
    def error(self) -> float:
        """Calibration error: mean distance of observed from nominal coverage, from 0 to 1."""
        return float(np.abs(self.observed - self.nominal).mean())


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityCurve:
    """Accuracy against confidence in bins of equal mass, least confident first; B bins hold somebody.

    Attributes:
        confidence: Mean probability of the answer in each bin, shape (B,).
        accuracy: Share of right answers in each bin, shape (B,).
        count: Number of points in each bin, shape (B,).
        error: Expected calibration error, from 0 to 1.
    """

    confidence: Floats
    accuracy: Floats
    count: NDArray[np.int64]
    error: float


def coverage_curve(pit: ArrayLike, *, levels: Sequence[float] = LEVELS) -> CoverageCurve:
    """Return how many values lie inside their central intervals, over a range of intervals.

    Args:
        pit: Probability integral transforms, any shape (see `mcdrop.scores.pit`).
        levels: Nominal coverages in (0, 1).

    Returns:
        The curve; its `error` is the calibration error.

    Raises:
        InputError: If a value lies outside [0, 1], or a level outside (0, 1).

    Example:
        >>> curve = coverage_curve([0.5, 0.1, 0.3, 0.9], levels=[0.5, 0.9])
        >>> curve.observed.tolist(), round(curve.error, 3)
        ([0.5, 1.0], 0.05)
    """
    values = check_floats("pit", pit).ravel()
    if values.min() < 0 or values.max() > 1:
        raise InputError(f"pit must lie in [0, 1], got {values.min():g} to {values.max():g}; use mcdrop.scores.pit")
    try:
        nominal = np.sort([check_level(level) for level in levels])
    except TypeError as error:
        raise InputError(f"levels must be a list of nominal coverages, got {levels!r}; for 95% pass [0.95]") from error
    if not len(nominal):
        raise InputError("levels must name at least one nominal coverage, got none; for 95% pass [0.95]")
    distance = np.sort(np.abs(2 * values - 1))
    observed = np.searchsorted(distance, nominal, side="right") / len(values)
    return CoverageCurve(nominal=nominal, observed=observed, count=len(values))


def reliability_curve(y: ArrayLike, probs: ArrayLike, *, bins: int = BINS) -> ReliabilityCurve:
    """Return accuracy and confidence in bins that hold equally many points.

    Without ties the bins' sizes differ by one at most. Points of equal confidence stay together, in the bin of their
    middle rank, so that with many ties there are fewer bins; fewer than `bins` points get one bin each.

    Args:
        y: True classes, integers from 0 to K - 1, shape (N,) (or more axes).
        probs: Class probabilities, shape (N, K).
        bins: Number of bins.

    Returns:
        The curve; its `error` is the expected calibration error.

    Raises:
        InputError: If the shapes do not fit, a label names no class, or `probs` holds no probabilities.
    """
    check_count("bins", bins, least=1, why="the points have to go somewhere")
    chances = check_probs(probs)
    labels = check_labels(y, chances)
    right, sure = (chances.argmax(axis=-1) == labels).ravel(), chances.max(axis=-1).ravel()
    confidence, group, count = np.unique(sure, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    # The k-th bin begins at rank k N / bins; written like that, a rank on the border is compared exactly.
    borders = np.arange(1, bins) * len(sure) / bins
    number = np.searchsorted(borders, middle, side="right")[group]
    sizes = np.bincount(number, minlength=bins)
    held = sizes > 0
    sizes = sizes[held]
    accuracy = np.bincount(number, weights=right, minlength=bins)[held] / sizes
    mean = np.bincount(number, weights=confidence[group], minlength=bins)[held] / sizes
    error = float(sizes @ np.abs(accuracy - mean) / len(sure))
    return ReliabilityCurve(confidence=mean, accuracy=accuracy, count=sizes.astype(np.int64), error=error)
