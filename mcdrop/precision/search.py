r"""Tau by maximum likelihood: bounds on where the summit lies, and the search between them.

With $e_{nt} = \|y_n - \hat y_{nt}\|^2 / D$, the log-likelihood of N points under T passes is stationary in tau where

$$\frac1\tau = \frac1N \sum_n \sum_t w_{nt} e_{nt}, \qquad w_{nt} \propto_t \exp\left(-\tfrac{\tau D}2 e_{nt}\right).$$

The weights add up to 1 over t and fall with the error, so that the inner sum lies between the smallest error and the
plain mean. Hence $1 / \tau$ lies between $\frac1N \sum_n \min_t e_{nt}$ and $\frac1{NT} \sum_{n,t} e_{nt}$.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import InputError
from mcdrop.precision.likelihood import SquaredErrors
from mcdrop.precision.noise import noise_std_from_tau

__all__ = ["Precision", "likeliest_tau", "tau_bracket"]

Floats = NDArray[np.float64]

_STEP = math.log(10) / 8  # of log tau in the coarse grid: the curve changes over about 1
_REFINED = 33  # taus between the neighbors of the coarse grid's best


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """The model precision that data choose, and the curve it is the summit of.

    Attributes:
        tau: Model precision, in units of 1/y².
        log_likelihood: Mean over points of the log-likelihood at tau, in nats.
        taus: Every tau that was looked at, rising, shape (G,).
        log_likelihoods: Mean over points of the log-likelihood at each of them, shape (G,).
    """

    tau: float
    log_likelihood: float
    taus: Floats
    log_likelihoods: Floats

    @property
    def noise_std(self) -> float:
        r"""Observation noise $\tau^{-1/2}$, in units of y."""
        return noise_std_from_tau(self.tau)


def tau_bracket(parts: Sequence[SquaredErrors]) -> tuple[float, float]:
    """Return bounds that the likeliest tau lies between.

    Args:
        parts: The squared errors of all passes, in parts that follow one another along the points.

    Returns:
        Lower and upper bound, in units of 1/y²; equal where all passes agree.

    Raises:
        InputError: If some pass hits every point exactly: the likelihood then rises with tau without end.
    """
    points = parts[0].outputs * sum(len(part.total) for part in parts)
    mean = sum(float((part.total / part.count).sum()) for part in parts) / points
    least = sum(float(part.least.sum()) for part in parts) / points
    if least < 1 / float(np.finfo(np.float64).max):
        raise InputError(
            "tau by maximum likelihood needs points that the passes miss, got at every point a pass that equals y, so "
            "that no noise at all is likeliest; pass held-out data with their noise, or set tau by hand"
        )
    return 1 / mean, 1 / least


def likeliest_tau(curve: Callable[[Floats], Floats], *, lower: float, upper: float) -> Precision:
    """Return the tau at the summit of a log-likelihood curve, to a relative precision of about 1e-4.

    A coarse grid over the whole bracket finds the highest of several summits, a fine one around its best point places
    it, and a parabola through the best three in log tau goes between the grid's points.

    Args:
        curve: Mean log-likelihood per point, shape (G,), of taus of shape (G,); called twice.
        lower: Below or at the summit, in units of 1/y².
        upper: Above or at the summit.

    Returns:
        The summit and the curve.
    """
    first, last = math.log(lower) - _STEP, math.log(upper) + _STEP
    coarse = np.linspace(first, last, math.ceil((last - first) / _STEP) + 1)
    coarse_values = curve(np.exp(coarse))
    best = int(np.clip(coarse_values.argmax(), 1, len(coarse) - 2))
    fine = np.linspace(coarse[best - 1], coarse[best + 1], _REFINED)
    fine_values = curve(np.exp(fine))
    summit, height = _summit(fine, fine_values)
    taus = np.exp(np.concatenate([coarse[: best - 1], fine, coarse[best + 2 :]]))
    values = np.concatenate([coarse_values[: best - 1], fine_values, coarse_values[best + 2 :]])
    return Precision(tau=math.exp(summit), log_likelihood=height, taus=taus, log_likelihoods=values)


def _summit(x: Floats, values: Floats) -> tuple[float, float]:
    """Return the vertex of the parabola through the highest of evenly spaced points and its neighbors."""
    best = int(np.clip(values.argmax(), 1, len(values) - 2))
    left, middle, right = (float(value) for value in values[best - 1 : best + 2])
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    shift = min(max(shift, -1.0), 1.0)
    return float(x[best] + shift * (x[1] - x[0])), middle - 0.25 * (left - right) * shift
