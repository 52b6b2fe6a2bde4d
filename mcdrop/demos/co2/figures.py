"""The CO2 demo's figures: the tutorial's four panels, every model's band in ppm, and how honest the bands are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.demos.co2.results import GRID, NAMES, Results
from mcdrop.demos.co2.scores import Window
from mcdrop.plots import plot_band, plot_bands, plot_coverage, plot_shift
from mcdrop.predictive import RegressionPredictive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_coverage", "draw_crps", "draw_panels", "draw_ppm"]

Floats = NDArray[np.float64]

_TITLES = {
    "relu": "MC dropout with ReLU non-linearities",
    "tanh": "MC dropout with TanH non-linearities",
    "gp_se": "Gaussian process with SE covariance function",
}
_COLORS = {"relu": "#0072B2", "tanh": "#009E73", "gp_se": "#D55E00"}


def draw_panels(results: Results) -> "Figure":
    """Draw the tutorial's four panels: mean and two standard deviations on the standardized series."""
    import matplotlib.pyplot as plt

    shown = [name for name in ("gp_se", "relu", "tanh") if name in results.on_grid]
    figure, axes = plt.subplots(2, 2, figsize=(11, 6.5), sharex=True, sharey=True, layout="constrained")
    panels = [axes[0, 0], *(ax for ax in (axes[0, 1], axes[1, 0], axes[1, 1])[-len(shown) :])]
    axes[0, 0].plot(GRID, results.averaged["tanh"][: len(GRID), 0], color="#000000", linewidth=1.2)
    axes[0, 0].set_title("Standard dropout with weight averaging (TanH)")
    edges = []
    for ax, name in zip(panels[1:], shown, strict=True):
        mean, std = results.on_grid[name].mean[: len(GRID)], results.shown_std(name)[: len(GRID)]
        plot_band(RegressionPredictive(mean, std), GRID, ax=ax, color=_COLORS[name], title=_TITLES[name])
        edges += [mean - 2 * std, mean + 2 * std]
    for ax in panels:
        _draw_months(ax, results.split.train.x, results.split.train.y)
        ax.axvline(float(results.series.x.max()), color="0.35", linestyle="--", linewidth=1)
        ax.set_xlim(GRID[0], GRID[-1])
    axes[0, 0].set_ylim(min(edge.min() for edge in edges) - 1, max(edge.max() for edge in edges) + 1)
    for ax in axes[1]:
        ax.set_xlabel("time (standard deviations of the training months)")
    for ax in axes[:, 0]:
        ax.set_ylabel("CO$_2$, detrended (standard deviations)")
    if len(shown) < 3:
        axes[0, 1].remove()
    figure.legend(handles=_key(axes[0, 0]), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _draw_months(ax: "Axes", x: Floats, y: Floats) -> None:
    """Draw the training months: a line below the prediction, and dots above it."""
    ax.plot(x, y, color="0.35", linewidth=0.8, zorder=1.5)
    ax.plot(x, y, color="0.15", linestyle="", marker=".", markersize=2, zorder=3)


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
    """Draw every model's band, noise included, in ppm over the years, with the months it never saw."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    series, scale = results.series, results.series.scale
    years = scale.to_year(results.grid).ravel()
    predictions = {
        NAMES[name]: RegressionPredictive(
            mean=scale.to_ppm(results.grid, results.on_grid[name].mean),
            std=scale.std_to_ppm(results.on_grid[name].std),
            noise_std=float(scale.std_to_ppm(results.noise[name])),
        )
        for name in results.models
    }
    rows = -(-len(predictions) // 3)
    figure, axes = plt.subplots(
        rows, 3, figsize=(13, 3.6 * rows + 0.6), squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    plot_bands(predictions, years, axes=list(axes.flat), noise=True)
    observed = np.concatenate([series.ppm, series.ppm_future])
    for ax in axes.flat[: len(predictions)]:
        _draw_months(ax, series.year, series.ppm)
        ax.plot(series.year_future, series.ppm_future, color="#000000", linewidth=0.7, zorder=2.5)
        ax.axvline(float(series.year.max()), color="0.35", linestyle="--", linewidth=1)
        ax.set(xlim=(years[0], years[-1]), ylim=(float(observed.min()) - 10, float(observed.max()) + 25))
        ax.tick_params(labelbottom=True)
        if ax.get_legend() is not None:
            ax.get_legend().remove()
    for ax in axes.flat[len(predictions) :]:
        ax.remove()
    figure.supxlabel("year")
    figure.supylabel("CO$_2$ at Mauna Loa (ppm)")
    handles = _key(axes[0, 0])
    handles[0].set_label("months inside the data")
    handles.insert(1, Line2D([], [], color="#000000", linewidth=0.7, label="later months, never seen"))
    handles[-1].set_label("± 2 std, noise included")
    figure.legend(handles=handles, loc="outside upper center", ncols=5, frameon=False)
    return figure


def draw_coverage(windows: Sequence[Window]) -> "Figure":
    """Draw observed against nominal coverage in every window."""
    import matplotlib.pyplot as plt

    rows = -(-len(windows) // 2)
    figure, axes = plt.subplots(
        rows,
        min(2, len(windows)),
        figsize=(11, 4.2 * rows),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for ax, window in zip(axes.flat, windows, strict=False):
        title = f"{window.name.capitalize()} ({len(window.y)} months)"
        plot_coverage(window.coverage(), ax=ax, title=title, xlabel=None, ylabel=None)
        ax.get_legend().remove()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    labels[-1] = "95% of chance"  # its width depends on the number of months
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.supxlabel("nominal coverage of the central interval")
    figure.supylabel("observed coverage")
    return figure


def draw_crps(results: Results, window: Window) -> "Figure":
    """Draw the mean CRPS of every year after the data, on a logarithmic scale: a model may be a hundred times worse."""
    import matplotlib.pyplot as plt

    after = np.ceil(results.split.years_after - 1e-6).astype(int)
    after = after[after <= 20]
    years = np.unique(after)
    crps = {name: [values[after == year].mean() for year in years] for name, values in window.crps().items()}
    figure, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
    plot_shift(crps, years, ax=ax, xlabel="years after the training data", ylabel=f"mean CRPS ({window.unit})")
    ax.set_yscale("log")
    ax.set_xticks(years[::2] if len(years) > 10 else years)
    return figure
