"""How often central intervals hold the truth, against how often they should."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcdrop.arguments import check_count
from mcdrop.plots.canvas import (
    draw_diagonal,
    get_tall_axes,
    line_style,
    pick_colors,
    set_labels,
    set_legend,
)
from mcdrop.plots.models import check_curves, fold_name
from mcdrop.scores import CoverageCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_coverage"]


def plot_coverage(
    curves: Mapping[str, CoverageCurve],
    *,
    ax: "Axes | None" = None,
    colors: Sequence[str] | None = None,
    xlabel: str | None = "nominal coverage of the central interval",
    ylabel: str | None = "observed coverage",
    title: str | None = None,
) -> "Axes":
    """Draw observed against nominal coverage, one line per model; a calibrated model lies on the diagonal.

    Below it a model is overconfident: its intervals are too narrow. The gray band holds, at each nominal
    coverage, 95% of the observed coverages that a calibrated model would have by chance (binomial), where N
    points are independent. If the models were scored on different numbers of points, it is the widest band.

    Args:
        curves: Name of each model -> its curve, from `mcdrop.scores.coverage_curve`.
        ax: Where to draw. Default: a new figure.
        colors: One color per model. Default: Okabe and Ito's.
        xlabel: Name of the nominal coverage; the axis is in percent.
        ylabel: Name of the observed coverage; the axis is in percent.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `curves` is empty or holds something else, a curve counts no points, or colors are not one
            per model.

    Example:
        >>> from mcdrop.scores import coverage_curve, pit
        >>> transforms = pit(y=[0.1, -0.4, 1.2], mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0])
        >>> ax = plot_coverage({"GP": coverage_curve(transforms)})
    """
    check_curves(curves, CoverageCurve, "nominal", "observed")
    for name, curve in curves.items():
        check_count(f"count of {name!r}", curve.count, least=1, why="a share is of something")
    hues = pick_colors(colors, len(curves))
    labels = [fold_name(name) for name in curves]
    ax = get_tall_axes(ax, [*labels, "calibrated", "95% of chance\n(N)"], figsize=(7.0, 4.2))
    for k, curve in enumerate(curves.values()):
        order = np.argsort(curve.nominal, kind="stable")
        style = line_style(k, hues[k], count=len(order))
        ax.plot(curve.nominal[order], curve.observed[order], label=labels[k], **style)
    draw_diagonal(ax, label="calibrated")
    _draw_chance(ax, min(int(curve.count) for curve in curves.values()))
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    set_legend(ax)
    return ax


def _draw_chance(ax: "Axes", count: int) -> None:
    """Draw the binomial band around the diagonal."""
    from scipy.stats import binom

    nominal = np.linspace(0.0, 1.0, 201)
    lower, upper = binom.interval(0.95, count, nominal)
    ax.fill_between(
        nominal,
        np.maximum(lower, 0.0) / count,  # SciPy counts from -1 where the probability is 0
        np.maximum(upper, 0.0) / count,
        color="0.88",
        linewidth=0,
        zorder=0.5,
        label=f"95% of chance\n(N = {count:,})",
    )
