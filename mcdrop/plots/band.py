"""Mean and spread of a regression along one input: the figures of the tutorial's section 5.2."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mcdrop.errors import InputError
from mcdrop.plots.canvas import COLORS, check_points, get_axes, set_labels
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
        InputError: If `pred` is not a RegressionPredictive, x does not fit it, there is no such output, or a
            band width is not a positive number.
    """
    if not isinstance(pred, RegressionPredictive) or pred.mean.ndim not in (1, 2):
        got = type(pred).__name__ + str(getattr(getattr(pred, "mean", None), "shape", ""))
        raise InputError(f"pred must be a RegressionPredictive with mean (N,) or (N, D), got {got}; see predict")
    widths = np.sort(np.atleast_1d(np.asarray(n_std, dtype=np.float64)))[::-1]
    if widths.size == 0 or not np.all((widths > 0) & np.isfinite(widths)):
        raise InputError(f"n_std must be one or more numbers above 0, got {n_std!r}; 2 covers about 95%")
    points, order = check_points(x, len(pred))
    spread = pred.std if noise_std is None else pred.total_std(noise_std)
    mean, std = (values.reshape(len(pred), -1) for values in (pred.mean, spread))
    if not 0 <= output < mean.shape[1]:
        raise InputError(f"output must be 0 to {mean.shape[1] - 1}, got {output!r}; pick one predicted column")
    mean, std = mean[order, output], std[order, output]
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
