"""What fitting a Gaussian process leaves behind, and how it goes to a file and comes back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mcdrop.baselines.covariance import make_covariance
from mcdrop.baselines.gp_posterior import Conditioned, Posterior
from mcdrop.baselines.nuts import Draws
from mcdrop.errors import InputError
from mcdrop.storage import Archive, Variable

__all__ = ["Fit"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The data, and the hyperparameters: one best set (MAP) or draws (NUTS).

    Attributes:
        posterior: Covariance and training data.
        trailing: Shape of one target: () or (1,).
        draws: The draws of NUTS, or the one best set.
        options: How it was fitted, as plain data: the regressor's own may be changed afterwards.
        process: The process at the best set, ready to predict; None after NUTS.
    """

    posterior: Posterior
    trailing: tuple[int, ...]
    draws: Draws
    options: Mapping[str, Any]
    process: Conditioned | None = None

    @property
    def sampled(self) -> bool:
        """Whether there are draws of NUTS."""
        return self.process is None

    def processes(self) -> Iterator[Conditioned]:
        """Condition on the data with each set of hyperparameters in turn."""
        if self.process is not None:
            yield self.process
            return
        for number in range(len(self.draws)):
            yield self.posterior.surely_given(self.draws.theta(number))

    def groups(self) -> dict[str, dict[str, Variable]]:
        """Return hyperparameters, what the sampler says of them, and the data, under ArviZ's names."""
        units = self.posterior.covariance.units
        hyperparameters = {
            name: Variable(self.draws.dims(name), values, units[name]) for name, values in self.draws.posterior.items()
        }
        statistics = {name: Variable(("chain", "draw"), values) for name, values in self.draws.statistics.items()}
        return {
            "posterior": hyperparameters,
            "sample_stats": statistics,
            "constant_data": {
                "x": Variable(("point", "input"), self.posterior.x, "units of x"),
                "kernel_trace": Variable(("traced",), self._trace(), "squared units of y"),
            },
            "observed_data": {"y": Variable(("point",), self.posterior.y, "units of y")},
        }

    def _trace(self) -> Floats:
        """Return what the covariance says of the first points at the first hyperparameters, to know it by."""
        x = self.posterior.x[:8]
        return self.posterior.covariance.cross(x, x[:1], self.draws.theta(0)).ravel()

    @classmethod
    def from_archive(cls, archive: Archive, kernel: Any, options: Mapping[str, Any]) -> Self:
        """Make the fit that a file holds.

        Args:
            archive: What the file holds.
            kernel: The covariance that was fitted.
            options: How it was fitted.

        Raises:
            InputError: If the covariance has other hyperparameters than those in the file, or other values.
        """
        x, y = archive.variable("constant_data", "x").values, archive.variable("observed_data", "y").values
        covariance = make_covariance(kernel, x.shape[1], period=options["period"])
        values = {name: part.values for name, part in archive.groups["posterior"].items()}
        if set(covariance.units) != set(values):
            raise InputError(
                f"kernel must have the hyperparameters {', '.join(sorted(values))} of the fit in {archive.path}, got "
                f"{', '.join(sorted(covariance.units))}; pass the covariance that was fitted"
            )
        statistics = {name: part.values for name, part in archive.groups.get("sample_stats", {}).items()}
        draws = Draws({name: values[name] for name in covariance.units}, statistics)
        posterior = Posterior(covariance, x, y)
        process = None if options["inference"] == "nuts" else posterior.given(draws.theta(0))
        fit = cls(posterior, tuple(archive.attributes["trailing"]), draws, options, process)
        if not np.allclose(fit._trace(), archive.variable("constant_data", "kernel_trace").values, rtol=1e-6):
            raise InputError(
                f"kernel must be the covariance of the fit in {archive.path}, got one that gives other values for the "
                "same hyperparameters; pass the covariance that was fitted"
            )
        return fit
