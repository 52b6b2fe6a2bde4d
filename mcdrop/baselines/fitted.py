"""What every baseline has in common: times, hyperparameters with their units, and a file to keep them in."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from mcdrop import storage
from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive

__all__ = ["Baseline"]


class Baseline(ABC):
    """A model that is fitted and then predicts with the same result types as MC dropout.

    Attributes:
        hyperparameters_: After `fit`: the learned numbers by name.
        units_: After `fit`: the unit of each, "1" where there is none.
        fit_seconds_: After `fit`: how long it took.
        predict_seconds_: After `predict`: how long the last prediction took.
    """

    hyperparameters_: dict[str, float]
    units_: dict[str, str]
    fit_seconds_: float
    predict_seconds_: float

    @abstractmethod
    def predict(self, x: Any) -> RegressionPredictive | ClassificationPredictive:
        """Predict at new points."""

    def summary(self) -> str:
        """Return what was learned and how long it took, as lines of text.

        Raises:
            InputError: If `fit` has not been called.
        """
        self._require_fit("summary")
        lines = [f"{self!r}: fitted in {self.fit_seconds_:.3g} s"]
        if hasattr(self, "predict_seconds_"):
            lines[0] += f", last prediction in {self.predict_seconds_:.3g} s"
        width = max((len(name) for name in self.hyperparameters_), default=0)
        for name, value in self.hyperparameters_.items():
            unit = self.units_[name]
            lines.append(f"  {name:<{width}}  {value:.4g}" + ("" if unit == "1" else f" {unit}"))
        return "\n".join(lines)

    def save(self, path: str | Path) -> Path:
        """Write the fitted baseline to an HDF5 file that `mcdrop.load` and `arviz.from_netcdf` open.

        Args:
            path: The file; an old one is replaced once the new one is whole.

        Returns:
            The path.

        Raises:
            InputError: If `fit` has not been called.
            OutputError: If the file cannot be written.
        """
        self._require_fit("save")
        groups, attributes = self._contents()
        own = next(kind for kind in type(self).__mro__ if kind.__module__.startswith(__package__))  # not a subclass
        return storage.write(path, own.__name__, groups, attributes)

    @classmethod
    @abstractmethod
    def from_archive(cls, archive: storage.Archive) -> Self:
        """Make the fitted baseline that was saved; `mcdrop.load` calls this."""

    @abstractmethod
    def _contents(self) -> tuple[Mapping[str, Mapping[str, storage.Variable]], Mapping[str, Any]]:
        """Return the groups of variables and the attributes that make up the file."""

    def _require_fit(self, action: str) -> None:
        if not hasattr(self, "hyperparameters_"):
            name = type(self).__name__
            raise InputError(f"{action} needs a fitted {name}, got one without data; call fit(x, y) first")
