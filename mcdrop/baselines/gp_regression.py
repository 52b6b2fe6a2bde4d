r"""Gaussian-process regression: the baseline that MC dropout is measured against, on PyMC.

Observations are a latent function plus Gaussian noise, $y_i = f(x_i) + \varepsilon_i$ with
$\varepsilon_i \sim N(0, \sigma^2)$ and $f \sim GP(0, k)$. The mean of the process is zero and the priors are fixed,
so both x and y should be standardized. The kernels are in `kernels`, the posterior of their hyperparameters in
`gp_posterior` (its maximum) and `nuts` (draws from it).

With S draws $\theta_s$ the prediction is a mixture, whose mean and variance follow from those of its parts (law of
total variance), streamed over the draws:

$$\mathrm{mean} = \frac1S \sum_s m_s, \qquad \mathrm{std}^2 = \frac1S \sum_s v_s + \mathrm{Var}_s(m_s), \qquad
\sigma^2 = \frac1S \sum_s \sigma_s^2.$$

References:
    Rasmussen, C. E. and Williams, C. K. I. (2006). Gaussian Processes for Machine Learning. MIT Press.
    https://gaussianprocess.org/gpml/ (sections 2.2 and 5.2).
"""

import time
import warnings
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from mcdrop import storage
from mcdrop.arguments import check_choice, check_count
from mcdrop.baselines.arrays import check_inputs, check_training
from mcdrop.baselines.covariance import check_kernel, make_covariance
from mcdrop.baselines.fitted import Baseline
from mcdrop.baselines.gp_fit import Fit
from mcdrop.baselines.gp_posterior import Mixture, Posterior
from mcdrop.baselines.kernels import KERNELS, KernelName
from mcdrop.baselines.nuts import Diagnosis, Draws, draw_posterior, flatten
from mcdrop.baselines.pymc_import import import_arviz
from mcdrop.errors import ConvergenceWarning, InputError
from mcdrop.predictive import RegressionPredictive
from mcdrop.progress import track
from mcdrop.rng import check_seed

__all__ = ["GPRegressor", "Inference"]

Floats = NDArray[np.float64]

Inference = Literal["map", "nuts"]
"""One best set of hyperparameters, or many draws of them."""

_OPTIONS = ("inference", "period", "chains", "draws", "tune", "target_accept", "seed")


