"""Mean and spread of several regressions side by side, on one scale."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_count
from mcdrop.errors import InputError
from mcdrop.plots.band import plot_band
from mcdrop.plots.canvas import (
    COLORS,
    check_column,
    check_points,
    check_regression,
    set_labels,
    set_legend,
)
from mcdrop.plots.models import check_models, fold_name
from mcdrop.predictive import RegressionPredictive

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_bands"]

Floats = NDArray[np.float64]
Points = tuple[ArrayLike, ArrayLike]
"""Where points lie and what was observed there: x and y, each of shape (M,) or (M, 1)."""

_DATA: dict[str, Any] = {
    "color": "0.15",
    "marker": ".",
    "markersize": 3.5,
    "linestyle": "",
    "label": "training data",
}
_TRUTH: dict[str, Any] = {
    "color": "#000000",
    "marker": "x",
    "markersize": 4,
    "markeredgewidth": 0.8,
    "linestyle": "",
    "label": "data not seen in training",
}


def plot_bands(
    predictions: Mapping[str, RegressionPredictive],
    x: ArrayLike,
    *,
    axes: "Sequence[Axes] | NDArray[np.object_] | None" = None,
    data: Points | None = None,
    truth: Points | None = None,
    noise: bool = False,
    n_std: float = 2.0,
    output: int = 0,
    columns: int | None = None,
    ylim: tuple[float, float] | None = None,
    color: str = COLORS[0],
    xlabel: str | None = None,
    ylabel: str | None = None,
) -> NDArray[np.object_]:
    """Draw each model's mean and band in a panel of its own; the panels of a new figure share their scales.

    Args:
        predictions: Name of each model -> its prediction at the same N points.
        x: Where the points lie, shape (N,) or (N, 1), in any order.
        axes: Where to draw, at least one Axes per model, used in their order. Default: a new figure.
        data: Training points (x, y), drawn as dots in each panel.
        truth: Points that the models did not see (x, y), drawn as crosses in each panel.
        noise: Add each model's own observation noise to its band, so that it is where a new observation lies.
            Default: the bands show the epistemic part alone.
        n_std: Half width of the bands in standard deviations.
        output: Which of the D outputs to draw.
        columns: Panels per row of a new figure. Default: up to 3.
        ylim: Lower and upper end of the y axis, in units of y. Default: all that is drawn. One model that
            runs away presses the others flat; the ends cut it off.
        color: Color of lines and bands.
        xlabel: Name and unit of x.
        ylabel: Name and unit of y.

    Returns:
        The Axes of the M models, shape (M,); `axes[0].figure` is the figure.

    Raises:
        InputError: If a prediction or x does not fit or is not finite, a model has no noise of its own though
            `noise` asks for it, or there are too few Axes.

    Example:
        >>> x = np.linspace(0, 1, 5)
        >>> narrow = RegressionPredictive(mean=x, std=0.1 * np.ones(5))
        >>> wide = RegressionPredictive(mean=x, std=0.3 * np.ones(5))
        >>> [ax.get_title() for ax in plot_bands({"MC dropout": wide, "GP": narrow}, x, ylabel="CO2 (ppm)")]
        ['MC dropout', 'GP']
    """
    _check_predictions(predictions, x, noise=noise, n_std=n_std, output=output)
    limits = _check_limits(ylim)
    marks = [
        (*_check_pair(name, pair), style)
        for name, pair, style in (("data", data, _DATA), ("truth", truth, _TRUTH))
        if pair is not None
    ]
    width = _check_columns(columns, len(predictions))
    panels = _new_panels(len(predictions), width) if axes is None else _given_panels(axes, len(predictions))
    for ax, (name, pred) in zip(panels, predictions.items(), strict=True):
        own = pred.noise_std if noise else None
        plot_band(pred, x, ax=ax, n_std=n_std, noise_std=own, output=output, color=color, title=fold_name(name))
        for places, heights, style in marks:
            ax.plot(places, heights, zorder=2.5, **style)
        if limits is not None:
            ax.set_ylim(limits)
    for k, ax in enumerate(panels):
        bottom, left = (True, True) if axes is not None else (k + width >= len(panels), k % width == 0)
        set_labels(ax, xlabel=xlabel if bottom else None, ylabel=ylabel if left else None, title=None)
    band = {"facecolor": color, "alpha": 0.3, "label": f"± {n_std:g} std {'with' if noise else 'without'} noise"}
    _draw_key(panels, {"color": color, "label": "mean"}, band, [style for *_, style in marks], own=axes is None)
    return panels


def _check_predictions(
    predictions: Mapping[str, RegressionPredictive], x: ArrayLike, *, noise: bool, n_std: object, output: int
) -> None:
    """Refuse what could not be drawn, before a figure is made."""
    check_models("predictions", predictions, "RegressionPredictive", RegressionPredictive)
    if isinstance(n_std, bool) or not isinstance(n_std, int | float | np.number) or not 0 < n_std < np.inf:
        raise InputError(f"n_std must be a number above 0, got {n_std!r}; 2 covers about 95%")
    for name, pred in predictions.items():
        check_points(x, len(pred))
        if noise and pred.noise_std is None:
            raise InputError(
                f"noise=True needs each model's observation noise, got none in {name!r}; "
                "set it with pred.with_noise(...) or leave noise out"
            )
        own = pred.noise_std if noise else None
        check_regression(pred, name=f"predictions[{name!r}]", output=output, noise_std=own)


def _draw_key(
    panels: NDArray[np.object_], line: dict[str, Any], band: dict[str, Any], marks: list[dict[str, Any]], *, own: bool
) -> None:
    """Draw one legend for all panels: below them in a figure of our own, else to the right of the last."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [Line2D([], [], **line), Patch(linewidth=0, **band), *(Line2D([], [], **style) for style in marks)]
    if own:
        columns = min(len(handles), int(panels[0].figure.get_figwidth() // 2))
        panels[0].figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
    else:
        set_legend(panels[-1], handles=handles)


def _check_columns(columns: int | None, count: int) -> int:
    """Return how many panels stand in a row."""
    if columns is None:
        return min(count, 3)
    check_count("columns", columns, least=1, why="a row has a panel")
    return min(count, columns)


def _check_limits(ylim: object) -> tuple[float, float] | None:
    """Return the ends of the y axis as floats, if there are any."""
    if ylim is None:
        return None
    ends = check_column(ylim, 2, name="ylim", each="end")  # type: ignore[arg-type]  # refused if no numbers
    if not ends[0] < ends[1]:
        raise InputError(f"ylim must be a lower and an upper end, got {ylim!r}; give the lower one first")
    return float(ends[0]), float(ends[1])


def _check_pair(name: str, pair: object) -> tuple[Floats, Floats]:
    """Return the x and y of points, checked to be as many."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(f"{name} must be a pair (x, y), got {type(pair).__name__}; give two arrays of one length")
    places = check_column(pair[0], None, name=f"x of {name}", each="point")
    return places, check_column(pair[1], len(places), name=f"y of {name}", each="point")


def _new_panels(count: int, width: int) -> NDArray[np.object_]:
    """Return the Axes of a new figure, one per model, that share their scales."""
    import matplotlib.pyplot as plt

    rows = -(-count // width)
    size = (max(5.0, 3.8 * width), 2.9 * rows + 0.5)
    figure, grid = plt.subplots(
        rows, width, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for ax in grid.flat[count:]:
        figure.delaxes(ax)
    panels: NDArray[np.object_] = grid.ravel()[:count]
    for ax in panels[-width:]:
        ax.tick_params(labelbottom=True)  # also where the row below ends earlier
    return panels


def _given_panels(axes: object, count: int) -> NDArray[np.object_]:
    """Return the first Axes of those given, one per model."""
    from matplotlib.axes import Axes

    panels = np.ravel(np.asarray(axes, dtype=object))
    if len(panels) < count or not all(isinstance(ax, Axes) for ax in panels):
        raise InputError(
            f"axes must be at least {count} Axes, one per model, got {len(panels)} value(s); "
            "make them with matplotlib.pyplot.subplots or leave them out"
        )
    return panels[:count]
