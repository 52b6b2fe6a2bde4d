"""What the CO2 demo's models predict on the tutorial's grid and on the training months, and its numbers."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcdrop.baselines import GPRegressor
from mcdrop.datasets import CO2
from mcdrop.predictive import RegressionPredictive
from mcdrop.sampler import MCDropout

__all__ = ["GRID", "NAMES", "Results"]

Floats = NDArray[np.float64]

GRID = np.arange(-172, 351) / 100.0
"""The tutorial's test inputs: -1.72 to 3.5 in steps of 0.01, in standardized time."""

TAIL = np.arange(355, 500, 5) / 100.0
"""Further inputs, up to the last month of the record, for the figure in years."""

NAMES = {"relu": "ReLU", "tanh": "TanH"}


class Results:
    """Predictions of every model on the grid and on the training months."""

    def __init__(self, series: CO2, seed: int, passes: int) -> None:
        self.series, self.seed, self.passes = series, seed, passes
        self.grid = np.concatenate([GRID, TAIL])[:, None]
        self.on_grid: dict[str, RegressionPredictive] = {}
        self.on_data: dict[str, RegressionPredictive] = {}
        self.averaged: dict[str, Floats] = {}
        self.gp: dict[str, float] = {}

    def add_net(self, name: str, net: nn.Module, progress: bool) -> None:
        """Run a net's passes on the grid and on the training months."""
        model = MCDropout(net, task="regression")
        title = progress and f"Running the {NAMES[name]} net's passes"
        self.on_grid[name] = model.predict(self.grid, passes=self.passes, seed=self.seed, progress=title)
        self.on_data[name] = model.predict(
            self.series.x,
            passes=min(self.passes, 1000),
            seed=self.seed,
            progress=progress and f"Running the {NAMES[name]} net on the training months",
        )
        with torch.no_grad():
            averaged = net(torch.as_tensor(self.grid, dtype=torch.float32, device=next(net.parameters()).device))
        self.averaged[name] = averaged.cpu().numpy().astype(np.float64)

    def add_gp(self, progress: bool) -> None:
        """Fit the Gaussian process; the priors and the grid are for standardized data."""
        gp = GPRegressor("se", inference="map").fit(self.series.x, self.series.y, progress=progress)
        self.on_grid["gp"] = gp.predict(self.grid)
        self.on_data["gp"] = gp.predict(self.series.x)
        self.gp = {name: float(value) for name, value in gp.hyperparameters_.items()}

    def numbers(self, name: str) -> dict[str, float]:
        """Summarize one model: its error at the training months, its spread inside the data and at x = 3.5."""
        on_grid, on_data = self.on_grid[name], self.on_data[name]
        std = (on_grid.std if on_grid.noise_std is None else on_grid.total_std()).ravel()
        inside = (self.grid.ravel() >= self.series.x.min()) & (self.grid.ravel() <= self.series.x.max())
        median = float(np.median(std[inside]))
        far = float(std[int(np.argmin(np.abs(self.grid.ravel() - 3.5)))])
        return {
            "rmse_inside": float(np.sqrt(np.mean((on_data.mean - self.series.y) ** 2))),
            "std_median_inside": median,
            "std_smallest_inside": float(std[inside].min()),
            "std_largest_inside": float(std[inside].max()),
            "std_at_3.5": far,
            "ratio": far / median,
            "largest_mcse": float(on_grid.mcse.max()),
        }

    def arrays(self) -> dict[str, Floats]:
        """Return everything by the name it has in the HDF5 file."""
        arrays: dict[str, Floats] = {"x": self.grid, "train/x": self.series.x, "train/y": self.series.y}
        for name, pred in self.on_grid.items():
            arrays[f"{name}/mean"], arrays[f"{name}/std"] = pred.mean, pred.std
            if pred.noise_std is not None:
                arrays[f"{name}/noise_std"] = np.asarray(pred.noise_std, dtype=np.float64)
        for name, values in self.averaged.items():
            arrays[f"{name}/averaged"] = values
        return arrays