class GPRegressor(Baseline):
    r"""Gaussian-process regression with hyperparameters learned from the data.

    Fitting takes O(N^3) time for every density that is looked at: about a second for 300 points by MAP, minutes by
    NUTS. No C compiler is needed.

    Args:
        kernel: Covariance function, with priors for standardized x and y.

            - `"se"`, the squared exponential $\eta^2 \exp(-|x - x'|^2 / 2\ell^2)$ with the tutorial's priors,
              lengthscale $\ell \sim \mathrm{HalfCauchy}(0.05)$ and amplitude $\eta \sim \mathrm{HalfCauchy}(1)$.
            - `"structured"`, for time series with a season: a smooth trend, a season that slowly changes its
              shape, and short-term irregularities. Needs `period`.
            - `"arccos"`, what a wide layer of ReLU units with Gaussian weights amounts to.
            - any covariance of `pymc.gp.cov` with fixed numbers, or a function without arguments that makes PyMC
              priors and returns one: `lambda: pm.gp.cov.Matern52(1, ls=pm.HalfNormal("ls"))`.

            The noise is $\sigma \sim \mathrm{HalfCauchy}(0.1)$ with every kernel.
        inference: `"map"`: the maximum of the posterior density of the hyperparameters' logarithms, found without
            random numbers. `"nuts"`: draws from that posterior, so that the prediction counts what the data leave open
            about them; needs the package nutpie.
        period: Length of the season in units of x, for the kernel `"structured"`.
        chains: Number of chains of NUTS, at least 2.
        draws: Draws to keep per chain.
        tune: Draws per chain for tuning the sampler.
        target_accept: Acceptance rate that NUTS tunes its step size for, in (0, 1); higher is slower and safer.
        seed: Of NUTS; the same seed gives the same draws.

    Attributes:
        hyperparameters_: After `fit`: the hyperparameters, for NUTS their posterior means.
        hyperparameter_stds_: After `fit` by NUTS: their posterior standard deviations.
        units_: After `fit`: the unit of each.
        fit_seconds_: After `fit`: how long it took, compilation included.
        predict_seconds_: After `predict`: how long the last one took.
        diagnosis_: After `fit` by NUTS: R-hat, effective sample sizes and divergences.

    Raises:
        InputError: If an option is not usable.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 30)
        >>> gp = GPRegressor().fit(x, np.sin(6 * x))
        >>> prediction = gp.predict(np.array([0.5, 50.0]))
        >>> bool(abs(prediction.mean[0] - np.sin(3)) < 0.01), bool(abs(prediction.mean[1]) < 0.01)
        (True, True)
    """

    hyperparameter_stds_: dict[str, float]
    diagnosis_: Diagnosis

    def __init__(
        self,
        kernel: KernelName | Any = "se",
        *,
        inference: Inference = "map",
        period: float | None = None,
        chains: int = 4,
        draws: int = 500,
        tune: int = 500,
        target_accept: float = 0.9,
        seed: int = 0,
    ) -> None:
        check_kernel(kernel, period)
        check_choice("inference", inference, Inference)
        check_count("chains", chains, least=2, why="R-hat compares chains")
        check_count("draws", draws, least=4, why="R-hat halves each chain")
        check_count("tune", tune, least=1, why="the sampler must find its step size")
        if not isinstance(target_accept, float | int | np.number) or not 0 < target_accept < 1:
            raise InputError(f"target_accept must lie between 0 and 1, got {target_accept!r}; 0.9 is usual")
        self.kernel, self.inference = kernel, inference
        self.period = None if period is None else float(period)
        self.chains, self.draws, self.tune = int(chains), int(draws), int(tune)
        self.target_accept, self.seed = float(target_accept), check_seed(seed)

    def __repr__(self) -> str:
        """Return the call that makes this regressor."""
        kernel = self.kernel if isinstance(self.kernel, str) else getattr(self.kernel, "__name__", "custom")
        return f"GPRegressor({kernel!r}, inference={self.inference!r})"

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
                differ, the kernel does not fit x, or no hyperparameters with a finite posterior are found (data
                far from standardized).
            DependencyError: If NUTS is asked for and nutpie is not installed.

        Warns:
            ConvergenceWarning: If the chains of NUTS have not converged; it says which number failed.
        """
        inputs, targets, trailing = check_training(x, y)
        started = time.perf_counter()
        posterior = Posterior(make_covariance(self.kernel, inputs.shape[1], period=self.period), inputs, targets)
        theta = posterior.maximize(progress=progress)
        if self.inference == "map":
            self._keep(Fit(posterior, trailing, Draws.of_one(theta), self._options(), posterior.given(theta)))
        else:
            draws = draw_posterior(
                posterior,
                start=theta,
                chains=self.chains,
                draws=self.draws,
                tune=self.tune,
                target_accept=self.target_accept,
                seed=self.seed,
                progress=bool(progress),
            )
            self._keep(Fit(posterior, trailing, draws, self._options()))
        self.fit_seconds_ = time.perf_counter() - started
        if self.inference == "nuts" and not self.diagnosis_.converged:
            warnings.warn(self.diagnosis_.complaint(), ConvergenceWarning, stacklevel=2)
        return self

    def predict(self, x: ArrayLike, *, progress: bool | str = False) -> RegressionPredictive:
        """Predict at new points; time and memory grow linearly with their number.

        Args:
            x: Inputs, shape (M, D) or, if D = 1, (M,), in the units of the training inputs.
            progress: Show a progress bar on standard error, for NUTS; a text names it.

        Returns:
            Mean and standard deviation of the latent function, shaped (M,) or (M, 1) like the training targets and
            in their units, and the learned noise: `total_std()` is the spread of a new observation. After NUTS
            `passes` is the number of draws, and `mcse` an upper bound for independent draws.

        Raises:
            InputError: If `fit` has not been called, or x is empty, not finite, or has the wrong shape.
        """
        self._require_fit("predict")
        started = time.perf_counter()
        fit = self._fit
        inputs, columns = check_inputs(x), fit.posterior.x.shape[1]
        if inputs.shape[1] != columns:
            raise InputError(
                f"x must have {columns} column(s) as in fit, got shape {np.shape(x)}; "
                "give the same features in the same order"
            )
        mixture, many = Mixture(), fit.sampled
        with threadpool_limits(1), track(len(fit.draws), "Predicting", enabled=many and progress) as advance:
            for process in fit.processes():
                mixture.add(*process.moments(inputs), float(process.theta["noise"]) ** 2)
                advance(1)
        self.predict_seconds_ = time.perf_counter() - started
        told = ("kernel", "inference", "seed", "chains") if many else ("kernel", "inference")
        return RegressionPredictive(
            mean=mixture.mean.reshape(-1, *fit.trailing),
            std=mixture.std.reshape(-1, *fit.trailing),
            passes=len(fit.draws) if many else None,
            noise_std=mixture.noise_std,
            provenance={"model": "GPRegressor"} | {name: fit.options[name] for name in told},
        )

    def to_arviz(self) -> Any:
        """Return the draws of NUTS for ArviZ.

        Returns:
            An InferenceData (ArviZ 0.23) or a DataTree (ArviZ 1) with the groups posterior, sample_stats,
            constant_data (x) and observed_data (y).

        Raises:
            InputError: If there are no draws: before `fit`, or after MAP.
        """
        self._require_fit("to_arviz")
        if not self._fit.sampled:
            raise InputError("to_arviz needs draws, got a fit by MAP; make GPRegressor(inference='nuts')")
        import xarray

        groups = {
            group: xarray.Dataset(
                {name: (part.dims, part.values, {"units": part.units}) for name, part in parts.items()}
            )
            for group, parts in self._fit.groups().items()
        }
        arviz = import_arviz()
        if int(arviz.__version__.split(".")[0]) >= 1:
            return xarray.DataTree.from_dict(groups)
        return arviz.InferenceData(**groups)

    def summary(self) -> str:
        """Return what was learned and how long it took, as lines of text; after NUTS with the chains' diagnosis.

        Raises:
            InputError: If `fit` has not been called.
        """
        lines = super().summary().split("\n")
        if not self._fit.sampled:
            return "\n".join(lines)
        chains = self.diagnosis_
        for i, name in enumerate(self.hyperparameters_, start=1):
            lines[i] += (
                f", ± {self.hyperparameter_stds_[name]:.2g} (R-hat {chains.r_hat[name]:.3f}, "
                f"ESS {chains.ess_bulk[name]:.0f} bulk, {chains.ess_tail[name]:.0f} tail)"
            )
        verdict = "converged" if chains.converged else "not converged: " + "; ".join(chains.problems)
        return "\n".join([*lines, f"  {chains.chains} chains, {chains.divergences} divergences: {verdict}"])

    @classmethod
    def from_archive(cls, archive: storage.Archive, *, kernel: Any = None) -> Self:
        """Make the fitted regressor that was saved; `mcdrop.load` calls this.

        Args:
            archive: What the file holds.
            kernel: The covariance, if it was one of the user's own: code is not stored.

        Raises:
            InputError: If a kernel is needed and missing, given and not needed, or not the one of the fit.
        """
        stored = archive.attributes
        if (stored["kernel"] in KERNELS) == (kernel is not None):
            raise InputError(
                f"{archive.path} holds a fit with a covariance of the user's own, and code is not stored; "
                "pass the same one: load(path, kernel=...)"
                if kernel is None
                else f"{archive.path} holds a fit with the kernel {stored['kernel']!r}; leave kernel out"
            )
        gp = cls(stored["kernel"] if kernel is None else kernel, **{name: stored[name] for name in _OPTIONS})
        gp._keep(Fit.from_archive(archive, gp.kernel, gp._options()))
        gp.fit_seconds_ = float(stored["fit_seconds"])
        return gp

    def _contents(self) -> tuple[dict[str, dict[str, storage.Variable]], dict[str, Any]]:
        extra = {"trailing": list(self._fit.trailing), "fit_seconds": self.fit_seconds_}
        return self._fit.groups(), dict(self._fit.options) | extra

    def _options(self) -> dict[str, Any]:
        """Return how this regressor fits, as plain data; a covariance of the user's own by the name custom."""
        kernel = self.kernel if isinstance(self.kernel, str) else "custom"
        return {"kernel": kernel} | {name: getattr(self, name) for name in _OPTIONS}

    def _keep(self, fit: Fit) -> None:
        """Take over a fit once it is whole; what an earlier one left behind goes."""
        diagnosis = fit.draws.diagnose() if fit.sampled else None
        self._fit = fit
        self.hyperparameters_ = flatten(fit.draws.means())
        units = fit.posterior.covariance.units
        self.units_ = {entry: units[entry.split("[")[0]] for entry in self.hyperparameters_}
        for name in ("hyperparameter_stds_", "diagnosis_", "predict_seconds_"):
            self.__dict__.pop(name, None)
        if diagnosis is not None:
            self.hyperparameter_stds_, self.diagnosis_ = flatten(fit.draws.stds()), diagnosis
