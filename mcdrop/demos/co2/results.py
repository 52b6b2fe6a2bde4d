"""What the CO2 demo's models predict: on the tutorial's grid, and in the months that they are judged by."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcdrop.baselines import GPRegressor
from mcdrop.datasets import CO2
from mcdrop.demos.co2.months import split_months
from mcdrop.errors import ConvergenceWarning
from mcdrop.predictive import RegressionPredictive, at_points
from mcdrop.sampler import MCDropout

__all__ = ["GRID", "NAMES", "Results"]

Floats = NDArray[np.float64]

GRID = np.arange(-172, 351) / 100.0
"""The tutorial's test inputs: -1.72 to 3.5 in steps of 0.01, in standardized time."""

TAIL = np.arange(352, 500, 2) / 100.0
"""Further inputs, up to the last month of the record, for the figure in years."""

NAMES = {
    "relu": "MC dropout (ReLU)",
    "tanh": "MC dropout (TanH)",
    "gp_se": "GP (SE)",
    "gp_structured": "GP (structured)",
    "gp_arccos": "GP (arc-cosine)",
}
"""All models by the name they have in files."""

SCORED_PASSES = 1000
"""Passes for the months that are scored; the grid gets all."""


class Results:
    """Predictions of every model, in standardized units.

    Attributes:
        series: The record.
        split: Its months by purpose.
        grid: The inputs of the figures, shape (N, 1).
        on_grid: Prediction on the grid by model.
        on_train: Prediction in the training months by model.
        on_inside: Prediction in the held-out months inside the data by model, noise included.
        on_after: Prediction in the months after the data by model, noise included.
        averaged: What each net says on the grid with its dropout off.
        noise: Observation noise of every model, in standard deviations of the series.
        gps: The fitted Gaussian processes by model.
        complaints: What the chains of NUTS complain of, by model.
    """

    def __init__(self, series: CO2, seed: int, passes: int) -> None:
        self.series, self.seed, self.passes = series, seed, passes
        self.split = split_months(series)
        self.grid = np.concatenate([GRID, TAIL])[:, None]
        self.on_grid: dict[str, RegressionPredictive] = {}
        self.on_train: dict[str, RegressionPredictive] = {}
        self.on_inside: dict[str, RegressionPredictive] = {}
        self.on_after: dict[str, RegressionPredictive] = {}
        self.averaged: dict[str, Floats] = {}
        self.noise: dict[str, float] = {}
        self.gps: dict[str, GPRegressor] = {}
        self.complaints: dict[str, str] = {}

    @property
    def models(self) -> list[str]:
        """The models that have run, nets first, whatever the order they ran in."""
        return [name for name in NAMES if name in self.on_grid]

    def add_net(self, name: str, net: nn.Module, progress: bool) -> None:
        """Run a net's passes, with the noise that makes the validation months likeliest."""
        model, few = MCDropout(net, task="regression"), min(self.passes, SCORED_PASSES)
        held = self.split.validation
        tau = model.fit_precision(held.x, held.y, passes=few, seed=self.seed)
        self.noise[name] = tau.noise_std
        title = progress and f"Running {NAMES[name]}"
        self.on_grid[name] = model.predict(self.grid, passes=self.passes, seed=self.seed, progress=title)
        title = progress and f"Scoring {NAMES[name]}"
        scored = model.predict(self._scored(), passes=few, seed=self.seed, progress=title)
        self._take(name, scored.with_noise(tau.noise_std))
        with torch.no_grad():
            averaged = net(torch.as_tensor(self.grid, dtype=torch.float32, device=next(net.parameters()).device))
        self.averaged[name] = averaged.cpu().numpy().astype(np.float64)

    def add_gp(self, name: str, gp: GPRegressor, progress: bool) -> None:
        """Fit a Gaussian process to the training months and predict."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the report says it
            gp.fit(self.split.train.x, self.split.train.y, progress=progress and f"Fitting {NAMES[name]}")
        if gp.inference == "nuts" and not gp.diagnosis_.converged:
            self.complaints[name] = gp.diagnosis_.complaint()
        points = np.concatenate([self.grid, self._scored()])
        pred = gp.predict(points, progress=progress and f"Predicting with {NAMES[name]}")
        self.on_grid[name] = _cut(pred, slice(0, len(self.grid)))
        self._take(name, _cut(pred, slice(len(self.grid), None)))
        self.noise[name] = float(np.max(pred.noise_std or 0.0))
        self.gps[name] = gp

    def numbers(self, name: str) -> dict[str, Any]:
        """Summarize one model: its error in the training months, its spread inside the data and at x = 3.5."""
        on_grid, on_train = self.on_grid[name], self.on_train[name]
        std = self.shown_std(name).ravel()
        inside = (self.grid.ravel() >= self.series.x.min()) & (self.grid.ravel() <= self.series.x.max())
        median = float(np.median(std[inside]))
        far = float(std[int(np.argmin(np.abs(self.grid.ravel() - 3.5)))])
        numbers: dict[str, Any] = {
            "rmse_inside": float(np.sqrt(np.mean((on_train.mean - self.split.train.y) ** 2))),
            "std_median_inside": median,
            "std_smallest_inside": float(std[inside].min()),
            "std_largest_inside": float(std[inside].max()),
            "std_at_3.5": far,
            "ratio": far / median,
            "largest_mcse": float(on_grid.mcse.max()),
            "noise_std": self.noise[name],
        }
        if name in self.gps:
            gp = self.gps[name]
            numbers |= {"hyperparameters": gp.hyperparameters_, "units": gp.units_, "fit_seconds": gp.fit_seconds_}
        return numbers

    def shown_std(self, name: str) -> Floats:
        """Return the spread that the tutorial draws: of a net's passes, or of an observation under a GP."""
        pred = self.on_grid[name]
        return pred.total_std() if name in self.gps else pred.std

    def arrays(self) -> dict[str, Floats]:
        """Return everything by the name it has in the HDF5 file."""
        arrays: dict[str, Floats] = {"x": self.grid, "after/x": self.split.after.x, "after/y": self.split.after.y}
        for part in ("train", "validation", "inside"):
            months = getattr(self.split, part)
            arrays[f"{part}/x"], arrays[f"{part}/y"] = months.x, months.y
        for name in self.models:
            pred = self.on_grid[name]
            arrays[f"{name}/mean"], arrays[f"{name}/std"] = pred.mean, pred.std
            arrays[f"{name}/noise_std"] = np.asarray(self.noise[name])
            for part, scored in (("inside", self.on_inside[name]), ("after", self.on_after[name])):
                arrays[f"{name}/{part}/mean"], arrays[f"{name}/{part}/std"] = scored.mean, scored.std
        for name, values in self.averaged.items():
            arrays[f"{name}/averaged"] = values
        return arrays

    def _scored(self) -> Floats:
        return np.concatenate([self.split.train.x, self.split.inside.x, self.split.after.x])

    def _take(self, name: str, pred: RegressionPredictive) -> None:
        """Cut a prediction of all scored months into its parts."""
        first, second = len(self.split.train), len(self.split.train) + len(self.split.inside)
        self.on_train[name] = _cut(pred, slice(0, first))
        self.on_inside[name] = _cut(pred, slice(first, second))
        self.on_after[name] = _cut(pred, slice(second, None))


def _cut(pred: RegressionPredictive, rows: slice) -> RegressionPredictive:
    """Return some points of a prediction."""
    return at_points(pred, np.arange(len(pred))[rows])
