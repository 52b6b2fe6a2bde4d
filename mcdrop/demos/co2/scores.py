"""Who wins where on the CO2 record: every model scored inside the data, and 1, 5 and 20 years after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.comparison import Comparison, compare
from mcdrop.demos.co2.months import Months
from mcdrop.demos.co2.results import NAMES, Results
from mcdrop.demos.report import Table
from mcdrop.predictive import RegressionPredictive, at_points
from mcdrop.scores import CoverageCurve, coverage_curve, crps_gaussian, pit

__all__ = ["Window", "score_windows"]

Floats = NDArray[np.float64]

PRINTED = ("RMSE", "CRPS", "NLL", "coverage 95%")
"""What the printed tables show; the summary holds all scores."""

INSIDE = "inside the data"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of months and how well every model predicts it.

    Attributes:
        name: Which stretch.
        unit: What concentrations are measured in.
        y: What was observed, shape (N, 1).
        predictions: By the model's name, noise included.
        table: Their scores.
    """

    name: str
    unit: str
    y: Floats
    predictions: Mapping[str, RegressionPredictive]
    table: Comparison

    def coverage(self) -> dict[str, CoverageCurve]:
        """Return observed against nominal coverage by model."""
        return {
            name: coverage_curve(pit(self.y, pred.mean, std=pred.total_std()))
            for name, pred in self.predictions.items()
        }

    def crps(self) -> dict[str, Floats]:
        """Return the CRPS of every month by model, shape (N,)."""
        return {
            name: crps_gaussian(self.y, pred.mean, std=pred.total_std()).ravel()
            for name, pred in self.predictions.items()
        }

    def report(self) -> Table:
        """Return the chief scores to print: the best marked *, what is within noise of it ~."""
        units = {score: unit.replace("units of y", self.unit) for score, unit in self.table.attrs["units"].items()}
        columns = tuple(f"{score} ({units[score]})" for score in PRINTED)
        cells = self.table.cells()[list(PRINTED)]
        rows = tuple((str(model), *map(str, texts)) for model, *texts in cells.itertuples())
        return Table(f"{self.name.capitalize()}: {len(self.y)} unseen months", ("model", *columns), rows)

    def verdict(self) -> str:
        """Return who wins, by the scores that judge mean and spread together, and how honest the winner is."""
        winner = self._winner("CRPS")
        tied = [str(model) for model in self.table.index[self.table.tied["CRPS"]]]
        sentence = (
            f"{self.name.capitalize()}: {winner} wins (CRPS {self.table.at[winner, 'CRPS']:.3g} {self.unit}; its 95% "
            f"intervals hold {self.table.at[winner, 'coverage 95%']:.0%} of the months)"
        )
        if tied:
            sentence += f", within noise of {' and '.join(tied)}"
        if self._winner("NLL") != winner:
            sentence += f"; by NLL, {self._winner('NLL')} wins"
        return sentence + "."

    def _winner(self, score: str) -> str:
        return str(self.table.index[self.table.best[score]][0])

    def numbers(self) -> dict[str, Any]:
        """Return scores and standard errors as plain data."""
        return {
            str(model): {
                str(score): {"value": float(value), "error": float(self.table.errors.at[model, score])}
                for score, value in row.items()
            }
            for model, row in self.table.iterrows()
        }


def score_windows(results: Results) -> list[Window]:
    """Score all models in every window, in ppm where the record has a calendar."""
    split = results.split
    windows = [_score(results, INSIDE, split.inside, results.on_inside)]
    for name, (months, chosen) in split.windows().items():
        predictions = {model: at_points(pred, np.flatnonzero(chosen)) for model, pred in results.on_after.items()}
        years = np.ceil(split.years_after[chosen] - 1e-6).astype(np.int64)
        windows.append(_score(results, name, months, predictions, years if len(np.unique(years)) > 1 else None))
    return windows


def _score(
    results: Results,
    name: str,
    months: Months,
    predictions: Mapping[str, RegressionPredictive],
    years: NDArray[np.int64] | None = None,
) -> Window:
    """Score all models in one window; later months of one year err together, and are resampled together."""
    scale = results.series.standardizer
    unit, y = "standard deviations", months.y
    named = {NAMES[model]: predictions[model] for model in results.models}
    if scale is not None:
        unit, y = "ppm", scale.to_ppm(months.x, months.y)
        named = {
            model: RegressionPredictive(
                mean=scale.to_ppm(months.x, pred.mean),
                std=scale.std_to_ppm(pred.std),
                passes=pred.passes,
                noise_std=float(scale.std_to_ppm(pred.noise_std or 0.0)),
            )
            for model, pred in named.items()
        }
    return Window(name, unit, y, named, compare(named, y, groups=years, seed=results.seed))
