"""Mean and spread of a regression at more points than a figure has room for."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_count
from mcdrop.errors import InputError
from mcdrop.plots.canvas import COLORS, check_points, check_regression, get_axes, set_labels, set_legend
from mcdrop.predictive import RegressionPredictive

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_envelope"]

Floats = NDArray[np.float64]

_INSIDE = (0.05, 0.95)
"""Quantiles at the edges of the bands: a stretch's few extreme points would be all that is seen of many."""


def plot_envelope(
    pred: RegressionPredictive,
    x: ArrayLike,
    *,
    ax: "Axes | None" = None,
    stretches: int = 400,
    n_std: float = 2.0,
    noise_std: ArrayLike | None = None,
    output: int = 0,
    color: str = COLORS[0],
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> "Axes":
    """Draw what `plot_band` would, summed up in stretches of x: for millions of points.

    The stretches hold as many points each, so that a few far away do not take the room of all others; equal x stay
    together. Of each stretch, the line shows the median of the means; the dark band goes from their 5% to their 95%
    quantile; the light one from the 5% quantile of mean - `n_std` std to the 95% quantile of mean + `n_std` std.

    Args:
        pred: A prediction at N points, mean of shape (N,) or (N, D).
        x: Where the points lie, shape (N,) or (N, 1), in any order.
        ax: Where to draw. Default: a new figure.
        stretches: Into how many parts x is cut, at least 2; fewer where there are not as many different x, more where
            some x have many points and so a part of their own.
        n_std: Half width of the light band in standard deviations.
        noise_std: Observation noise to add to that band, in units of y. Default: none.
        output: Which of the D outputs to draw.
        color: Color of line and bands.
        xlabel: Name and unit of x.
        ylabel: Name and unit of y.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `pred` is not a RegressionPredictive of finite numbers, x does not fit it or is the same
            everywhere, there is no such output, or an option is not what is described here.

    Example:
        >>> pred = RegressionPredictive(mean=np.arange(6.0), std=np.ones(6))
        >>> plot_envelope(pred, np.arange(6.0), stretches=2).lines[0].get_ydata()
        array([1., 4.])
    """
    mean, std = check_regression(pred, name="pred", output=output, noise_std=noise_std)
    check_count("stretches", stretches, least=2, why="there is something to draw a line between")
    if isinstance(n_std, bool) or not isinstance(n_std, int | float | np.number) or not 0 < n_std < np.inf:
        raise InputError(f"n_std must be a number above 0, got {n_std!r}; 2 covers about 95%")
    points, order = check_points(x, len(pred))
    if points[0] == points[-1]:
        raise InputError(
            f"x must differ between points, got {points[0]:g} at all {len(points):,}; give what varies, such as the "
            "number of each row"
        )
    parts = _cut(points, stretches)
    low, high = _INSIDE
    places = _quantiles(points, parts, 0.5)
    mean, std = mean[order], std[order]
    ax = get_axes(ax, figsize=(8.5, 3.8))
    spread = f"± {n_std:g} std around it" if noise_std is None else f"± {n_std:g} std with noise\naround it"
    lower, upper = _quantiles(mean - n_std * std, parts, low), _quantiles(mean + n_std * std, parts, high)
    ax.fill_between(places, lower, upper, alpha=0.2, color=color, linewidth=0, label=spread)
    lower, upper = _quantiles(mean, parts, low), _quantiles(mean, parts, high)
    core = f"mean: {low:.0%} to {high:.0%}\nof a stretch"
    ax.fill_between(places, lower, upper, alpha=0.45, color=color, linewidth=0, label=core)
    ax.plot(places, _quantiles(mean, parts, 0.5), color=color, linewidth=1.2, label="mean: median\nof a stretch")
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    set_legend(ax, title=f"{len(parts):,} stretches,\n{len(points):,} points")
    return ax


def _cut(points: Floats, stretches: int) -> list[slice]:
    """Return sorted points in stretches of equally many; a value of more points than that is a stretch of its own."""
    size = len(points) / stretches
    inner = points[(np.arange(1, stretches) * size).astype(np.intp)]
    starts, stops = (np.searchsorted(points, inner, side=side) for side in ("left", "right"))
    ends = np.unique([0, *starts, *stops[stops - starts > size], len(points)])
    return [slice(start, stop) for start, stop in pairwise(ends.tolist())]


def _quantiles(values: Floats, parts: list[slice], level: float) -> Floats:
    return np.array([np.quantile(values[part], level) for part in parts])
