"""The CO2 demo's figures: the tutorial's four panels, and the same bands in ppm over the years."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.demos.co2_results import GRID, Results
from mcdrop.plots import plot_band
from mcdrop.predictive import RegressionPredictive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_panels", "draw_ppm"]

Floats = NDArray[np.float64]

_TITLES = {
    "relu": "MC dropout with ReLU non-linearities",
    "tanh": "MC dropout with TanH non-linearities",
    "gp": "Gaussian process with SE covariance function",
}
_COLORS = {"relu": "#0072B2", "tanh": "#009E73", "gp": "#D55E00"}


def _band(results: Results, name: str, count: int) -> tuple[RegressionPredictive, float | Floats | None]:
    """Return the first points of a model's prediction, and the noise its band shall include."""
    pred = results.on_grid[name]
    cut = RegressionPredictive(pred.mean[:count], pred.std[:count], passes=pred.passes, noise_std=pred.noise_std)
    return cut, pred.noise_std


def draw_panels(results: Results) -> "Figure":
    """Draw the tutorial's four panels: mean and two standard deviations on the standardized series."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 6.5), sharex=True, sharey=True, layout="constrained")
    axes[0, 0].plot(GRID, results.averaged["tanh"][: len(GRID), 0], color="#000000", linewidth=1.2)
    axes[0, 0].set_title("Standard dropout with weight averaging (TanH)")
    for ax, name in zip((axes[0, 1], axes[1, 0], axes[1, 1]), ("gp", "relu", "tanh"), strict=True):
        pred, noise = _band(results, name, len(GRID))
        plot_band(pred, GRID, ax=ax, noise_std=noise, color=_COLORS[name], title=_TITLES[name])
    for ax in axes.flat:
        _draw_months(ax, results.series.x, results.series.y)
        ax.axvline(float(results.series.x.max()), color="0.35", linestyle="--", linewidth=1)
        ax.set_xlim(GRID[0], GRID[-1])
    edges = [_edge(results, name, sign)[: len(GRID)] for name in results.on_grid for sign in (-1, 1)]
    axes[0, 0].set_ylim(min(edge.min() for edge in edges) - 1, max(edge.max() for edge in edges) + 1)
    for ax in axes[1]:
        ax.set_xlabel("time (standard deviations of the training months)")
    for ax in axes[:, 0]:
        ax.set_ylabel("CO$_2$, detrended (standard deviations)")
    figure.legend(handles=_key(axes[0, 0]), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _draw_months(ax: "Axes", x: Floats, y: Floats) -> None:
    """Draw the training months: a line below the prediction, and dots above it."""
    ax.plot(x, y, color="0.35", linewidth=0.8, zorder=1.5)
    ax.plot(x, y, color="0.15", linestyle="", marker=".", markersize=2, zorder=3)


def _edge(results: Results, name: str, sign: int) -> Floats:
    pred = results.on_grid[name]
    std = pred.std if pred.noise_std is None else pred.total_std()
    return pred.mean + sign * 2 * std


def _key(ax: "Axes") -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color="0.35", linewidth=0.8, marker=".", markersize=2, label="training months"),
        Line2D([], [], color="0.35", linestyle="--", linewidth=1, label="end of the training data"),
        Line2D([], [], color="0.1", linewidth=1.5, label="prediction"),
        Patch(facecolor="0.1", alpha=0.3, label="± 2 standard deviations"),
    ]


def draw_ppm(results: Results) -> "Figure":
    """Draw each model's band in ppm over the years, with the months it never saw."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    series, scale = results.series, results.series.scale
    years = scale.to_year(results.grid).ravel()
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), sharex=True, sharey=True, layout="constrained")
    for ax, name in zip(axes, ("gp", "relu", "tanh"), strict=True):
        pred = results.on_grid[name]
        std = pred.std if pred.noise_std is None else pred.total_std()
        in_ppm = RegressionPredictive(scale.to_ppm(results.grid, pred.mean), scale.std_to_ppm(std))
        plot_band(in_ppm, years, ax=ax, color=_COLORS[name], title=_TITLES[name], xlabel="year")
        _draw_months(ax, series.year, series.ppm)
        ax.plot(series.year_future, series.ppm_future, color="#000000", linewidth=0.8, zorder=2.5)
        ax.axvline(float(series.year.max()), color="0.35", linestyle="--", linewidth=1)
        ax.set_xlim(years[0], years[-1])
    axes[0].set_ylabel("CO$_2$ at Mauna Loa (ppm)")
    handles = _key(axes[0])
    handles.insert(1, Line2D([], [], color="#000000", linewidth=0.8, label="later months, never seen"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    return figure
