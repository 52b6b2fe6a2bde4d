"""How often the answers that are kept are right, when the least certain ones are refused."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcdrop.plots.canvas import (
    get_tall_axes,
    line_style,
    pick_colors,
    set_labels,
    set_legend,
    set_percent,
)
from mcdrop.plots.models import check_curves, fold_name
from mcdrop.scores import RefusalCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_refusal"]


def plot_refusal(
    curves: Mapping[str, RefusalCurve],
    *,
    ax: "Axes | None" = None,
    colors: Sequence[str] | None = None,
    xlabel: str | None = "share of answers refused (least certain first)",
    ylabel: str | None = "accuracy of the answers kept",
    title: str | None = None,
) -> "Axes":
    """Draw the accuracy of the answers kept against the share refused, one line per model or measure.

    A measure that knows which answers are wrong makes the line climb; one that knows nothing leaves it flat.

    Args:
        curves: Name of each model -> its curve, from `mcdrop.scores.refusal_curve`.
        ax: Where to draw. Default: a new figure.
        colors: One color per model. Default: Okabe and Ito's.
        xlabel: Name of the share refused; the axis is in percent.
        ylabel: Name of the accuracy; the axis is in percent and does not pass 100%.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `curves` is empty or holds something else, or colors are not one per model.

    Example:
        >>> from mcdrop.scores import refusal_curve
        >>> right, entropy = [True, True, False, True], [0.1, 0.3, 0.6, 0.2]
        >>> ax = plot_refusal({"entropy": refusal_curve(right, entropy)})
    """
    check_curves(curves, RefusalCurve, "refused", "accuracy")
    hues = pick_colors(colors, len(curves))
    labels = [fold_name(name) for name in curves]
    ax = get_tall_axes(ax, labels, figsize=(7.0, 3.8))
    for k, curve in enumerate(curves.values()):
        order = np.argsort(curve.refused, kind="stable")
        style = line_style(k, hues[k], count=len(order))
        ax.plot(curve.refused[order], curve.accuracy[order], label=labels[k], **style)
    bottom, top = ax.get_ylim()
    bottom = max(bottom, -0.02)
    ax.set_ylim(bottom, min(top, 1.0 + 0.04 * (1.0 - bottom)))  # no ticks above 100%, yet room for markers
    set_percent(ax, "x", "y")
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    set_legend(ax)
    return ax
