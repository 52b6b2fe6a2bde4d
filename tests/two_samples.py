"""Two samples of draws and whether one law could have made both: means, variances, and rows that fall alone.

A comparison is a z-statistic: a difference over its standard error as estimated from the draws, Welch's for two means
and the fourth moments' for two variances. Where many are made, Bonferroni's bound keeps the chance that any of them
raises a false alarm below the rate that was stated: |z| may reach the normal quantile of rate / (2 x comparisons).
"""

from dataclasses import dataclass

import torch
from scipy.stats import norm
from torch import Tensor

ROUNDING = 1e-5  # of outputs without spread, relative to the largest output


@dataclass(frozen=True)
class Bound:
    """How far two samples may lie apart.

    Attributes:
        false_alarm: The chance that any of the comparisons exceeds the bound although the laws are equal.
        comparisons: How many are made in all, at most.
    """

    false_alarm: float
    comparisons: int

    @property
    def z(self) -> float:
        """The largest z-statistic that is let pass."""
        return float(norm.isf(self.false_alarm / (2 * self.comparisons)))


def z_of_means(a: Tensor, b: Tensor) -> Tensor:
    """Return Welch's statistic for every coordinate of draws of shape (T, ...); 0 where neither varies nor differs."""
    a, b = a.double(), b.double()
    return _over(a.mean(0) - b.mean(0), (a.var(0) / len(a) + b.var(0) / len(b)).sqrt(), _scale(a, b))


def z_of_variances(a: Tensor, b: Tensor, z: float) -> Tensor:
    """Return the statistic of two variances for every coordinate of draws of shape (T, ...).

    A draw of two equally likely values has a sample variance without first-order error: it falls short by its variance
    times z^2 / T. So much is taken off the difference first.
    """
    a, b = a.double(), b.double()
    squares = [(draws - draws.mean(0)).square() for draws in (a, b)]
    short = sum(z**2 * draws.var(0) / len(draws) for draws in (a, b))
    difference = ((a.var(0) - b.var(0)).abs() - short).clamp(min=0)
    error = (squares[0].var(0) / len(a) + squares[1].var(0) / len(b)).sqrt()
    return _over(difference, error, _scale(a, b) ** 2)


def z_of_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Return the statistic of no correlation for every coordinate of paired draws of shape (T, ...)."""
    a, b = a.double() - a.double().mean(0), b.double() - b.double().mean(0)
    product = a * b
    return _over(product.mean(0), (a.square().mean(0) * b.square().mean(0) / len(a)).sqrt(), _scale(a, b) ** 2)


def assert_same_law(a: Tensor, b: Tensor, bound: Bound) -> None:
    """Hold means and variances of two samples, shapes (T, ...), against each other; `b` must vary somewhere."""
    assert a.shape[1:] == b.shape[1:]
    assert b.double().var(0).max() > 1e-4 * _scale(b, b) ** 2, "the reference itself does not vary"
    for name, z in (("means", z_of_means(a, b)), ("variances", z_of_variances(a, b, bound.z))):
        worst = z.abs().max()
        assert worst <= bound.z, (
            f"{name} differ: |z| = {worst:.1f} > {bound.z:.2f}; ours {_moment(a, name)}, reference {_moment(b, name)}"
        )


def assert_rows_fall_together(samples: Tensor) -> None:
    """Rows 0 and 1 are equal inputs under shared masks: equal in every pass."""
    spread = _scale(samples, samples)
    assert (samples[:, 0].double() - samples[:, 1].double()).abs().max() <= 2 * ROUNDING * spread


def assert_rows_fall_alone(samples: Tensor, bound: Bound) -> None:
    """Rows 0 and 1 are equal inputs under masks of their own: uncorrelated."""
    assert z_of_correlation(samples[:, 0], samples[:, 1]).abs().max() <= bound.z


def _moment(draws: Tensor, name: str) -> list[float]:
    values = draws.double().mean(0) if name == "means" else draws.double().var(0)
    return [round(value, 4) for value in values.flatten()[:4].tolist()]


def _scale(a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(a.abs().max(), b.abs().max()).double()


def _over(difference: Tensor, error: Tensor, scale: Tensor) -> Tensor:
    """Divide, with what rounding does to a coordinate without spread taken as no difference."""
    return torch.where(difference.abs() <= ROUNDING * scale, 0.0, difference / error)
