"""What all trainings of the demo gave, and the numbers that tables, figures and sentences are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.demos.regularization.averaging import Averaging
from mcdrop.demos.regularization.runs import Run

__all__ = ["Results"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Results:
    """The runs of every net, one per seed, and the averages over passes.

    Attributes:
        runs: Name of each net -> its runs, in the order of the seeds; the same seeds for all.
        averagings: Name of a net -> Monte Carlo averaging beside weight averaging, of its first run.
        decays: Weight decays of the exercise.
        exercise_on: How many digits the exercises' nets learned from; 0 if they were left out.
    """

    runs: Mapping[str, tuple[Run, ...]]
    averagings: Mapping[str, Averaging]
    decays: tuple[float, ...]
    exercise_on: int = 0

    @property
    def exercises(self) -> bool:
        """Whether the exercises' nets are among the runs."""
        return self.exercise_on > 0

    @property
    def repeats(self) -> int:
        """Number of seeds R."""
        return len(next(iter(self.runs.values())))

    @property
    def tested_on(self) -> int:
        """Number of held-out digits N."""
        return len(next(iter(self.runs.values()))[0].wrong)

    @property
    def errors_label(self) -> str:
        """What an axis of errors is called."""
        return f"errors on {self.tested_on:,} held-out digits"

    def curves(self, name: str) -> Floats:
        """Return the errors after every epoch, as counts, shape (R, E)."""
        return np.stack([run.error for run in self.runs[name]]) * self.tested_on

    def wrong(self, name: str) -> NDArray[np.bool_]:
        """Return which digits are wrong at the end, shape (R, N)."""
        wrong: NDArray[np.bool_] = np.stack([run.wrong for run in self.runs[name]])
        return wrong

    def final(self, name: str) -> Floats:
        """Return the errors at the end, as counts, shape (R,)."""
        return np.asarray(self.wrong(name).sum(axis=1), dtype=np.float64)

    def variance(self, name: str, layer: str) -> Floats:
        """Return the variance of a layer's activations after every epoch, shape (R, E)."""
        return np.stack([run.variance[layer] for run in self.runs[name]])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything by the name it has in the HDF5 file."""
        arrays: dict[str, NDArray[Any]] = {}
        for name, runs in self.runs.items():
            for key in ("error", "nll", "loss", "wrong"):
                arrays[f"{name}/{key}"] = np.stack([getattr(run, key) for run in runs])
            for layer in runs[0].variance:
                arrays[f"{name}/variance/{layer.replace('/', '_')}"] = self.variance(name, layer)
        for name, averaging in self.averagings.items():
            for key in ("passes", "errors", "nll", "weight_averaging_errors", "weight_averaging_nll"):
                arrays[f"averaging/{name}/{key}"] = np.asarray(getattr(averaging, key))
        return arrays

    def plus_minus(self, name: str) -> str:
        """Return the final errors as text: mean and standard deviation over the seeds."""
        errors = self.final(name)
        return f"{errors.mean():.1f} ± {errors.std(ddof=1):.1f}" if len(errors) > 1 else f"{errors[0]:.0f}"
