"""Entropy, mutual information and variation ratio of a classifier along one input, such as an angle."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from numpy.typing import ArrayLike

from mcdrop.errors import InputError
from mcdrop.plots.canvas import (
    DASHES,
    MARKERS,
    check_classifier,
    check_points,
    get_axes,
    pick_colors,
    set_labels,
    set_legend,
)
from mcdrop.predictive import ClassificationPredictive

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Measure", "plot_measures"]

Measure = Literal["entropy", "expected_entropy", "mutual_information", "variation_ratio"]
"""The measures a ClassificationPredictive has."""


def plot_measures(
    pred: ClassificationPredictive,
    x: ArrayLike,
    *,
    ax: "Axes | None" = None,
    measures: Sequence[Measure] = ("entropy", "mutual_information", "variation_ratio"),
    colors: Sequence[str] | None = None,
    xlabel: str | None = None,
    ylabel: str | None = "uncertainty (nats; variation ratio: share)",
    title: str | None = None,
) -> "Axes":
    """Draw one line per measure; the legend gives the unit, nats or share (of passes).

    Args:
        pred: A prediction at N points.
        x: Where the points lie, shape (N,) or (N, 1), in any order.
        ax: Where to draw. Default: a new figure.
        measures: Which measures to draw, in the order of the legend.
        colors: One color per measure. Default: Okabe and Ito's.
        xlabel: Name and unit of x.
        ylabel: Name of the measures.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `pred` is not a ClassificationPredictive of N separate points, x does not fit it, or a
            measure is unknown.
    """
    check_classifier(pred)
    known = get_args(Measure)
    if isinstance(measures, str) or not measures or not set(measures) <= set(known):
        raise InputError(f"measures must be a list of {', '.join(known)}, got {measures!r}; name at least one")
    points, order = check_points(x, len(pred))
    hues = pick_colors(colors, len(measures))
    ax = get_axes(ax, figsize=(7.0, 3.5))
    for k, name in enumerate(measures):
        unit = "share" if name == "variation_ratio" else "nats"
        ax.plot(
            points,
            getattr(pred, name)[order],
            color=hues[k],
            marker=MARKERS[k % len(MARKERS)],
            linestyle=DASHES[k % len(DASHES)],
            label=f"{name.replace('_', ' ')}\n({unit})",
        )
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    set_legend(ax)
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    return ax
