"""Class probabilities along one input, with MC dropout and without."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mcdrop.errors import InputError
from mcdrop.plots.canvas import (
    MARKERS,
    check_classes,
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

__all__ = ["plot_class_probs"]


def plot_class_probs(
    pred: ClassificationPredictive,
    x: ArrayLike,
    *,
    deterministic: ArrayLike | None = None,
    classes: Sequence[int] | None = None,
    ax: "Axes | None" = None,
    colors: Sequence[str] | None = None,
    xlabel: str | None = None,
    ylabel: str | None = "class probability",
    title: str | None = None,
) -> "Axes":
    """Draw the mean probability of each class inside a band of one standard deviation on either side.

    The band is clipped to [0, 1], where probabilities lie.

    Args:
        pred: A prediction at N points.
        x: Where the points lie, shape (N,) or (N, 1), in any order.
        deterministic: Probabilities of the same net with dropout switched off, shape (N, K), drawn dashed.
        classes: Which of the K classes to draw, in the order of the legend. Default: those that are the most
            probable class of some point, with MC dropout or without.
        ax: Where to draw. Default: a new figure.
        colors: One color per class. Default: Okabe and Ito's.
        xlabel: Name and unit of x.
        ylabel: Name of the probabilities.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `pred` is not a ClassificationPredictive of N separate points, or x, `deterministic`,
            classes or colors do not fit it.
    """
    check_classifier(pred)
    points, order = check_points(x, len(pred))
    plain = None if deterministic is None else np.asarray(deterministic)
    if plain is not None and plain.shape != pred.probs.shape:
        raise InputError(
            f"deterministic must have the shape of pred.probs, expected {pred.probs.shape}, got "
            f"{plain.shape}; pass the softmax of the net in eval mode at the same points"
        )
    if plain is not None and not np.isfinite(plain).all():
        raise InputError("deterministic must be finite, got NaN or infinite values; check the net's output")
    winners = np.union1d(pred.labels, pred.labels if plain is None else plain.argmax(axis=-1))
    chosen = check_classes(winners.tolist() if classes is None else classes, pred.probs.shape[1])
    hues = pick_colors(colors, len(chosen))
    ax = get_axes(ax, figsize=(7.0, 3.5))
    for k, color, marker in zip(chosen, hues, MARKERS * len(chosen), strict=False):
        mean, std = pred.probs[order, k], pred.probs_std[order, k]
        ax.fill_between(
            points, np.maximum(mean - std, 0.0), np.minimum(mean + std, 1.0), color=color, alpha=0.2, linewidth=0
        )
        ax.plot(points, mean, color=color, marker=marker, markersize=4, label=f"class {k}")
        if plain is not None:
            ax.plot(points, plain[order, k], color=color, linestyle="--")
    _draw_key(ax, dashed=plain is not None)
    ax.set_ylim(-0.03, 1.03)
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def _draw_key(ax: "Axes", *, dashed: bool) -> None:
    """Say in the legend what full and dashed lines are."""
    ax.plot([], [], color="0.4", label="MC dropout\n(mean ± std)")
    if dashed:
        ax.plot([], [], color="0.4", linestyle="--", label="dropout off")
    set_legend(ax)
