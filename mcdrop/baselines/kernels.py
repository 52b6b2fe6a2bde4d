r"""Covariance functions of the Gaussian process: the squared exponential, a seasonal sum, and the ReLU network's.

Each is written once, over NumPy numbers and PyTensor symbols alike, with the priors of its hyperparameters (for
standardized x and y) and the points from which the search for their best values starts.

References:
    Rasmussen, C. E. and Williams, C. K. I. (2006). Gaussian Processes for Machine Learning. MIT Press.
    https://gaussianprocess.org/gpml/ (squared exponential: eq. 4.9; rational quadratic: eq. 4.19; the sum for the
    Mauna Loa series: eq. 5.14-5.17).
    Cho, Y. and Saul, L. K. (2009). Kernel Methods for Deep Learning. NeurIPS. (arc-cosine kernel of degree 1:
    eq. 3 and 6) https://papers.nips.cc/paper/3628-kernel-methods-for-deep-learning
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Appendix.
    https://arxiv.org/abs/1506.02157 (section 3.1: the covariance as an expectation over a layer's weights).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

__all__ = ["KERNELS", "NOISE", "Hyperparameter", "Kernel", "KernelName", "Theta"]

Floats = NDArray[np.float64]
Theta = Mapping[str, Any]
"""Hyperparameters by name: numbers, or PyTensor symbols."""

KernelName = Literal["se", "structured", "arccos"]


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    r"""A positive number to be learned.

    Attributes:
        scale: Scale of its HalfCauchy prior, or median of its LogNormal prior.
        unit: What it is measured in.
        spread: None for $\mathrm{HalfCauchy}(scale)$; else $\sigma$ of $\mathrm{LogNormal}(\log scale, \sigma)$.
    """

    scale: float
    unit: str
    spread: float | None = None

    def prior(self, pymc: Any, name: str) -> Any:
        """Add the prior to the PyMC model that is being built, and return its random variable."""
        if self.spread is None:
            return pymc.HalfCauchy(name, self.scale)
        return pymc.LogNormal(name, mu=np.log(self.scale), sigma=self.spread)

    def log_density(self, value: float) -> float:
        """Return the log of the prior density at a positive value."""
        if self.spread is None:
            return float(np.log(2 / (np.pi * self.scale)) - np.log1p((value / self.scale) ** 2))
        z = np.log(value / self.scale) / self.spread
        return float(-0.5 * z**2 - np.log(value * self.spread * np.sqrt(2 * np.pi)))


NOISE = Hyperparameter(0.1, "units of y")
"""The standard deviation of the observations around the function, whatever the kernel."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A covariance function with what is needed to learn its hyperparameters.

    Attributes:
        geometry: What $k$ needs to know of the inputs: (x1 (N, D), x2 (M, D), period) to arrays of shape (N, M).
        formula: $k$: (geometry, theta, xp) to shape (N, M), in squared units of y; xp is numpy, or
            `pytensor.tensor` for symbols.
        variance: $k(x, x)$: (x (M, D), theta) to shape (M,), the prior variance of the function.
        starts: Groups of starting points for the search, from x (N, D) and y (N,); the best of each group is
            compared with those of the others.
        hyperparameters: By name, without the noise.
        seasonal: Whether it needs a period, and so a single input.
    """

    geometry: Callable[[Floats, Floats, float], Any]
    formula: Callable[[Any, Theta, Any], Any]
    variance: Callable[[Floats, Theta], Floats]
    starts: Callable[[Floats, Floats], list[list[dict[str, float]]]]
    hyperparameters: Mapping[str, Hyperparameter]
    seasonal: bool = False


def _squares(x1: Floats, x2: Floats, period: float) -> Floats:
    return np.asarray(cdist(x1, x2, "sqeuclidean"))


def _se(squares: Floats, theta: Theta, xp: Any) -> Any:
    r"""Return $\eta^2 \exp(-|x - x'|^2 / 2\ell^2)$, with amplitude $\eta$ and lengthscale $\ell$."""
    return theta["amplitude"] ** 2 * xp.exp(squares * (-0.5 / theta["lengthscale"] ** 2))


def _se_variance(x: Floats, theta: Theta) -> Floats:
    return np.full(len(x), theta["amplitude"] ** 2)


def _se_starts(x: Floats, y: Floats) -> list[list[dict[str, float]]]:
    """Return starting points, one group per lengthscale, from a tenth of the spacing to the range of x."""
    near, far = _distances(x)
    size, spread = _scales(y)
    return [
        [
            {"lengthscale": float(lengthscale), "amplitude": swing * size, "noise": share * spread}
            for swing in (1.0, 3.0)
            for share in (0.03, 0.2, 0.6)
        ]
        for lengthscale in np.geomspace(near / 10, far, 15)
    ]


def _squares_and_waves(x1: Floats, x2: Floats, period: float) -> tuple[Floats, Floats]:
    squares = _squares(x1, x2, period)
    return squares, 2 * np.sin(np.pi / period * np.sqrt(squares)) ** 2


def _structured(geometry: tuple[Floats, Floats], theta: Theta, xp: Any) -> Any:
    r"""Return trend plus season plus short term; r is the distance in time, P the period.

    $$\eta_t^2 e^{-r^2 / 2\ell_t^2}
      + \eta_s^2 \exp\left(-\frac{r^2}{2\ell_d^2} - \frac{2 \sin^2(\pi r / P)}{\lambda^2}\right)
      + \eta_u^2 \left(1 + \frac{r^2}{2\alpha\ell_u^2}\right)^{-\alpha}$$
    """
    squares, waves = geometry
    trend = theta["trend_amplitude"] ** 2 * xp.exp(squares * (-0.5 / theta["trend_lengthscale"] ** 2))
    decay = squares * (-0.5 / theta["season_decay"] ** 2)
    season = theta["season_amplitude"] ** 2 * xp.exp(decay - waves / theta["season_smoothness"] ** 2)
    shape = theta["short_shape"]
    ratio = squares / (2 * shape * theta["short_lengthscale"] ** 2)
    return trend + season + theta["short_amplitude"] ** 2 * xp.exp(-shape * xp.log1p(ratio))


def _structured_variance(x: Floats, theta: Theta) -> Floats:
    parts = (theta["trend_amplitude"], theta["season_amplitude"], theta["short_amplitude"])
    return np.full(len(x), sum(part**2 for part in parts))


def _structured_starts(x: Floats, y: Floats) -> list[list[dict[str, float]]]:
    """Return starting points, one group per pair of trend lengthscale and short lengthscale."""
    near, far = _distances(x)
    size, spread = _scales(y)
    return [
        [
            {
                "trend_amplitude": share * size,
                "trend_lengthscale": trend * far,
                "season_amplitude": (1.4 - share) * size,
                "season_decay": far,
                "season_smoothness": smoothness,
                "short_amplitude": 0.3 * size,
                "short_lengthscale": short,
                "short_shape": 1.0,
                "noise": 0.1 * spread,
            }
            for share in (0.4, 1.0)
            for smoothness in (0.5, 1.0, 2.0)
        ]
        for trend in (0.1, 0.3, 1.0)
        for short in (float(np.sqrt(near * far)), far / 5)
    ]


def _products(x1: Floats, x2: Floats, period: float) -> tuple[Floats, Floats, Floats]:
    return x1 @ x2.T, (x1**2).sum(axis=1)[:, None], (x2**2).sum(axis=1)[None]


def _arccos(geometry: tuple[Floats, Floats, Floats], theta: Theta, xp: Any) -> Any:
    r"""Return the covariance of a wide layer of ReLU units, degree 1 of the arc-cosine family.

    With $\tilde x = (x, b)$ and $\varphi$ the angle between $\tilde x$ and $\tilde x'$:

    $$k = \frac{\eta^2}{\pi} |\tilde x| |\tilde x'| (\sin\varphi + (\pi - \varphi) \cos\varphi)
        = 2 \eta^2 E_w[\mathrm{relu}(w^\top \tilde x) \, \mathrm{relu}(w^\top \tilde x')], \quad w \sim N(0, I).$$
    """
    products, squares1, squares2 = geometry
    bias = theta["bias"] ** 2
    lengths = xp.sqrt((squares1 + bias) * (squares2 + bias))
    # rounding can pass 1, where arccos has no value and an infinite slope; k is off by 3e-12 of itself at most
    cosine = xp.maximum(xp.minimum((products + bias) / lengths, 1 - 1e-12), -1 + 1e-12)
    angle = xp.arccos(cosine)
    return theta["amplitude"] ** 2 / np.pi * lengths * (xp.sin(angle) + (np.pi - angle) * cosine)


def _arccos_variance(x: Floats, theta: Theta) -> Floats:
    return np.asarray(theta["amplitude"] ** 2 * ((x**2).sum(axis=1) + theta["bias"] ** 2))


def _arccos_starts(x: Floats, y: Floats) -> list[list[dict[str, float]]]:
    """Return starting points, one group per bias: the finer the data's detail, the larger amplitude must be."""
    _, far = _distances(x)
    size, spread = _scales(y)
    return [
        [
            {"amplitude": float(swing) * size / far, "bias": bias * far, "noise": share * spread}
            for swing in np.geomspace(1, 1000, 7)
            for share in (0.03, 0.2, 0.6)
        ]
        for bias in (0.1, 0.3, 1.0, 3.0)
    ]


def _distances(x: Floats) -> tuple[float, float]:
    """Return the typical distance between neighbors and the largest of all; 1 and 1 where all points are one."""
    distances = pdist(x)
    apart = distances[distances > 0]
    return (float(np.quantile(apart, 1 / len(x))), float(apart.max())) if len(apart) else (1.0, 1.0)


def _scales(y: Floats) -> tuple[float, float]:
    """Return the root mean square of y and its standard deviation."""
    return float(np.sqrt(np.mean(y**2))), float(np.std(y))


KERNELS: Mapping[KernelName, Kernel] = {
    "se": Kernel(
        _squares,
        _se,
        _se_variance,
        _se_starts,
        {
            "lengthscale": Hyperparameter(0.05, "units of x"),
            "amplitude": Hyperparameter(1.0, "units of y"),
        },
    ),
    "structured": Kernel(
        _squares_and_waves,
        _structured,
        _structured_variance,
        _structured_starts,
        {
            # LogNormal, since the maximum of the posterior would take a HalfCauchy amplitude to zero
            "trend_amplitude": Hyperparameter(1.0, "units of y", spread=1.0),
            "season_amplitude": Hyperparameter(1.0, "units of y", spread=1.0),
            "short_amplitude": Hyperparameter(0.3, "units of y", spread=1.0),
            "trend_lengthscale": Hyperparameter(1.0, "units of x", spread=1.0),
            "season_decay": Hyperparameter(3.0, "units of x", spread=1.0),
            "season_smoothness": Hyperparameter(1.0, "1", spread=0.7),
            "short_lengthscale": Hyperparameter(0.2, "units of x", spread=1.0),
            "short_shape": Hyperparameter(1.0, "1", spread=1.0),
        },
        seasonal=True,
    ),
    "arccos": Kernel(
        _products,
        _arccos,
        _arccos_variance,
        _arccos_starts,
        {
            "amplitude": Hyperparameter(10.0, "units of y / units of x"),
            "bias": Hyperparameter(1.0, "units of x", spread=1.0),
        },
    ),
}
"""The kernels that come with mcdrop."""
