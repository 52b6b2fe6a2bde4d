"""The scores of a regression in a comparison, over points whose D outputs are averaged first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop import scores
from mcdrop.comparison.columns import Column, Unsampled, percent
from mcdrop.comparison.resampling import Statistic, calibration_of, mean_of, root_mean_of
from mcdrop.errors import InputError
from mcdrop.predictive import RegressionPredictive
from mcdrop.scores.arrays import check_floats
from mcdrop.scores.calibration import LEVELS

__all__ = ["RegressionCase", "regression_columns"]

Floats = NDArray[np.float64]

_BLOCK = 2**22
"""Samples that are scored at once."""


@dataclass(frozen=True, slots=True, eq=False)
class RegressionCase:
    """A prediction beside the truth.

    Attributes:
        y: Truth, shape (N, D).
        mean: Predictive mean, shape (N, D).
        std: Total standard deviation, shape (N, D): epistemic and noise, epistemic alone if no noise is known.
        noise: Standard deviation of the noise, shape (N, D), 0 if none is known.
        samples: The passes, shape (T, N, D), if they were kept.
        gaussian: Whether the prediction is Gaussian by itself, a closed form, and not made of passes.
        noisy: Whether the noise is known.
        seed: Start of the random stream for draws of the noise.
    """

    y: Floats
    mean: Floats
    std: Floats
    noise: Floats
    samples: NDArray[np.floating] | None
    gaussian: bool
    noisy: bool
    seed: int

    @classmethod
    def of(
        cls, pred: RegressionPredictive, y: ArrayLike, noise_std: ArrayLike | None, *, seed: int
    ) -> "RegressionCase":
        """Put a prediction beside the truth; (N,) and (N, 1) are the same.

        Raises:
            InputError: If they do not fit together, or a value is not finite.
        """
        truth = np.asarray(y)
        shape = pred.mean.shape
        if _plain(truth.shape) != _plain(shape):
            raise InputError(f"y must have the shape of the predicted mean, {shape}, got {truth.shape}; reshape y")
        noise = _shaped(pred.noise_std if noise_std is None else noise_std, shape)
        total = pred.std if noise is None else pred.total_std(noise)
        flat = (len(pred), -1)
        return cls(
            y=truth.reshape(flat),
            mean=pred.mean.reshape(flat),
            std=total.reshape(flat),
            noise=np.broadcast_to(np.asarray(0.0 if noise is None else noise, dtype=np.float64), shape).reshape(flat),
            samples=None if pred.samples is None else pred.samples.reshape(len(pred.samples), *flat),
            gaussian=pred.passes is None,
            noisy=noise is not None,
            seed=seed,
        )

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Return the central interval of the Gaussian with the predictive mean and total spread."""
        return RegressionPredictive(self.mean, self.std).interval(level)


def regression_columns(levels: Sequence[float]) -> list[Column[RegressionCase]]:
    """Return all scores of a regression; `levels` are the probabilities of the intervals."""
    columns = [
        Column("RMSE", "units of y", "lower", _rmse, of_spread=False),
        Column("NLL", "nats", "lower", _spread(_mean(lambda c: scores.gaussian_nll(c.y, c.mean, std=c.std)))),
        Column("CRPS", "units of y", "lower", _spread(_mean(lambda c: scores.crps_gaussian(c.y, c.mean, std=c.std)))),
        Column("CRPS of samples", "units of y", "lower", _crps_of_samples, standard=False),
    ]
    for level in levels:
        name = f"interval score {percent(level)}"
        columns.append(Column(name, "units of y", "lower", _spread(_mean(partial(_interval_score, level)))))
    for level in levels:
        name = f"coverage {percent(level)}"
        columns.append(Column(name, "share", level, _spread(_mean(partial(_covered, level)))))
    for level in levels:
        name = f"width {percent(level)}"
        columns.append(Column(name, "units of y", None, _spread(_mean(partial(_width, level)))))
    columns.append(Column("calibration error", "share", "lower", _spread(_calibration_error)))
    return columns


def _spread(make: Callable[[RegressionCase], Statistic]) -> Callable[[RegressionCase], Statistic]:
    """Refuse a prediction without spread: it has none of the scores that ask for it."""

    def checked(case: RegressionCase) -> Statistic:
        fine = np.isfinite(case.std) & (case.std > 0)
        if not fine.all():
            what = "total standard deviation" if case.noisy else "standard deviation (no observation noise is known)"
            raise InputError(
                f"the {what} must be finite and above 0, got {case.std[~fine][0]:g} among "
                f"{np.count_nonzero(~fine)} of {fine.size} value(s); pass noise_std=... in units of y, or ask for "
                "scores=['RMSE'] alone"
            )
        return make(case)

    return checked


def _mean(score: Callable[[RegressionCase], NDArray[np.generic]]) -> Callable[[RegressionCase], Statistic]:
    return lambda case: mean_of(np.asarray(score(case), dtype=np.float64).mean(axis=1))


def _rmse(case: RegressionCase) -> Statistic:
    return root_mean_of(scores.squared_error(case.y, case.mean).mean(axis=1))


def _interval_score(level: float, case: RegressionCase) -> Floats:
    lower, upper = case.interval(level)
    return scores.interval_score(case.y, lower=lower, upper=upper, level=level)


def _covered(level: float, case: RegressionCase) -> NDArray[np.bool_]:
    lower, upper = case.interval(level)
    return scores.covered(case.y, lower=lower, upper=upper)


def _width(level: float, case: RegressionCase) -> Floats:
    # Of a mean of 0, so that intervals of one width differ by nothing, not even by rounding.
    lower, upper = RegressionPredictive(np.zeros_like(case.std), case.std).interval(level)
    return upper - lower


def _calibration_error(case: RegressionCase) -> Statistic:
    return calibration_of(scores.pit(case.y, case.mean, std=case.std), LEVELS)


def _crps_of_samples(case: RegressionCase) -> Statistic | Unsampled:
    """Score the passes, each with a draw of the noise; a Gaussian process is what its samples tend to."""
    if case.gaussian:
        return _spread(_mean(lambda c: scores.crps_gaussian(c.y, c.mean, std=c.std)))(case)
    if case.samples is None:
        return Unsampled("kept no passes to score, so it has no CRPS of samples; predict with keep_samples=True")
    passes, points, outputs = case.samples.shape
    if passes < 2:
        return Unsampled("has one pass only, so it has no CRPS of samples")
    rng = np.random.default_rng([case.seed, 1])  # not the stream of the resamples
    size = max(1, _BLOCK // (passes * outputs))
    parts = []
    for start in range(0, points, size):
        part = slice(start, start + size)
        draws = np.asarray(case.samples[:, part], dtype=np.float64)
        draws = draws + case.noise[part] * rng.standard_normal(draws.shape)
        parts.append(scores.crps_samples(case.y[part], draws, estimator="fair"))
    return mean_of(np.concatenate(parts).mean(axis=1))


def _shaped(noise: ArrayLike | None, shape: tuple[int, ...]) -> Floats | None:
    """Return the noise in the shape of the mean where they differ by an axis of length 1 only, otherwise as it is."""
    if noise is None:
        return None
    sigma = check_floats("noise_std", noise)
    return sigma.reshape(shape) if sigma.ndim and _plain(sigma.shape) == _plain(shape) else sigma


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:1] if shape[1:] == (1,) else shape
