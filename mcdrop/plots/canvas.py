"""What every figure starts from: an Axes, colors that stay apart for all eyes and in print, checked points.

References:
    Okabe, M. and Ito, K. (2008). Color Universal Design. https://jfly.uni-koeln.de/color/ (the palette).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_count
from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

__all__ = [
    "COLORS",
    "DASHES",
    "MARKERS",
    "check_classes",
    "check_classifier",
    "check_column",
    "check_points",
    "check_regression",
    "draw_diagonal",
    "get_axes",
    "get_tall_axes",
    "line_style",
    "pick_colors",
    "set_labels",
    "set_legend",
    "set_percent",
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


def get_tall_axes(ax: "Axes | None", labels: Sequence[str], *, figsize: tuple[float, float]) -> "Axes":
    """Return the Axes to draw on; a new figure is as tall as its legend, with these labels to the right, needs."""
    lines = sum(label.count("\n") + 1 for label in labels)
    return get_axes(ax, figsize=(figsize[0], max(figsize[1], 0.6 + 0.18 * lines + 0.07 * len(labels))))


def set_labels(ax: "Axes", *, xlabel: str | None, ylabel: str | None, title: str | None) -> None:
    """Write the labels that are given and leave the others as they are."""
    if xlabel is not None:
        ax.set_xlabel(xlabel)
    if ylabel is not None:
        ax.set_ylabel(ylabel)
    if title is not None:
        ax.set_title(title)


def set_legend(ax: "Axes", *, title: str | None = None, handles: Sequence[Any] | None = None) -> "Legend":
    """Put the legend to the right of the Axes, where it covers no data.

    A figure with `layout="constrained"` makes room for it; elsewhere save with `bbox_inches="tight"`.
    Its entries are the given handles, by default whatever on the Axes has a label.
    """
    entries = {} if handles is None else {"handles": handles}
    return ax.legend(title=title, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, **entries)


def set_percent(ax: "Axes", *axes: str) -> None:
    """Write the shares along "x" or "y" as percentages."""
    from matplotlib.ticker import PercentFormatter

    for name in axes:
        getattr(ax, f"{name}axis").set_major_formatter(PercentFormatter(1.0))


def draw_diagonal(ax: "Axes", *, label: str) -> None:
    """Draw the line on which two shares agree, both axes from 0 to 100%."""
    ax.plot([0, 1], [0, 1], color="0.5", linewidth=1.0, zorder=1.5, label=label)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))  # no equal aspect: constrained layouts would cut labels off
    set_percent(ax, "x", "y")


def line_style(k: int, color: str, *, count: int = 1) -> dict[str, Any]:
    """Return how to draw line k: its color, and a marker and dashes that no other of the first 28 has together.

    Args:
        k: The line's number, from 0.
        color: Its color.
        count: How many points it has; a long line gets some twelve markers, at other points than its neighbors.
    """
    step = max(1, count // 12)
    return {
        "color": color,
        "marker": MARKERS[k % len(MARKERS)],
        "markersize": 5,
        "markevery": (k % step, step),
        "linestyle": DASHES[k % len(DASHES)],
        "linewidth": 1.5,
    }


def check_column(values: ArrayLike, count: int | None, *, name: str, each: str) -> NDArray[np.float64]:
    """Return finite numbers, one per point, as a flat array.

    Args:
        values: The numbers, shape (N,) or (N, 1).
        count: How many there must be; None for any number of at least 1.
        name: The argument's name.
        each: What a point is, in words.

    Raises:
        InputError: If the values have another shape, or are not finite numbers.
    """
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers, got {type(values).__name__}; give one number per {each}") from error
    expected = column.size if count is None else count
    if column.shape not in {(expected,), (expected, 1)} or expected == 0:
        size = "N" if count is None else count
        raise InputError(
            f"{name} must have shape ({size},) or ({size}, 1), one per {each}, got {column.shape}; "
            f"pass one number per {each}, in the same order"
        )
    if not np.isfinite(column).all():
        raise InputError(f"{name} must be finite, got NaN or infinite values; drop those points")
    return column.ravel()


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
    points = check_column(x, count, name="x", each="predicted point")
    order = np.argsort(points, kind="stable")
    return points[order], order


def check_regression(
    pred: object, *, name: str, output: int, noise_std: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of one output of a regression at N points.

    Args:
        pred: The prediction, mean of shape (N,) or (N, D).
        name: What it is called, for messages.
        output: Which of the D outputs to take.
        noise_std: Observation noise to add, in units of y, or None for the epistemic part alone.

    Returns:
        Mean and standard deviation, each of shape (N,).

    Raises:
        InputError: If `pred` is of another type or shape, there is no such output, or there are values in it that
            could not be drawn.
    """
    if not isinstance(pred, RegressionPredictive) or pred.mean.ndim not in (1, 2):
        got = type(pred).__name__ + str(getattr(getattr(pred, "mean", None), "shape", ""))
        raise InputError(f"{name} must be a RegressionPredictive with mean (N,) or (N, D), got {got}; see predict")
    spread = pred.std if noise_std is None else pred.total_std(noise_std)
    mean, std = (values.reshape(len(pred), -1) for values in (pred.mean, spread))
    check_count("output", output, least=0, why="the first predicted column")
    if output >= mean.shape[1]:
        raise InputError(
            f"output must be 0 to {mean.shape[1] - 1}, got {output!r} for {name} with mean {pred.mean.shape}; "
            "pick one predicted column"
        )
    mean, std = mean[:, output], std[:, output]
    drawable = np.isfinite(mean) & np.isfinite(std) & (std >= 0)
    if not drawable.all():
        raise InputError(
            f"{name} must have finite means and standard deviations of at least 0, got others at "
            f"{np.count_nonzero(~drawable)} of {len(drawable)} points; check the model there"
        )
    return mean, std


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
