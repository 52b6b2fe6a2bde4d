r"""The covariance of points, as passes that are whole functions give it.

With $f_t$ the passes, $\bar f$ their mean and $s_i^2$ the epistemic variance of point i,

$$c_{ij} = s_i s_j \frac{\sum_t (f_{ti} - \bar f_i) (f_{tj} - \bar f_j)}
    {\sqrt{\sum_t (f_{ti} - \bar f_i)^2 \sum_t (f_{tj} - \bar f_j)^2}} + \delta_{ij} \sigma^2$$

with noise of standard deviation $\sigma$: correlations of the passes, and the variances that a prediction reports.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.predictive import RegressionPredictive

__all__ = ["columns", "covariance_of", "squeezed"]

Floats = NDArray[np.float64]


def covariance_of(pred: RegressionPredictive, noise_std: float | Floats) -> Floats:
    """Return the covariance of the points of a prediction, for each output its own.

    Args:
        pred: With its samples, T x N x D.
        noise_std: The noise of observations in units of y: a number, or of shape (D,).

    Returns:
        Shape (N, N, D), in squared units of y.
    """
    assert pred.samples is not None
    std = columns(pred.std)
    passes = np.asarray(pred.samples, dtype=np.float64).reshape(-1, *std.shape)
    passes = passes - passes.mean(axis=0)
    # Stratified passes owe each other something, which `std` counts; the correlations take no notice of it.
    size = np.sqrt(np.square(passes).sum(axis=0))
    passes *= np.divide(std, size, out=np.zeros_like(std), where=size > 0)
    covariance = np.einsum("tid,tjd->ijd", passes, passes, optimize=True)
    points = np.arange(len(std))
    covariance[points, points] += np.square(noise_std)
    return np.asarray(covariance)


def columns(values: ArrayLike) -> Floats:
    """Return values with one column for each output, whether the net gives these an axis or not."""
    array = np.asarray(values, dtype=np.float64)
    return array.reshape(len(array), -1)


def squeezed(values: Floats, *, axis: int) -> Floats:
    """Leave out the axis of the outputs where there is one output, as Gaussian processes do."""
    return values.squeeze(axis) if values.shape[axis] == 1 else values
