r"""Streaming statistics over passes: the state does not grow with T, and parts merge in any order.

For parts a and b with counts n, means $\mu$ and sums of squared deviations $M$, and $\delta = \mu_b - \mu_a$:

$$\mu = \mu_a + \delta \frac{n_b}{n}, \qquad M = M_a + M_b + \delta^2 \frac{n_a n_b}{n}.$$

Everything is kept in float64, whatever the net computes in.

Passes that were stratified over blocks of B (see `mcdrop.strata`) are not independent, but any two of one block have
the same covariance, and blocks are independent. Let W be the variance of the mean of a block, as the means of k whole
blocks tell it without bias, n the number of passes after them and $\sigma^2$ the variance of a pass. Then

$$\mathrm{var}\,\mu = a W + b \sigma^2, \qquad a = \frac{B}{T^2} \left(k B + \frac{n (n - 1)}{B - 1}\right),
\qquad b = \frac{n (B - n)}{T^2 (B - 1)},$$

and, as $E[M] = T (\sigma^2 - \mathrm{var}\,\mu)$, unbiased estimates are $\hat\sigma^2 = (M / T + a \hat W) / (1 - b)$
and $a \hat W + b \hat\sigma^2$. With less than two whole blocks there is no $\hat W$: $M / (T - 1)$ and that over T
then bound the variances from above, to within a share of 1 / T (Owen 1997).

Where every pass gives a mean $\mu_t$ and a log-variance $s_t$ of its own noise, the variance of a new observation has
two parts (law of total variance): the spread of the $\mu_t$, epistemic, and $\frac1T\sum_t e^{s_t}$, aleatoric. The
second is added up as a logarithm.

References:
    Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983). Algorithms for Computing the Sample Variance:
    Analysis and Recommendations. The American Statistician 37(3), eq. 2.1.
    https://doi.org/10.1080/00031305.1983.10483115
    Owen, A. B. (1997). Monte Carlo Variance of Scrambled Net Quadrature. SIAM Journal on Numerical Analysis 34(5).
    https://doi.org/10.1137/S0036142994277468 (a Latin hypercube is at most T / (T - 1) times as variable as
    independent draws).
    Kendall, A. and Gal, Y. (2017). What Uncertainties Do We Need in Bayesian Deep Learning for Computer Vision?
    NeurIPS. https://arxiv.org/abs/1703.04977 (eq. 9; here the spread is divided by T - 1).
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["BLOCKS_TO_STOP", "ClassMoments", "GaussianMoments", "Moments", "Statistics", "joined"]


BLOCKS_TO_STOP = 8
"""Whole blocks whose spread is good enough to stop at."""

_BLOCKS_TO_TELL = 4  # of three degrees of freedom 1.96 errors cover 86%, of one 70%


def joined(parts: list[Tensor]) -> NDArray[np.float64]:
    """Return the statistics of all batches as one array, rows first."""
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)


class Statistics(Protocol):
    """What passes add up to."""

    def merge(self, other: Self) -> Self:
        """Return the statistics of both parts together."""

    def closed(self) -> Self:
        """Return the same statistics, known to be those of one whole block."""

    def at(self, rows: Tensor) -> Self:
        """Return the statistics at some of the rows, given by their places."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and spread of values seen so far.

    Attributes:
        count: Number of passes.
        mean: Their mean, shape (n, ...), float64.
        m2: Sum of squared deviations from the mean, same shape.
        block: Number of passes in a block; 1 where passes are independent.
        blocks: The moments of the means of whole blocks, None as long as there is no whole block.
    """

    count: int
    mean: Tensor
    m2: Tensor
    block: int = 1
    blocks: "Moments | None" = None

    @classmethod
    def of(cls, values: Tensor, *, block: int = 1) -> "Moments":
        """Return the moments of values over their first axis.

        Args:
            values: Passes, shape (C, n, ...).
            block: Number of passes in a block, 1 where passes are independent. The passes are then whole blocks, or
                part of one.
        """
        wide = values.detach().to("cpu", torch.float64)
        offset = wide - wide[0]  # exactly 0 where the passes are equal, whatever rounding a mean would add
        if not wide[0].isfinite().all():
            offset = torch.where(wide == wide[0], 0.0, offset)  # also for -inf, a masked class
        mean = offset.mean(dim=0)
        blocks = None
        if block > 1 and len(wide) % block == 0:
            blocks = cls.of(wide[0] + offset.reshape(-1, block, *offset.shape[1:]).mean(dim=1))
        return cls(len(wide), wide[0] + mean, offset.sub_(mean).square_().sum(dim=0), block, blocks)

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both parts together."""
        count = self.count + other.count
        delta = torch.where(other.mean == self.mean, 0.0, other.mean - self.mean)
        mean = self.mean + delta * (other.count / count)
        m2 = self.m2 + other.m2 + delta.square() * (self.count * other.count / count)
        blocks = self.blocks or other.blocks
        if self.blocks is not None and other.blocks is not None:
            blocks = self.blocks.merge(other.blocks)
        return Moments(count, mean, m2, self.block, blocks)

    def closed(self) -> "Moments":
        """Return the same moments, known to be those of one whole block."""
        assert self.count == self.block, "a block is whole when all of its passes are in"
        return replace(self, blocks=Moments(1, self.mean, torch.zeros_like(self.m2)))

    def at(self, rows: Tensor) -> "Moments":
        """Return the moments at some of the rows, given by their places."""
        blocks = None if self.blocks is None else self.blocks.at(rows)
        return replace(self, mean=self.mean[rows], m2=self.m2[rows], blocks=blocks)

    @property
    def std(self) -> Tensor:
        """Standard deviation from the unbiased variance; needs two passes."""
        return self._variances[0].sqrt()

    @property
    def error(self) -> Tensor:
        """Monte Carlo standard error of the mean; needs two passes."""
        return self.error_of(_BLOCKS_TO_TELL)

    def error_of(self, blocks: int) -> Tensor:
        """Return the Monte Carlo standard error of the mean.

        Args:
            blocks: How many whole blocks their spread is to be trusted from; below, the error is that of independent
                passes, which is an upper bound.
        """
        variance, of_mean = self._variances
        is_rough = self.blocks is not None and self.blocks.count < blocks
        return (variance / self.count if is_rough else of_mean).sqrt()

    @property
    def _variances(self) -> tuple[Tensor, Tensor]:
        """Variance of a pass and of the mean."""
        total, size, blocks = self.count, self.block, self.blocks
        if blocks is None or blocks.count < 2:
            variance = self.m2 / (total - 1)
            return variance, variance / total
        whole = blocks.m2 / (blocks.count - 1)
        rest = total - blocks.count * size
        a = size / total**2 * (blocks.count * size + rest * (rest - 1) / (size - 1))
        b = rest * (size - rest) / (total**2 * (size - 1))
        variance = (self.m2 / total + a * whole) / (1 - b)
        return variance, a * whole + b * variance


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
    def of(cls, logits: Tensor, *, block: int = 1) -> Self:
        """Return the statistics of softmax inputs of shape (C, n, ..., K) over their first axis, as `Moments.of`."""
        wide = logits.detach().to("cpu", torch.float64)
        log_probs = wide.log_softmax(dim=-1)
        probs = log_probs.exp()
        winners = torch.nn.functional.one_hot(wide.argmax(dim=-1), wide.shape[-1])
        entropy = torch.special.entr(probs).sum(dim=-1)
        logit, prob, each = (Moments.of(values, block=block) for values in (wide, probs, entropy))
        return cls(logit, prob, each, winners.sum(dim=0))

    def merge(self, other: Self) -> Self:
        """Return the statistics of both parts together."""
        return type(self)(
            self.logits.merge(other.logits),
            self.probs.merge(other.probs),
            self.entropy.merge(other.entropy),
            self.votes + other.votes,
        )

    def closed(self) -> Self:
        """Return the same statistics, known to be those of one whole block."""
        return type(self)(self.logits.closed(), self.probs.closed(), self.entropy.closed(), self.votes)

    def at(self, rows: Tensor) -> Self:
        """Return the statistics at some of the rows, given by their places."""
        return type(self)(self.logits.at(rows), self.probs.at(rows), self.entropy.at(rows), self.votes[rows])


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
    def of(cls, outputs: Tensor, *, block: int = 1) -> Self:
        """Return the statistics of passes of shape (C, n, 2, ...), mean and log-variance on axis 2."""
        mean, log_variance = outputs.detach().to("cpu", torch.float64).unbind(2)
        finite = torch.where(log_variance.isfinite(), log_variance, math.nan)  # one pass at -inf would leave no trace
        return cls(Moments.of(mean, block=block), torch.logsumexp(finite, dim=0))

    def merge(self, other: Self) -> Self:
        """Return the statistics of both parts together."""
        return type(self)(self.means.merge(other.means), torch.logaddexp(self.log_sum, other.log_sum))

    def closed(self) -> Self:
        """Return the same statistics, known to be those of one whole block."""
        return type(self)(self.means.closed(), self.log_sum)

    def at(self, rows: Tensor) -> Self:
        """Return the statistics at some of the rows, given by their places."""
        return type(self)(self.means.at(rows), self.log_sum[rows])

    @property
    def log_variance(self) -> Tensor:
        """Log of the mean variance over the passes: the aleatoric part, in the shape of `log_sum`."""
        return self.log_sum - math.log(self.means.count)
