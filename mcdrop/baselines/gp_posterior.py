r"""The posterior of a Gaussian process's hyperparameters: its density, its maximum, and the process given them.

With $K = k(X, X)$, $K_y = K + \sigma^2 I = L L^\top$ and hyperparameters $\theta(z)$, where z has no bounds (for
mcdrop's own kernels $z = \log \theta$), the log posterior density of z is

$$\log p(z | y) = -\tfrac12 y^\top K_y^{-1} y - \log |L| - \tfrac N2 \log 2\pi + \log p(z) + \mathrm{const},$$

its slope along $z_j$, with $\alpha = K_y^{-1} y$,

$$\tfrac12 \mathrm{tr}\left((\alpha\alpha^\top - K_y^{-1}) \frac{\partial K_y}{\partial z_j}\right)
    + \frac{\partial \log p(z)}{\partial z_j},$$

and given $\theta$ the function at $x_*$ is Gaussian, with $k_* = k(X, x_*)$:

$$\mathrm{mean} = k_*^\top \alpha, \qquad \mathrm{variance} = k(x_*, x_*) - k_*^\top K_y^{-1} k_*.$$

References:
    Rasmussen, C. E. and Williams, C. K. I. (2006). Gaussian Processes for Machine Learning. MIT Press.
    https://gaussianprocess.org/gpml/ (prediction: eq. 2.25-2.26 and algorithm 2.1; log marginal likelihood:
    eq. 2.30; posterior of the hyperparameters: eq. 5.5; slope: eq. 5.9).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import Bounds, minimize
from threadpoolctl import threadpool_limits

from mcdrop.baselines.covariance import Covariance, Theta
from mcdrop.errors import InputError
from mcdrop.progress import track

__all__ = ["Conditioned", "Mixture", "Posterior"]

Floats = NDArray[np.float64]

_CLIMBS = 4  # starting points that are followed uphill
_LOOSE = {"method": "L-BFGS-B", "jac": True, "options": {"ftol": 1e-5, "gtol": 1e-2}}
_TIGHT = {"method": "L-BFGS-B", "jac": True, "options": {"ftol": 1e-13, "gtol": 1e-6}}
_MARGIN = np.log(1e3)  # how far beyond the starting points the search may go: a factor of 1,000
_CHUNK = 4096  # points predicted at once: bounds memory at N x 4,096
_IMPOSSIBLE = 1e25  # the loss where the density is zero: finite, so that a line search can back out
_STEP = 1e-4  # for central differences of the covariance in z: smaller ones drown in rounding where K is large


@dataclass(frozen=True, slots=True)
class Conditioned:
    """The process given hyperparameters and data.

    Attributes:
        covariance: The covariance function.
        theta: Its hyperparameters.
        x: Training inputs, shape (N, D).
        factor: Lower Cholesky factor L of the covariance of the observations, shape (N, N).
        weights: The vector alpha that k(x, X) is multiplied with to give the mean, shape (N,).
    """

    covariance: Covariance
    theta: Theta
    x: Floats
    factor: Floats
    weights: Floats

    def moments(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Return mean and variance of the function at (M, D) inputs, each of shape (M,)."""
        parts = [self._moments(inputs[i : i + _CHUNK]) for i in range(0, len(inputs), _CHUNK)]
        return np.concatenate([mean for mean, _ in parts]), np.concatenate([variance for _, variance in parts])

    def _moments(self, inputs: Floats) -> tuple[Floats, Floats]:
        with np.errstate(all="ignore"):  # the next line says it
            cross = self.covariance.cross(self.x, inputs, self.theta)
        if not np.isfinite(cross).all():
            raise InputError(
                f"x must lie where the covariance is a number, got values up to {np.abs(inputs).max():g}; standardize x"
            )
        explained = (solve_triangular(self.factor, cross, lower=True) ** 2).sum(axis=0)
        variance = self.covariance.variance(inputs, self.theta) - explained
        return cross.T @ self.weights, np.maximum(variance, 0.0)  # rounding can pass below zero


class Mixture:
    """Mean and spread of equally probable processes, streamed: the law of total variance."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: Floats = np.zeros(())
        self._squares: Floats = np.zeros(())  # of the means' deviations from their mean, summed
        self._within: Floats = np.zeros(())  # the variances, summed
        self._noise = 0.0

    def add(self, mean: Floats, variance: Floats, noise_variance: float) -> None:
        """Take in one process: mean and variance of the function, shape (M,), and the variance of the noise."""
        self._count += 1
        delta = mean - self._mean
        self._mean = self._mean + delta / self._count
        self._squares = self._squares + delta * (mean - self._mean)
        self._within = self._within + variance
        self._noise += noise_variance

    @property
    def mean(self) -> Floats:
        """Mean of the function, shape (M,)."""
        return self._mean

    @property
    def std(self) -> Floats:
        """Standard deviation of the function, shape (M,)."""
        return np.asarray(np.sqrt((self._within + self._squares) / self._count))

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise."""
        return float(np.sqrt(self._noise / self._count))


