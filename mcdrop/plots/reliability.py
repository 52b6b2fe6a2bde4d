"""How often a classifier is right, against how sure it is: the reliability diagram."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcdrop.plots.canvas import (
    draw_diagonal,
    get_tall_axes,
    line_style,
    pick_colors,
    set_labels,
    set_legend,
)
from mcdrop.plots.models import check_curves, fold_name
from mcdrop.scores import ReliabilityCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_reliability"]


def plot_reliability(
    curves: Mapping[str, ReliabilityCurve],
    *,
    ax: "Axes | None" = None,
    colors: Sequence[str] | None = None,
    xlabel: str | None = "confidence (mean of a bin)",
    ylabel: str | None = "accuracy (share right in a bin)",
    title: str | None = None,
) -> "Axes":
    """Draw accuracy against confidence per bin, one line per model; a calibrated model lies on the diagonal.

    Below it a model is overconfident. The legend gives the expected calibration error (ECE) and how many
    points the bins hold: with few of them, a bin strays from the diagonal by chance.

    Args:
        curves: Name of each model -> its curve, from `mcdrop.scores.reliability_curve`.
        ax: Where to draw. Default: a new figure.
        colors: One color per model. Default: Okabe and Ito's.
        xlabel: Name of the confidence; the axis is in percent.
        ylabel: Name of the accuracy; the axis is in percent.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `curves` is empty or holds something else, or colors are not one per model.

    Example:
        >>> from mcdrop.scores import reliability_curve
        >>> ax = plot_reliability({"softmax": reliability_curve([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])})
    """
    check_curves(curves, ReliabilityCurve, "confidence", "accuracy")
    hues = pick_colors(colors, len(curves))
    labels = [f"{fold_name(name)}\n({_bins(curve)})" for name, curve in curves.items()]
    ax = get_tall_axes(ax, [*labels, "calibrated"], figsize=(7.0, 4.2))
    for k, curve in enumerate(curves.values()):
        order = np.argsort(curve.confidence, kind="stable")
        ax.plot(curve.confidence[order], curve.accuracy[order], label=labels[k], **line_style(k, hues[k]))
    draw_diagonal(ax, label="calibrated")
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    set_legend(ax)
    return ax


def _bins(curve: ReliabilityCurve) -> str:
    """Return the calibration error and how many points the bins hold, in words."""
    counts = np.asarray(curve.count)
    low, high = int(counts.min()), int(counts.max())
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"ECE {curve.error:.1%}; {each} per bin"
