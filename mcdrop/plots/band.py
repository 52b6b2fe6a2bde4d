"""Mean and spread of a regression along one input: the figures of the tutorial's section 5.2."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError
from mcdrop.plots.canvas import COLORS, check_points, check_regression, get_axes, set_labels
from mcdrop.predictive import RegressionPredictive

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_band"]


def plot_band(
    pred: RegressionPredictive,
    x: ArrayLike,
    *,
    ax: "Axes | None" = None,
    n_std: float | Sequence[float] = 2.0,
    noise_std: ArrayLike | None = None,
    output: int = 0,
    color: str = COLORS[0],
    alpha: float = 0.3,
    label: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> "Axes":
    """Draw the predictive mean as a line inside a band of `n_std` standard deviations on either side.

    Args:
        pred: A prediction at N points, mean of shape (N,) or (N, D).
        x: Where the points lie, shape (N,) or (N, 1), in any order.
        ax: Where to draw. Default: a new figure.
        n_std: Half width of the band in standard deviations; several widths give nested bands.
        noise_std: Observation noise to add to the band, in units of y. Default: none, so that the band
            shows the epistemic part alone.
        output: Which of the D outputs to draw.
        color: Color of line and band.
        alpha: Opacity of the band.
        label: Name of the line in the legend, which is drawn if there is one.
        xlabel: Name and unit of x.
        ylabel: Name and unit of y.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `pred` is not a RegressionPredictive of finite numbers, x does not fit it, there is no such
            output, or a band width is not a positive number.
    """
    mean, std = check_regression(pred, name="pred", output=output, noise_std=noise_std)
    widths = _check_widths(n_std)
    points, order = check_points(x, len(pred))
    mean, std = mean[order], std[order]
    ax = get_axes(ax)
    for width in widths:
        ax.fill_between(
            points,
            mean - width * std,
            mean + width * std,
            color=color,
            alpha=alpha / len(widths),
            linewidth=0,
        )
    ax.plot(points, mean, color=color, linewidth=1.5, label=label)
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    if label is not None:
        ax.legend(loc="upper left")
    return ax


def _check_widths(n_std: float | Sequence[float]) -> NDArray[np.float64]:
    """Return the half widths of the bands, widest first."""
    try:
        widths = np.sort(np.atleast_1d(np.asarray(n_std, dtype=np.float64)))[::-1]
    except (TypeError, ValueError):
        widths = np.empty(0)
    if widths.ndim != 1 or widths.size == 0 or not np.all((widths > 0) & np.isfinite(widths)):
        raise InputError(f"n_std must be one or more numbers above 0, got {n_std!r}; 2 covers about 95%")
    return widths