class Posterior:
    """The posterior of a covariance's hyperparameters given data."""

    def __init__(self, covariance: Covariance, x: Floats, y: Floats) -> None:
        """Hold the data: x of shape (N, D), y of shape (N,)."""
        self.covariance, self.x, self.y = covariance, x, y
        self._within = covariance.within(x)

    def given(self, theta: Theta, *, jitter: float = 0.0) -> Conditioned:
        """Return the process with these hyperparameters.

        Args:
            theta: The hyperparameters.
            jitter: Noise variance to add, as a share of the mean variance of an observation.

        Raises:
            LinAlgError: If the covariance of the observations is singular to rounding.
        """
        observed = self._observed(theta)
        observed[np.diag_indices_from(observed)] += jitter * np.trace(observed) / len(observed)
        factor = cholesky(observed, lower=True)
        return Conditioned(self.covariance, theta, self.x, factor, cho_solve((factor, True), self.y))

    def surely_given(self, theta: Theta) -> Conditioned:
        """Return the process, with as little jitter as it needs: PyMC may accept what is singular to rounding.

        Raises:
            LinAlgError: If a millionth of the variance is not enough.
        """
        for jitter in (0.0, 1e-12, 1e-10, 1e-8):
            try:
                return self.given(theta, jitter=jitter)
            except LinAlgError:
                continue
        return self.given(theta, jitter=1e-6)

    def log_density(self, z: Floats) -> float:
        """Return the log posterior density of z, the one that NUTS draws from; -inf where the covariance is singular.

        It is the density of z and not of theta, the convention of `pymc.find_MAP`: that of theta has its maximum at
        zero lengthscale and zero noise on many a noisy series, since a HalfCauchy prior is largest at zero.
        """
        return self._at(z)[0]

    def loss(self, z: Floats) -> tuple[float, Floats]:
        """Return the negative log posterior density and its slope in z; the covariance's own by central differences."""
        value, process = self._at(z)
        if process is None:
            return _IMPOSSIBLE, np.zeros_like(z)
        pull = np.outer(process.weights, process.weights) - cho_solve((process.factor, True), np.eye(len(self.y)))
        slope = np.empty_like(z)
        for j, step in enumerate(_STEP * np.eye(len(z))):
            up, down = (self._observed(self.covariance.theta(z + sign * step)) for sign in (1, -1))
            prior = self.covariance.log_prior(z + step) - self.covariance.log_prior(z - step)
            slope[j] = (0.5 * np.vdot(pull, up - down) + prior) / (2 * _STEP)
        return -value, -slope

    def maximize(self, *, progress: bool | str = False) -> dict[str, Any]:
        """Return the hyperparameters at the highest summit found of the density.

        There are often several: every starting point is scored, the best of each group compared, the few best of
        those climbed part of the way, and the highest of them to the top.

        Raises:
            InputError: If the density is zero or not finite wherever it was tried.
        """
        with np.errstate(all="ignore"):  # far-off data and starting points may overflow; they lose
            groups = self.covariance.starts(self.x, self.y)
            points = np.concatenate([np.stack(group) for group in groups])
            bounds = Bounds(points.min(axis=0) - _MARGIN, points.max(axis=0) + _MARGIN)
            return self._climb(groups, bounds, progress)

    def _climb(self, groups: list[list[Floats]], bounds: Bounds, progress: bool | str) -> dict[str, Any]:
        with (
            # on a busy machine, BLAS threads that wait for each other make a Cholesky 100 times slower
            threadpool_limits(1),
            track(len(groups) + _CLIMBS + 1, "Fitting the Gaussian process", enabled=progress) as advance,
        ):
            scored = []
            for group in groups:
                scored.append(max((self.log_density(z), *z) for z in group))
                advance(1)
            summits = []
            for value, *start in sorted(scored, reverse=True)[:_CLIMBS]:
                if np.isfinite(value):
                    summits.append(minimize(self.loss, start, bounds=bounds, **_LOOSE))
                advance(1)
            if not summits:
                raise InputError(
                    "x and y must give a finite posterior density for some hyperparameters, got none (y spans "
                    f"{self.y.min():g} to {self.y.max():g}); standardize both to mean 0 and standard deviation 1"
                )
            best = min(summits, key=lambda summit: float(summit.fun))
            top = minimize(self.loss, best.x, bounds=bounds, **_TIGHT)
            advance(1)
        return self.covariance.theta(top.x if top.fun <= best.fun else best.x)

    def _at(self, z: Floats) -> tuple[float, Conditioned | None]:
        """Return the log density and the process at a point of the search space, or -inf and none."""
        try:
            process = self.given(self.covariance.theta(z))
        except (LinAlgError, ValueError):  # not positive definite, or not finite
            return -np.inf, None
        fit = -0.5 * self.y @ process.weights - np.log(np.diag(process.factor)).sum()
        value = float(fit - len(self.y) / 2 * np.log(2 * np.pi) + self.covariance.log_prior(z))
        return (value, process) if np.isfinite(value) else (-np.inf, None)

    def _observed(self, theta: Theta) -> Floats:
        return np.asarray(self._within(theta) + theta["noise"] ** 2 * np.eye(len(self.x)))
