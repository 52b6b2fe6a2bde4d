r"""Gaussian-process regression: the baseline that MC dropout is measured against, on PyMC.

Observations are a latent function plus Gaussian noise, $y_i = f(x_i) + \varepsilon_i$ with
$\varepsilon_i \sim N(0, \sigma^2)$ and $f \sim GP(0, k)$. With $K = k(X, X)$ and
$K_y = K + \sigma^2 I = L L^\top$, the hyperparameters $\theta$ maximize the log posterior density

$$\log p(\theta | y) = -\tfrac12 y^\top K_y^{-1} y - \log |L| - \tfrac N2 \log 2\pi + \log p(\theta) + \mathrm{const},$$

and given them the prediction at $x_*$ is a closed form, with $k_* = k(X, x_*)$:

$$\mathrm{mean} = k_*^\top K_y^{-1} y, \qquad \mathrm{std}^2 = k(x_*, x_*) - k_*^\top K_y^{-1} k_*.$$

The mean of the process is zero and the priors are fixed, so both x and y should be standardized.

References:
    Rasmussen, C. E. and Williams, C. K. I. (2006). Gaussian Processes for Machine Learning. MIT Press.
    https://gaussianprocess.org/gpml/ (prediction: eq. 2.25-2.26 and algorithm 2.1; log marginal
    likelihood: eq. 2.30; posterior of the hyperparameters: eq. 5.5; squared exponential: eq. 4.9).
"""

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import Bounds, minimize
from scipy.spatial.distance import cdist, pdist

from mcdrop.arguments import check_choice
from mcdrop.baselines.arrays import check_inputs, check_training
from mcdrop.errors import InputError
from mcdrop.predictive import RegressionPredictive
from mcdrop.progress import Advance, track

__all__ = ["GPRegressor"]

Floats = NDArray[np.float64]
Hyperparameters = dict[str, float]
Kernel = Literal["se"]
Inference = Literal["map"]

_CLIMBS = 4  # starting points that are followed to their summit
_CLIMBER = {"method": "L-BFGS-B", "options": {"ftol": 1e-12, "gtol": 1e-6}}
_MARGIN = np.log(1e3)  # how far beyond the starting points the search may go: a factor of 1,000
_IMPOSSIBLE = 1e25  # the loss where the density is zero: finite, so that a line search can back out
_CHUNK = 4096  # points predicted at once: bounds memory at N x 4,096


def _squared_exponential(x1: Floats, x2: Floats, theta: Mapping[str, Any], xp: Any = np) -> Any:
    r"""Return $k(x, x') = \eta^2 \exp(-|x - x'|^2 / 2\ell^2)$, $\eta$ the amplitude, $\ell$ the lengthscale.

    Args:
        x1: Inputs, shape (N, D).
        x2: Inputs, shape (M, D).
        theta: Hyperparameters by name: numbers, or symbols of the library `xp`.
        xp: Where `exp` comes from: numpy, or `pytensor.tensor` for symbols.

    Returns:
        Shape (N, M), in squared units of y.
    """
    return theta["amplitude"] ** 2 * xp.exp(-0.5 * cdist(x1, x2, "sqeuclidean") / theta["lengthscale"] ** 2)


def _squared_exponential_starts(x: Floats, y: Floats) -> list[list[Hyperparameters]]:
    """Return starting points, one group per lengthscale, from a tenth of the spacing to the range of x."""
    distances = pdist(x)
    apart = distances[distances > 0]
    near, far = (np.quantile(apart, 1 / len(x)), apart.max()) if len(apart) else (1.0, 1.0)
    size, spread = float(np.sqrt(np.mean(y**2))), float(np.std(y))
    return [
        [
            {"lengthscale": float(lengthscale), "amplitude": swing * size, "noise": share * spread}
            for swing in (1.0, 3.0)
            for share in (0.03, 0.2, 0.6)
        ]
        for lengthscale in np.geomspace(near / 10, far, 15)
    ]


@dataclass(frozen=True, slots=True)
class _Covariance:
    """What the regressor needs to know about a covariance function.

    Attributes:
        formula: k, for numbers and for PyTensor symbols: (x1, x2, theta, xp) -> (N, M).
        variance: Its value at zero distance, from theta: the prior variance of f.
        starts: Groups of starting points for the search, from x (N, D) and y (N,).
        prior_scales: Scale of the HalfCauchy prior of each hyperparameter, noise included.
    """

    formula: Callable[..., Any]
    variance: Callable[[Hyperparameters], float]
    starts: Callable[[Floats, Floats], list[list[Hyperparameters]]]
    prior_scales: Mapping[str, float]


