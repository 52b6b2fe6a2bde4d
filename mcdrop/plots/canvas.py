"""What every figure starts from: an Axes, colors that stay apart for all eyes and in print, points along x.

References:
    Okabe, M. and Ito, K. (2008). Color Universal Design. https://jfly.uni-koeln.de/color/ (the palette).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

__all__ = [
    "COLORS",
    "DASHES",
    "MARKERS",
    "check_classes",
    "check_classifier",
    "check_points",
    "get_axes",
    "pick_colors",
    "set_labels",
    "set_legend",
]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette without its yellow, which fades on white paper."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Point shapes in the order of the colors, so that a gray print still tells the lines apart."""

DASHES = ("-", "--", "-.", ":")
"""Line styles in the order of the colors."""


def get_axes(ax: "Axes | None", *, figsize: tuple[float, float] = (6.0, 3.5)) -> "Axes":
    """Return the Axes to draw on: the given one, or one in a new figure.

    Args:
        ax: An Axes, or None for a new pyplot figure.
        figsize: Width and height of a new figure, in inches.
    """
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=figsize, layout="constrained")[1]


def set_labels(ax: "Axes", *, xlabel: str | None, ylabel: str | None, title: str | None) -> None:
    """Write the labels that are given and leave the others as they are."""
    if xlabel is not None:
        ax.set_xlabel(xlabel)
    if ylabel is not None:
        ax.set_ylabel(ylabel)
    if title is not None:
        ax.set_title(title)


def set_legend(ax: "Axes", *, title: str | None = None) -> "Legend":
    """Put the legend to the right of the Axes, where it covers no data.

    A figure with `layout="constrained"` makes room for it; elsewhere save with `bbox_inches="tight"`.
    """
    return ax.legend(title=title, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def check_points(x: ArrayLike, count: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return x as a flat array, and the order that sorts it.

    Args:
        x: Where the N points lie, shape (N,) or (N, 1).
        count: The number of points N that the prediction has.

    Returns:
        Sorted x, shape (N,), and the positions of its values in the input, shape (N,).

    Raises:
        InputError: If x has another shape, or values that are not finite numbers.
    """
    try:
        points = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"x must be numbers, got {type(x).__name__}; give one number per point") from error
    if points.shape not in {(count,), (count, 1)} or count == 0:
        raise InputError(
            f"x must have shape ({count},) or ({count}, 1), one per predicted point, got {points.shape}; "
            "pass the inputs that were predicted, as one number each"
        )
    if not np.isfinite(points).all():
        raise InputError("x must be finite, got NaN or infinite values; drop those points")
    order = np.argsort(points.ravel(), kind="stable")
    return points.ravel()[order], order


def check_classifier(pred: object) -> None:
    """Refuse what is not a classifier's prediction at N separate points.

    Raises:
        InputError: If `pred` is of another type, or its probabilities are not of shape (N, K).
    """
    if not isinstance(pred, ClassificationPredictive) or pred.probs.ndim != 2:
        got = type(pred).__name__ + str(getattr(getattr(pred, "probs", None), "shape", ""))
        raise InputError(f"pred must be a ClassificationPredictive with probs (N, K), got {got}; see predict")


def check_classes(classes: Sequence[int], count: int) -> list[int]:
    """Return the classes as a list.

    Args:
        classes: Which of the K classes to draw.
        count: The number of classes K.

    Raises:
        InputError: If there is none, one comes twice, or one is not a whole number from 0 to K - 1.
    """
    chosen: list[Any] = list(np.ravel(np.asarray(classes)))
    whole = all(isinstance(k, int | np.integer) and not isinstance(k, bool) and 0 <= k < count for k in chosen)
    if not chosen or not whole or len(set(chosen)) < len(chosen):
        raise InputError(f"classes must be different numbers 0 to {count - 1}, got {classes!r}; name at least one")
    return [int(k) for k in chosen]


def pick_colors(colors: Sequence[str] | None, count: int) -> list[str]:
    """Return one color per curve: the given ones, or the palette in turn.

    Raises:
        InputError: If colors are given but not one per curve.
    """
    if colors is None:
        return [COLORS[k % len(COLORS)] for k in range(count)]
    if isinstance(colors, str) or len(colors) != count:
        raise InputError(f"colors must hold {count} colors, one per curve, got {colors!r}; or leave it out")
    return list(colors)
