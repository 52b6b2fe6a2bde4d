r"""Streaming statistics over passes: the state does not grow with T, and parts merge in any order.

For parts a and b with counts n, means $\mu$ and sums of squared deviations $M$, and $\delta = \mu_b - \mu_a$:

$$\mu = \mu_a + \delta \frac{n_b}{n}, \qquad M = M_a + M_b + \delta^2 \frac{n_a n_b}{n}.$$

Everything is kept in float64, whatever the net computes in.

Where every pass gives a mean $\mu_t$ and a log-variance $s_t$ of its own noise, the variance of a new observation has
two parts (law of total variance): the spread of the $\mu_t$, epistemic, and $\frac1T\sum_t e^{s_t}$, aleatoric. The
second is added up as a logarithm.

References:
    Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983). Algorithms for Computing the Sample Variance:
    Analysis and Recommendations. The American Statistician 37(3), eq. 2.1.
    https://doi.org/10.1080/00031305.1983.10483115
    Kendall, A. and Gal, Y. (2017). What Uncertainties Do We Need in Bayesian Deep Learning for Computer Vision?
    NeurIPS. https://arxiv.org/abs/1703.04977 (eq. 9; here the spread is divided by T - 1).
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ClassMoments", "GaussianMoments", "Moments", "joined"]


def joined(parts: list[Tensor]) -> NDArray[np.float64]:
    """Return the statistics of all batches as one array, rows first."""
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and spread of values seen so far.

    Attributes:
        count: Number of passes.
        mean: Their mean, shape (n, ...), float64.
        m2: Sum of squared deviations from the mean, same shape.
    """

    count: int
    mean: Tensor
    m2: Tensor

    @classmethod
    def of(cls, values: Tensor) -> Self:
        """Return the moments of values of shape (C, n, ...) over their first axis."""
        wide = values.detach().to("cpu", torch.float64)
        offset = torch.where(
            wide == wide[0], 0.0, wide - wide[0]
        )  # also for -inf, a masked class; exactly 0 where the passes are equal, whatever rounding a mean would add
        mean = offset.mean(dim=0)
        return cls(len(wide), wide[0] + mean, (offset - mean).square().sum(dim=0))

    def merge(self, other: Self) -> Self:
        """Return the moments of both parts together."""
        count = self.count + other.count
        delta = torch.where(other.mean == self.mean, 0.0, other.mean - self.mean)
        mean = self.mean + delta * (other.count / count)
        m2 = self.m2 + other.m2 + delta.square() * (self.count * other.count / count)
        return type(self)(count, mean, m2)

    @property
    def std(self) -> Tensor:
        """Standard deviation from the unbiased variance (divided by count - 1); needs two passes."""
        return (self.m2 / (self.count - 1)).sqrt()


@dataclass(frozen=True, slots=True)
class ClassMoments:
    """What a classifier's passes add up to.

    Attributes:
        logits: Moments of the softmax inputs, shape (n, ..., K).
        probs: Moments of the softmax outputs, shape (n, ..., K).
        entropy: Moments of each pass's entropy in nats, shape (n, ...).
        votes: In how many passes each class won, shape (n, ..., K), int64.
    """

    logits: Moments
    probs: Moments
    entropy: Moments
    votes: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> Self:
        """Return the statistics of softmax inputs of shape (C, n, ..., K) over their first axis."""
        wide = logits.detach().to("cpu", torch.float64)
        log_probs = wide.log_softmax(dim=-1)
        probs = log_probs.exp()
        winners = torch.nn.functional.one_hot(wide.argmax(dim=-1), wide.shape[-1])
        entropy = torch.special.entr(probs).sum(dim=-1)
        return cls(Moments.of(wide), Moments.of(probs), Moments.of(entropy), winners.sum(dim=0))

    def merge(self, other: Self) -> Self:
        """Return the statistics of both parts together."""
        return type(self)(
            self.logits.merge(other.logits),
            self.probs.merge(other.probs),
            self.entropy.merge(other.entropy),
            self.votes + other.votes,
        )


@dataclass(frozen=True, slots=True)
class GaussianMoments:
    """What the passes of a net with a mean and a log-variance add up to.

    Attributes:
        means: Moments of the means, shape (n, ...).
        log_sum: Log of the sum over passes of the variances, shape (n, ...), float64; NaN or infinite where that sum is
            no number.
    """

    means: Moments
    log_sum: Tensor

    @classmethod
    def of(cls, outputs: Tensor) -> Self:
        """Return the statistics of passes of shape (C, n, 2, ...), mean and log-variance on axis 2."""
        mean, log_variance = outputs.detach().to("cpu", torch.float64).unbind(2)
        finite = torch.where(log_variance.isfinite(), log_variance, math.nan)  # one pass at -inf would leave no trace
        return cls(Moments.of(mean), torch.logsumexp(finite, dim=0))

    def merge(self, other: Self) -> Self:
        """Return the statistics of both parts together."""
        return type(self)(self.means.merge(other.means), torch.logaddexp(self.log_sum, other.log_sum))

    @property
    def log_variance(self) -> Tensor:
        """Log of the mean variance over the passes: the aleatoric part, in the shape of `log_sum`."""
        return self.log_sum - math.log(self.means.count)