_KERNELS: dict[Kernel, _Covariance] = {
    "se": _Covariance(
        formula=_squared_exponential,
        variance=lambda theta: theta["amplitude"] ** 2,
        starts=_squared_exponential_starts,
        prior_scales={"lengthscale": 0.05, "amplitude": 1.0, "noise": 0.1},
    ),
}


class GPRegressor:
    r"""Gaussian-process regression with hyperparameters learned from the data.

    With the kernel `"se"`, $k(x, x') = \eta^2 \exp(-|x - x'|^2 / 2\ell^2)$ and the priors are lengthscale
    $\ell \sim \mathrm{HalfCauchy}(0.05)$ in units of x, amplitude $\eta \sim \mathrm{HalfCauchy}(1)$ and
    noise $\sigma \sim \mathrm{HalfCauchy}(0.1)$ in units of y. Fitting takes O(N^3) time and is
    deterministic: no random numbers are used, and PyMC needs no C compiler.

    Args:
        kernel: Covariance function: `"se"`, the squared exponential.
        inference: `"map"`: the maximum of the posterior density of the hyperparameters. It often has
            several local maxima, so it is scanned first and climbed from the best few starting points.

    Attributes:
        hyperparameters_: After `fit`: lengthscale (units of x), amplitude and noise (units of y; both are
            standard deviations).
        fit_seconds_: After `fit`: how long it took, without importing PyMC.

    Raises:
        InputError: If the kernel or the kind of inference is unknown.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 30)
        >>> gp = GPRegressor().fit(x, np.sin(6 * x))
        >>> prediction = gp.predict(np.array([0.5, 50.0]))
        >>> bool(abs(prediction.mean[0] - np.sin(3)) < 0.01), bool(abs(prediction.mean[1]) < 0.01)
        (True, True)
    """

    hyperparameters_: Hyperparameters
    fit_seconds_: float

    def __init__(self, kernel: Kernel = "se", *, inference: Inference = "map") -> None:
        check_choice("kernel", kernel, Kernel)
        check_choice("inference", inference, Inference)
        self.kernel = kernel
        self.inference = inference

    def __repr__(self) -> str:
        """Return the call that makes this regressor."""
        return f"GPRegressor({self.kernel!r}, inference={self.inference!r})"

    def fit(self, x: ArrayLike, y: ArrayLike, *, progress: bool | str = False) -> Self:
        """Learn the hyperparameters and condition on the data.

        Args:
            x: Inputs, shape (N, D) or (N,), standardized; rows may repeat.
            y: Targets, shape (N,) or (N, 1), standardized; N at least 2.
            progress: Show a progress bar on standard error; a text names it.

        Returns:
            This regressor, fitted. If fitting fails, an earlier fit is kept.

        Raises:
            InputError: If an array has the wrong shape, is empty, constant (y) or not finite, the lengths
                differ, or no hyperparameters with a finite posterior are found (data far from standardized).
        """
        inputs, targets, trailing = check_training(x, y)
        _import_pymc()
        started = time.perf_counter()
        kernel = _KERNELS[self.kernel]
        theta = _maximize_posterior(kernel, inputs, targets, progress=progress)
        covariance = kernel.formula(inputs, inputs, theta) + theta["noise"] ** 2 * np.eye(len(inputs))
        self._factor: Floats = cholesky(covariance, lower=True)
        self._weights: Floats = cho_solve((self._factor, True), targets)
        self._inputs, self._trailing = inputs, trailing
        self.hyperparameters_ = theta
        self.fit_seconds_ = time.perf_counter() - started
        return self

    def predict(self, x: ArrayLike) -> RegressionPredictive:
        """Predict at new points; time and memory grow linearly with their number.

        Args:
            x: Inputs, shape (M, D) or, if D = 1, (M,), in the units of the training inputs.

        Returns:
            Mean and standard deviation of the latent function, shaped (M,) or (M, 1) like the training
            targets and in their units, and the learned noise: `total_std()` is the spread of a new observation.

        Raises:
            InputError: If `fit` has not been called, or x is empty, not finite, or has the wrong shape.
        """
        if not hasattr(self, "hyperparameters_"):
            raise InputError("predict needs a fitted GPRegressor, got one without data; call fit(x, y) first")
        inputs = check_inputs(x)
        if inputs.shape[1] != self._inputs.shape[1]:
            raise InputError(
                f"x must have {self._inputs.shape[1]} column(s) as in fit, got shape {np.shape(x)}; "
                "give the same features in the same order"
            )
        chunks = [self._moments(inputs[i : i + _CHUNK]) for i in range(0, len(inputs), _CHUNK)]
        mean, std = (np.concatenate(part).reshape(-1, *self._trailing) for part in zip(*chunks, strict=True))
        return RegressionPredictive(mean=mean, std=std, noise_std=self.hyperparameters_["noise"])

    def _moments(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of f at (M, D) inputs, each (M,): R&W algorithm 2.1."""
        kernel = _KERNELS[self.kernel]
        cross = kernel.formula(self._inputs, inputs, self.hyperparameters_)
        explained = (solve_triangular(self._factor, cross, lower=True) ** 2).sum(axis=0)
        variance = kernel.variance(self.hyperparameters_) - explained
        return cross.T @ self._weights, np.sqrt(np.maximum(variance, 0.0))  # rounding can pass below zero


def _maximize_posterior(kernel: _Covariance, x: Floats, y: Floats, *, progress: bool | str) -> Hyperparameters:
    """Return the hyperparameters at the highest summit found of the posterior density.

    Every starting point is scored; the best of each group are compared, and the few best of those climbed.

    Raises:
        InputError: If the density is zero or not finite wherever it was tried.
    """
    from threadpoolctl import threadpool_limits

    names = list(kernel.prior_scales)
    with (
        np.errstate(all="ignore"),  # far-off starting points may overflow; they lose
        # on a busy machine, BLAS threads that wait for each other make a Cholesky 100 times slower
        threadpool_limits(1),
    ):
        groups = np.log([[[theta[name] for name in names] for theta in group] for group in kernel.starts(x, y)])
        loss = _compile_loss(_build_model(kernel, x, y))
        with track(len(groups) + _CLIMBS, "Fitting the Gaussian process", enabled=progress) as advance:
            log_theta, value = _search(loss, groups, advance)
    if not value < _IMPOSSIBLE:
        raise InputError(
            "x and y must give a finite posterior density for some hyperparameters, got none "
            f"(y spans {y.min():g} to {y.max():g}); standardize both to mean 0 and standard deviation 1"
        )
    return {name: float(value) for name, value in zip(names, np.exp(log_theta), strict=True)}


def _search(loss: Callable[[Floats], float], groups: Floats, advance: Advance) -> tuple[Floats, float]:
    """Return the lowest point found and its loss: score all starts (G, S, P), climb from the best of the best."""
    bounds = Bounds(groups.min(axis=(0, 1)) - _MARGIN, groups.max(axis=(0, 1)) + _MARGIN)
    scored = []
    for group in groups:
        scored.append(min((loss(start), *start) for start in group))
        advance(1)
    summits = []
    for _, *start in sorted(scored)[:_CLIMBS]:
        summits.append(minimize(loss, start, jac="3-point", bounds=bounds, **_CLIMBER))
        advance(1)
    summit = min(summits, key=lambda result: float(result.fun))
    return summit.x, float(summit.fun)


def _build_model(kernel: _Covariance, x: Floats, y: Floats) -> Any:
    """Return the PyMC model: HalfCauchy priors and the marginal likelihood of y, f integrated out."""
    pymc = _import_pymc()
    from pytensor import tensor

    with pymc.Model() as model:
        theta = {name: pymc.HalfCauchy(name, scale) for name, scale in kernel.prior_scales.items()}
        covariance = kernel.formula(x, x, theta, tensor) + theta["noise"] ** 2 * np.eye(len(y))
        pymc.MvNormal("y", mu=np.zeros(len(y)), cov=covariance, observed=y)
    return model


def _compile_loss(model: Any) -> Callable[[Floats], float]:
    """Return the negative log posterior density of theta as a function of log theta.

    The density is that of theta itself: no Jacobian, the convention of `pymc.find_MAP`. The graph is a dozen
    NumPy calls around one Cholesky factor, so PyTensor's Python linker runs it as fast as compiled code
    (1 ms at N = 272) and needs neither a C compiler nor half a minute of compilation.
    """
    from pymc.logprob.utils import ParameterValueError
    from pytensor.compile.mode import Mode

    log_density = model.compile_logp(jacobian=False, mode=Mode(linker="py", optimizer="None"))
    names = [model.rvs_to_values[variable].name for variable in model.free_RVs]

    def loss(log_theta: Floats) -> float:
        try:
            value = float(log_density(dict(zip(names, log_theta, strict=True))))
        except ParameterValueError:  # the covariance is singular to rounding
            return _IMPOSSIBLE
        return -value if np.isfinite(value) else _IMPOSSIBLE

    return loss


def _import_pymc() -> Any:
    """Import PyMC without the notices that it prints on first import (no C compiler, ArviZ's plans)."""
    logger = logging.getLogger("pytensor.configdefaults")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pymc
    finally:
        logger.setLevel(level)
    return pymc
