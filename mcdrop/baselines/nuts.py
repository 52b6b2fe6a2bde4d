r"""Draws from the posterior of a Gaussian process's hyperparameters by NUTS, and whether to trust them.

The chains are judged by rank-normalized split R-hat, which compares them with one another, by the effective sample
sizes of the bulk and the tails, and by divergences, where the sampler could not follow the posterior.

References:
    Hoffman, M. D. and Gelman, A. (2014). The No-U-Turn Sampler. JMLR 15. https://jmlr.org/papers/v15/hoffman14a.html
    Vehtari, A. et al. (2021). Rank-Normalization, Folding, and Localization: An Improved R-hat for Assessing
    Convergence of MCMC. Bayesian Analysis 16(2). https://arxiv.org/abs/1903.08008 (R-hat below 1.01: section 4.1;
    effective sample size of 100 per chain: section 4.2).
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mcdrop.baselines.gp_posterior import Posterior
from mcdrop.baselines.pymc_import import import_arviz, import_pymc
from mcdrop.errors import DependencyError, InputError

__all__ = ["Diagnosis", "Draws", "build_model", "draw_posterior", "flatten"]

Floats = NDArray[np.float64]

R_HAT = 1.01
"""The largest R-hat that passes."""

ESS_PER_CHAIN = 100
"""The smallest effective sample size that passes, per chain."""

_STATISTICS = ("diverging", "energy", "logp", "depth", "step_size_bar", "mean_tree_accept")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the chains say about themselves.

    Attributes:
        r_hat: R-hat by hyperparameter; 1 when the chains agree.
        ess_bulk: Effective sample size for the posterior's middle, by hyperparameter.
        ess_tail: Effective sample size for its 5% and 95% quantiles, by hyperparameter.
        divergences: Number of draws at which the sampler lost the posterior.
        chains: Number of chains.
    """

    r_hat: Mapping[str, float]
    ess_bulk: Mapping[str, float]
    ess_tail: Mapping[str, float]
    divergences: int
    chains: int

    @property
    def problems(self) -> tuple[str, ...]:
        """Which numbers fail, each as a phrase; empty when the chains have converged."""
        least = ESS_PER_CHAIN * self.chains
        unequal = {name: value for name, value in self.r_hat.items() if not value <= R_HAT}
        found = [f"R-hat of {name} is {value:.4f}, above {R_HAT}" for name, value in unequal.items()]
        for part, sizes in (("bulk", self.ess_bulk), ("tail", self.ess_tail)):
            found += [
                f"{part} effective sample size of {name} is {value:.0f}, below {least}"
                for name, value in sizes.items()
                if not value >= least
            ]
        if self.divergences:
            found.append(f"{self.divergences} draws diverged")
        return tuple(found)

    @property
    def converged(self) -> bool:
        """Whether every number passes."""
        return not self.problems

    def complaint(self) -> str:
        """Return what is wrong and what to do about it, as one sentence."""
        return (
            f"the chains have not converged: {'; '.join(self.problems)}; raise tune or draws, raise target_accept "
            "against divergences, or use inference='map'"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Draws from the posterior of the hyperparameters.

    Attributes:
        posterior: Values by hyperparameter, shape (chains, draws, ...).
        statistics: What the sampler says of each draw, by name, shape (chains, draws).
    """

    posterior: Mapping[str, NDArray[Any]]
    statistics: Mapping[str, NDArray[Any]]

    @classmethod
    def of_one(cls, theta: Mapping[str, Any]) -> Self:
        """Return one draw of one chain, without statistics."""
        return cls({name: np.asarray(value, dtype=np.float64)[None, None] for name, value in theta.items()}, {})

    def __len__(self) -> int:
        """Return the number of draws of all chains."""
        chains, draws = next(iter(self.posterior.values())).shape[:2]
        return int(chains * draws)

    def theta(self, number: int) -> dict[str, Any]:
        """Return the hyperparameters of one draw, counted over the chains one after the other."""
        return {name: values.reshape(-1, *values.shape[2:])[number] for name, values in self.posterior.items()}

    def dims(self, name: str) -> tuple[str, ...]:
        """Return the names of a hyperparameter's axes."""
        return ("chain", "draw", *(f"{name}_dim_{i}" for i in range(self.posterior[name].ndim - 2)))

    def means(self) -> dict[str, Any]:
        """Return posterior means by hyperparameter."""
        return {name: values.mean(axis=(0, 1)) for name, values in self.posterior.items()}

    def stds(self) -> dict[str, Any]:
        """Return posterior standard deviations by hyperparameter; needs two draws."""
        return {name: values.std(axis=(0, 1), ddof=1) for name, values in self.posterior.items()}

    def diagnose(self) -> Diagnosis:
        """Judge the chains."""
        import xarray

        arviz = import_arviz()

        data = xarray.Dataset({name: (self.dims(name), values) for name, values in self.posterior.items()})
        return Diagnosis(
            r_hat=_named(arviz.rhat(data)),
            ess_bulk=_named(arviz.ess(data, method="bulk")),
            ess_tail=_named(arviz.ess(data, method="tail")),
            divergences=int(self.statistics["diverging"].sum()),
            chains=len(self.statistics["diverging"]),
        )


def _named(data: Any) -> dict[str, float]:
    """Return the entries of an xarray Dataset as plain numbers, arrays entry by entry."""
    return flatten({name: np.asarray(values) for name, values in data.items()})


def flatten(theta: Mapping[str, Any]) -> dict[str, float]:
    """Return hyperparameters as plain numbers; the entries of an array are named "name[i]"."""
    flat: dict[str, float] = {}
    for name, value in theta.items():
        for index, number in np.ndenumerate(value):
            flat[name + (f"[{', '.join(map(str, index))}]" if index else "")] = float(number)
    return flat


def build_model(posterior: Posterior) -> Any:
    """Return the PyMC model: priors and the marginal likelihood of the targets, the function integrated out."""
    pymc = import_pymc()
    count = len(posterior.y)
    with pymc.Model(model=None) as model:  # not a part of a model that the user is building
        symbols, noise = posterior.covariance.symbols(posterior.x)
        pymc.MvNormal("y", mu=np.zeros(count), cov=symbols + noise**2 * np.eye(count), observed=posterior.y)
    return model


def draw_posterior(
    posterior: Posterior,
    *,
    start: Mapping[str, Any],
    chains: int,
    draws: int,
    tune: int,
    target_accept: float,
    seed: int,
    progress: bool,
) -> Draws:
    """Run NUTS.

    Args:
        posterior: Covariance and data.
        start: Hyperparameters around which the chains start, each moved by up to 1 in unbounded space.
        chains: Number of chains, run side by side.
        draws: Draws to keep per chain.
        tune: Draws per chain for tuning the sampler, not kept.
        target_accept: Acceptance rate that the step size is tuned for.
        seed: Of the sampler; the same seed gives the same draws.
        progress: Whether to show nutpie's progress bar.

    Returns:
        The draws.

    Raises:
        DependencyError: If nutpie is not installed.
        InputError: If the sampler finds no place to start.
        KeyboardInterrupt: If it is interrupted.
    """
    nutpie = _import_nutpie()
    from threadpoolctl import threadpool_limits

    model = build_model(posterior)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # compilers talk about their own affairs
        compiled = nutpie.compile_pymc_model(model, initial_points=dict(start))
        try:
            trace = nutpie.sample(
                compiled,
                chains=chains,
                draws=draws,
                tune=tune,
                seed=seed % 2**64,
                target_accept=target_accept,
                save_warmup=False,
                progress_bar=progress,
            )
        except RuntimeError as error:
            raise InputError(
                f"x and y must let the sampler start somewhere, got: {error}; standardize both to mean 0 and "
                "standard deviation 1, or use inference='map'"
            ) from error
    values = {v.name: np.asarray(trace["posterior"][v.name].values, dtype=np.float64) for v in model.free_RVs}
    statistics = {name: np.asarray(trace["sample_stats"][name].values) for name in _STATISTICS}
    if any(array.shape[:2] != (chains, draws) for array in values.values()):
        raise KeyboardInterrupt  # nutpie returns what it has so far
    if not all(np.isfinite(array).all() for array in values.values()):
        raise InputError(
            "the priors and the data must let the sampler stay among finite numbers, got draws that are none; "
            "standardize x and y, or use inference='map'"
        )
    return Draws(values, statistics)


def _import_nutpie() -> Any:
    import_pymc()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import nutpie
    except ImportError as error:
        raise DependencyError(
            f"inference='nuts' needs the sampler nutpie, got: {error}; pip install 'mcdrop[nuts]', or use "
            "inference='map'"
        ) from error
    return nutpie
