"""How large the errors of a regression are that are kept, when its least certain predictions are refused."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcdrop.errors import InputError
from mcdrop.plots.canvas import get_tall_axes, line_style, pick_colors, set_labels, set_legend, set_percent
from mcdrop.plots.models import check_curves, fold_name
from mcdrop.scores import RefusedErrorCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_refused_error"]


def plot_refused_error(
    curves: Mapping[str, RefusedErrorCurve],
    *,
    ax: "Axes | None" = None,
    colors: Sequence[str] | None = None,
    xlabel: str | None = "share of predictions refused (least certain first)",
    ylabel: str | None = "RMSE of the predictions kept (units of y)",
    title: str | None = None,
) -> "Axes":
    """Draw the root mean squared error of what is kept against the share refused, one line per uncertainty.

    An uncertainty that knows where the errors are large makes the line fall; one that knows nothing leaves it flat.

    Args:
        curves: Name of each uncertainty -> its curve, from `mcdrop.scores.refused_error_curve`.
        ax: Where to draw. Default: a new figure.
        colors: One color per uncertainty. Default: Okabe and Ito's.
        xlabel: Name of the share refused; the axis is in percent.
        ylabel: Name and unit of the error; the axis begins at 0.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `curves` is empty or holds something else, or colors are not one for each.

    Example:
        >>> from mcdrop.scores import refused_error_curve
        >>> ax = plot_refused_error({"std": refused_error_curve([0.0, 3.0, 4.0, 1.0], [1, 3, 4, 2])})
    """
    check_curves(curves, RefusedErrorCurve, "refused")
    for name, curve in curves.items():
        if np.shape(curve.rmse) != np.shape(curve.refused) or not (np.isfinite(curve.rmse) & (curve.rmse >= 0)).all():
            raise InputError(
                f"rmse of {name!r} must be one finite error of at least 0 for each share refused, got shape "
                f"{np.shape(curve.rmse)}; make the curve with mcdrop.scores"
            )
    hues = pick_colors(colors, len(curves))
    labels = [fold_name(name) for name in curves]
    ax = get_tall_axes(ax, labels, figsize=(7.0, 3.8))
    for k, curve in enumerate(curves.values()):
        order = np.argsort(curve.refused, kind="stable")
        style = line_style(k, hues[k], count=len(order))
        ax.plot(curve.refused[order], curve.rmse[order], label=labels[k], **style)
    highest = max(float(np.max(curve.rmse)) for curve in curves.values())
    ax.set_ylim(0, 1.05 * highest or None)  # errors are seen in proportion
    set_percent(ax, "x")
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    set_legend(ax)
    return ax
