r"""Predictions from passes that know the mean and the variance of their last layer, given the rest of the pass.

With $E_t$ and $V_t$ the two of pass t, the law of total variance gives

$$\mathrm{mean} = \frac1T \sum_t E_t, \qquad
\mathrm{std}^2 = \frac1T \sum_t V_t + \frac1{T-1} \sum_t (E_t - \mathrm{mean})^2 ,$$

both unbiased. The last layer adds nothing to the error of the mean, whose variance is that of the $E_t$ alone, over T.

References:
    Casella, G. and Robert, C. P. (1996). Rao-Blackwellisation of Sampling Schemes. Biometrika 83(1), section 1.
    https://doi.org/10.1093/biomet/83.1.81
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from mcdrop.errors import InputError
from mcdrop.moments import Moments, joined
from mcdrop.outputs import check_finite
from mcdrop.precision import LogLikelihood
from mcdrop.predictive.reading import Known, Reading, RegressionReading, largest_share
from mcdrop.predictive.regression import RegressionPredictive

__all__ = ["ConditionalMoments", "ConditionalReading", "conditional_reading"]


@dataclass(frozen=True, slots=True)
class ConditionalMoments:
    """What passes add up to that know the mean and the variance of their last layer.

    Attributes:
        means: Moments of the means, shape (n, ...).
        variance: Mean of the variances, same shape, float64.
    """

    means: Moments
    variance: Tensor

    @classmethod
    def of(cls, outputs: Tensor, *, block: int = 1) -> Self:
        """Return the statistics of passes of shape (C, n, 2, ...), mean and variance on axis 2, as `Moments.of`."""
        means, variances = outputs.unbind(2)
        return cls(Moments.of(means, block=block), Moments.of(variances).mean)

    def merge(self, other: Self) -> Self:
        """Return the statistics of both parts together."""
        means = self.means.merge(other.means)
        variance = self.variance + (other.variance - self.variance) * (other.means.count / means.count)
        return type(self)(means, variance)

    def closed(self) -> Self:
        """Return the same statistics, known to be those of one whole block."""
        return type(self)(self.means.closed(), self.variance)

    def at(self, rows: Tensor) -> Self:
        """Return the statistics at some of the rows, given by their places."""
        return type(self)(self.means.at(rows), self.variance[rows])

    @property
    def std(self) -> Tensor:
        """Standard deviation between passes, the last layer's part included; one pass stands for passes all alike."""
        return torch.hypot(self._between, self.variance.sqrt())

    @property
    def error(self) -> Tensor:
        """Monte Carlo standard error of the mean; 0 of one pass that stands for passes all alike."""
        return self.means.error if self.means.count > 1 else torch.zeros_like(self.variance)

    def error_of(self, blocks: int) -> Tensor:
        """Return the same, given how many whole blocks their spread is to be trusted from (see `Moments.error_of`)."""
        return self.means.error_of(blocks) if self.means.count > 1 else torch.zeros_like(self.variance)

    @property
    def _between(self) -> Tensor:
        """Standard deviation between the means of passes."""
        return self.means.std if self.means.count > 1 else torch.zeros_like(self.variance)


@dataclass(frozen=True, slots=True)
class ConditionalReading(Reading[ConditionalMoments, RegressionPredictive]):
    """Values with the last layer in closed form: mean and variance side by side on the axis after the rows.

    Attributes:
        inner: How the net's return is read.
    """

    task = "regression"
    inner: RegressionReading

    def take(self, output: Any) -> Tensor:
        """Return the chosen tensor; what runs the passes puts its variance beside it."""
        return self.inner.take(output)

    def summarize(self, passes: Tensor, *, block: int = 1) -> tuple[ConditionalMoments, tuple[Tensor, ...]]:
        """Return the moments of means and variances; there is nothing to keep."""
        return ConditionalMoments.of(passes, block=block), ()

    def excess(self, state: ConditionalMoments, tolerance: float | None) -> Tensor:
        """Return the largest error of a row's means, each as a share of its spread, over the tolerance."""
        return largest_share(state) / (tolerance or self.tolerance)

    def likelihood(self, passes: Tensor, y: Tensor, tau: float | None) -> LogLikelihood:
        """Refuse: the likelihood takes values of the last layer.

        Raises:
            InputError: Always.
        """
        raise InputError("a likelihood is of sampled passes, got last_layer='exact'; use last_layer='sampled'")

    def predictive(
        self, states: Sequence[ConditionalMoments], samples: Sequence[Tensor] | None, known: Known
    ) -> RegressionPredictive:
        """Return mean and spread."""
        mean, std = joined([s.means.mean for s in states]), joined([s.std for s in states])
        check_finite(mean + std)
        return RegressionPredictive(mean=mean, std=std, mean_error=joined([s.error for s in states]), **known)


def conditional_reading(reading: Reading[Any, Any], *, keep_samples: bool) -> ConditionalReading:
    """Return how passes are read whose last layer is in closed form.

    Args:
        reading: How they would be read if it was sampled.
        keep_samples: Whether the passes are to be kept.

    Raises:
        InputError: If the task needs samples of the last layer, or they are to be kept.
    """
    if not isinstance(reading, RegressionReading):
        raise InputError(
            f"last_layer='exact' must go with task='regression', got {reading.task or 'several targets'}: what "
            "follows the last layer is not linear there; use last_layer='sampled'"
        )
    if keep_samples:
        raise InputError(
            "keep_samples must be False with last_layer='exact', got True: there are no samples of the last layer; "
            "use last_layer='sampled' to have them"
        )
    return ConditionalReading(reading)
