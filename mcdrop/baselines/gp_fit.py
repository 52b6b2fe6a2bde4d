"""What fitting a Gaussian process leaves behind, and how it goes to a file and comes back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from mcdrop.baselines.covariance import make_covariance
from mcdrop.baselines.gp_posterior import Conditioned, Posterior
from mcdrop.baselines.nuts import Draws
from mcdrop.errors import InputError
from mcdrop.storage import Archive, Variable

__all__ = ["Fit"]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The data, and the hyperparameters: one best set (MAP) or draws (NUTS).

    Attributes:
        posterior: Covariance and training data.
        trailing: Shape of one target: () or (1,).
        draws: The draws of NUTS, or the one best set.
        process: The process at the best set, ready to predict; None after NUTS.
    """

    posterior: Posterior
    trailing: tuple[int, ...]
    draws: Draws
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
            yield self.posterior.given(self.draws.theta(number))

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
            "constant_data": {"x": Variable(("point", "input"), self.posterior.x, "units of x")},
            "observed_data": {"y": Variable(("point",), self.posterior.y, "units of y")},
        }

    @classmethod
    def from_archive(cls, archive: Archive, kernel: Any, *, period: float | None, sampled: bool) -> Self:
        """Make the fit that a file holds.

        Args:
            archive: What the file holds.
            kernel: The covariance that was fitted.
            period: Its period.
            sampled: Whether the hyperparameters are draws of NUTS.

        Raises:
            InputError: If the covariance has other hyperparameters than those in the file.
        """
        x, y = archive.variable("constant_data", "x").values, archive.variable("observed_data", "y").values
        covariance = make_covariance(kernel, x.shape[1], period=period)
        values = {name: part.values for name, part in archive.groups["posterior"].items()}
        if set(covariance.units) != set(values):
            raise InputError(
                f"kernel must have the hyperparameters {', '.join(sorted(values))} of the fit in {archive.path}, got "
                f"{', '.join(sorted(covariance.units))}; pass the covariance that was fitted"
            )
        statistics = {name: part.values for name, part in archive.groups.get("sample_stats", {}).items()}
        draws = Draws({name: values[name] for name in covariance.units}, statistics)
        posterior = Posterior(covariance, x, y)
        process = None if sampled else posterior.given(draws.theta(0))
        return cls(posterior, tuple(archive.attributes["trailing"]), draws, process)
