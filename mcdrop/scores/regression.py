r"""Scores of a regression: how far off, and how honest the spread.

With the truth y, a Gaussian prediction of mean $\mu$ and total standard deviation $\sigma$ (epistemic and noise),
$z = (y - \mu) / \sigma$, and $\varphi, \Phi$ the density and distribution function of the standard Gaussian:

- squared error: $(y - \mu)^2$; the RMSE is the root of its average;
- negative log-likelihood: $\frac12 z^2 + \log \sigma + \frac12 \log 2\pi$, in nats;
- CRPS: $\sigma \, (z (2 \Phi(z) - 1) + 2 \varphi(z) - 1 / \sqrt\pi)$, in units of y;
- CRPS of T samples: $\frac1T \sum_t |x_t - y| - \frac{1}{2 T^2} \sum_{s,t} |x_s - x_t|$;
- interval score of $[l, u]$ at level $1 - \alpha$: $(u - l) + \frac2\alpha (l - y)_+ + \frac2\alpha (y - u)_+$;
- probability integral transform: $\Phi(z)$, uniform on (0, 1) where the prediction is right.

All but the last and `covered` are better when smaller. The CRPS and the interval score come from scoringrules.

References:
    Gneiting, T. and Raftery, A. (2007). Strictly Proper Scoring Rules, Prediction, and Estimation. JASA 102.
    https://doi.org/10.1198/016214506000001437 (CRPS eq. 20-21, interval score eq. 43).
    Gneiting, T. et al. (2005). Calibrated Probabilistic Forecasting Using Ensemble Model Output Statistics and
    Minimum CRPS Estimation. Monthly Weather Review 133. https://doi.org/10.1175/MWR2904.1 (Gaussian CRPS eq. 5).
    Ferro, C. (2014). Fair scores for ensemble forecasts. QJRMS 140. https://doi.org/10.1002/qj.2270 (fair CRPS).
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_choice
from mcdrop.errors import InputError
from mcdrop.scores.arrays import check_floats, check_level, check_like, check_std

__all__ = [
    "Estimator",
    "covered",
    "crps_gaussian",
    "crps_samples",
    "gaussian_nll",
    "interval_score",
    "pit",
    "squared_error",
]

Floats = NDArray[np.float64]

Estimator = Literal["empirical", "fair"]
"""What samples stand for: themselves, or the distribution that they were drawn from."""

_SR_NAMES = {"empirical": "qd", "fair": "pwm"}


def squared_error(y: ArrayLike, mean: ArrayLike) -> Floats:
    """Return the squared error of each prediction.

    Args:
        y: Truth, any shape, such as (N,) or (N, D).
        mean: Predicted mean, same shape and units.

    Returns:
        Shape and squared units of y.

    Raises:
        InputError: If the shapes differ or a value is not finite.
    """
    truth = check_floats("y", y)
    return (truth - check_like("mean", mean, truth)) ** 2


def gaussian_nll(y: ArrayLike, mean: ArrayLike, *, std: ArrayLike) -> Floats:
    """Return the negative log-likelihood of y under a Gaussian, in nats.

    Args:
        y: Truth, any shape, such as (N,) or (N, D).
        mean: Predicted mean, same shape and units.
        std: Total standard deviation, epistemic and noise: same shape and units, or one number.

    Returns:
        Shape of y. It is the log of a density: it falls by log c when the units make y c times larger.

    Raises:
        InputError: If the shapes differ, a value is not finite, or `std` is not positive.

    Example:
        >>> gaussian_nll([0.0, 2.0], [0.0, 0.0], std=1.0).round(3).tolist()
        [0.919, 2.919]
    """
    z, sigma = _standardize(y, mean, std)
    return 0.5 * z**2 + np.log(sigma) + 0.5 * math.log(2 * math.pi)


def crps_gaussian(y: ArrayLike, mean: ArrayLike, *, std: ArrayLike) -> Floats:
    """Return the continuous ranked probability score of a Gaussian.

    Args:
        y: Truth, any shape, such as (N,) or (N, D).
        mean: Predicted mean, same shape and units.
        std: Total standard deviation, epistemic and noise: same shape and units, or one number.

    Returns:
        Shape and units of y; where the spread vanishes it tends to the absolute error.

    Raises:
        InputError: If the shapes differ, a value is not finite, or `std` is not positive.
    """
    import scoringrules

    z, sigma = _standardize(y, mean, std)
    return np.asarray(sigma * scoringrules.crps_normal(z, np.zeros_like(z), np.ones_like(z), backend="numpy"))


def crps_samples(y: ArrayLike, samples: ArrayLike, *, estimator: Estimator = "empirical") -> Floats:
    """Return the continuous ranked probability score of samples, such as passes.

    Args:
        y: Truth, any shape, such as (N,) or (N, D).
        samples: T draws of the prediction of y, shape (T, ...) with the shape of y behind. Passes alone are draws of
            the function: add draws of the noise where there is some.
        estimator: "empirical" scores the T samples as they are. "fair" estimates without bias what infinitely many
            of them would score, so that models of different T can be compared; it needs two.

    Returns:
        Shape and units of y.

    Raises:
        InputError: If the shapes do not fit, a value is not finite, or there are too few samples.
    """
    import scoringrules

    check_choice("estimator", estimator, Estimator)
    truth, draws = check_floats("y", y), check_floats("samples", samples)
    if draws.shape[1:] != truth.shape or draws.ndim == truth.ndim:
        raise InputError(
            f"samples must have shape (T, ...) with the shape of y, {truth.shape}, behind, got {draws.shape}; "
            "the passes are axis 0"
        )
    if estimator == "fair" and len(draws) < 2:
        raise InputError("the fair CRPS needs at least 2 samples, got 1; pass estimator='empirical' or more passes")
    name = _SR_NAMES[estimator]
    # NumPy and not numba: the estimators sort, which is quick anyway, and nothing has to be compiled first.
    return np.asarray(scoringrules.crps_ensemble(truth, draws, 0, estimator=name, backend="numpy"))


def interval_score(y: ArrayLike, *, lower: ArrayLike, upper: ArrayLike, level: float = 0.95) -> Floats:
    r"""Return the interval score: the width, and $2 / \alpha$ times the distance of what lies outside.

    Args:
        y: Truth, any shape, such as (N,) or (N, D).
        lower: Lower ends of the central intervals, same shape and units.
        upper: Upper ends, same shape and units.
        level: Probability $1 - \alpha$ that the intervals are meant to hold, in (0, 1).

    Returns:
        Shape and units of y.

    Raises:
        InputError: If the shapes differ, a value is not finite, or an interval ends before it begins.
    """
    import scoringrules

    truth, low, high = _interval(y, lower, upper)
    values = scoringrules.interval_score(truth, low, high, 1 - check_level(level), backend="numpy")
    return np.asarray(values).reshape(truth.shape)  # scoringrules drops axes of length 1


def covered(y: ArrayLike, *, lower: ArrayLike, upper: ArrayLike) -> NDArray[np.bool_]:
    """Return whether each interval holds the truth; its ends belong to it.

    Args:
        y: Truth, any shape, such as (N,) or (N, D).
        lower: Lower ends of the intervals, same shape and units.
        upper: Upper ends, same shape and units.

    Returns:
        Shape of y; the average is the coverage.

    Raises:
        InputError: If the shapes differ, a value is not finite, or an interval ends before it begins.
    """
    truth, low, high = _interval(y, lower, upper)
    return np.asarray((low <= truth) & (truth <= high))


def pit(y: ArrayLike, mean: ArrayLike, *, std: ArrayLike) -> Floats:
    """Return the probability integral transform: the predicted probability of a value below y.

    Args:
        y: Truth, any shape, such as (N,) or (N, D).
        mean: Predicted mean, same shape and units.
        std: Total standard deviation, epistemic and noise: same shape and units, or one number.

    Returns:
        Shape of y, in [0, 1]: uniform for a correct prediction, in the middle if it is too wide, at the ends if it is
        too narrow. See `coverage_curve`.

    Raises:
        InputError: If the shapes differ, a value is not finite, or `std` is not positive.
    """
    from scipy.special import ndtr

    return np.asarray(ndtr(_standardize(y, mean, std)[0]))


def _standardize(y: ArrayLike, mean: ArrayLike, std: ArrayLike) -> tuple[Floats, Floats]:
    """Return the error in standard deviations, and the standard deviations."""
    truth = check_floats("y", y)
    error, sigma = truth - check_like("mean", mean, truth), check_std(std, truth)
    with np.errstate(over="ignore"):
        z = error / sigma
        if not np.isfinite(z**2).all():
            raise InputError(
                f"y must lie within 1e150 standard deviations of the mean, got an std of {sigma.min():g}; "
                "score the total spread: total_std(noise_std=...)"
            )
    return z, sigma


def _interval(y: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> tuple[Floats, Floats, Floats]:
    truth = check_floats("y", y)
    low, high = check_like("lower", lower, truth), check_like("upper", upper, truth)
    crossed = np.count_nonzero(low > high)
    if crossed:
        raise InputError(
            f"lower must not exceed upper, got {crossed} of {low.size} interval(s) that end before they begin; "
            "swap lower and upper"
        )
    return truth, low, high
