"""How large the errors of a regression are that are kept, when its least certain predictions are refused."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError
from mcdrop.plots.canvas import (
    check_column,
    get_tall_axes,
    line_style,
    pick_colors,
    set_labels,
    set_legend,
    set_percent,
)
from mcdrop.plots.models import check_models, fold_name
from mcdrop.scores.ranking import SHARES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_refused_error"]

Floats = NDArray[np.float64]


def plot_refused_error(
    errors: ArrayLike,
    uncertainties: Mapping[str, ArrayLike],
    *,
    ax: "Axes | None" = None,
    shares: Sequence[float] = SHARES,
    colors: Sequence[str] | None = None,
    xlabel: str | None = "share of predictions refused (least certain first)",
    ylabel: str | None = "RMSE of the predictions kept (units of y)",
    title: str | None = None,
) -> "Axes":
    """Draw the root mean squared error of what is kept against the share refused, one line per uncertainty.

    An uncertainty that knows where the errors are large makes the line fall; one that knows nothing leaves it flat.
    Of N predictions, the floor(share x N) least certain are refused. Where that parts equally uncertain ones, their
    squared errors count by the average, so that the order of the points does not matter (as in `refusal_curve`).

    Args:
        errors: Truth minus prediction at N points, in units of y, shape (N,).
        uncertainties: Name -> standard deviation or other uncertainty at these points, shape (N,).
        ax: Where to draw. Default: a new figure.
        shares: Shares to refuse, in [0, 1), rising.
        colors: One color per uncertainty. Default: Okabe and Ito's.
        xlabel: Name of the share refused; the axis is in percent.
        ylabel: Name and unit of the error.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If errors and uncertainties do not fit together or are not finite, a share lies
            outside [0, 1), or colors are not one for each.

    Example:
        >>> ax = plot_refused_error([0.0, 3.0, 4.0, 1.0], {"std": [1, 3, 4, 2]}, shares=[0, 0.25, 0.5])
        >>> (ax.lines[0].get_ydata() ** 2).round(6)
        array([6.5     , 3.333333, 0.5     ])
    """
    column = check_column(errors, None, name="errors", each="point")
    check_models("uncertainties", uncertainties, "values")
    doubts = {name: check_column(u, len(column), name=name, each="point") for name, u in uncertainties.items()}
    refused = check_column(shares, None, name="shares", each="point of the lines")
    if refused.min() < 0 or refused.max() >= 1:
        raise InputError(
            f"shares must lie from 0 to below 1, got {refused.min():g} to {refused.max():g}; something has to be kept"
        )
    hues = pick_colors(colors, len(doubts))
    labels = [fold_name(name) for name in doubts]
    ax = get_tall_axes(ax, labels, figsize=(7.0, 3.8))
    kept = [_kept(column, doubt, refused) for doubt in doubts.values()]
    for k, line in enumerate(kept):
        ax.plot(refused, line, label=labels[k], **line_style(k, hues[k], count=len(refused)))
    ax.set_ylim(0, 1.05 * float(np.max(kept)) or None)  # errors are seen in proportion
    set_percent(ax, "x")
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    set_legend(ax)
    return ax


def _kept(errors: Floats, doubt: Floats, refused: Floats) -> Floats:
    """Return the root mean squared error of the predictions kept."""
    group, count = np.unique(doubt, return_inverse=True, return_counts=True)[1:]
    held = np.concatenate([[0], np.cumsum(count)])
    lost = np.concatenate([[0], np.cumsum(np.bincount(group, weights=errors**2))])
    kept = np.maximum(len(errors) - np.floor(refused * len(errors) + 1e-9), 1)  # 0.29 * 100 is a little less than 29
    return np.asarray(np.sqrt(np.interp(kept, held, lost) / kept))
