"""How a measure of uncertainty is spread over all answers, or over right and over wrong ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_count
from mcdrop.errors import InputError
from mcdrop.plots.canvas import check_column, get_axes, pick_colors, set_labels, set_legend, set_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_measure_distribution"]

Floats = NDArray[np.float64]

_EACH_KIND = "share of the answers of each kind"


def plot_measure_distribution(
    values: ArrayLike,
    right: ArrayLike | None = None,
    *,
    ax: "Axes | None" = None,
    bins: int | ArrayLike = 30,
    colors: Sequence[str] | None = None,
    xlabel: str | None = "uncertainty",
    ylabel: str | None = _EACH_KIND,
    title: str | None = None,
) -> "Axes":
    r"""Draw two histograms in the same bins, right answers filled and wrong ones hatched; or one of all answers.

    Each adds up to 100% of its own answers, so that few wrong answers show as well as many right ones. The
    less they overlap, the better the measure tells them apart.

    Args:
        values: The measure at N points, shape (N,), such as `pred.mutual_information`.
        right: Whether the answer is right, True or False (or 1 or 0), shape (N,). Default: not known, so that one
            histogram holds all of them, and needs no legend.
        ax: Where to draw. Default: a new figure.
        bins: How many bins between the smallest and the largest value, or their edges, shape (B + 1,). Where the
            values are one number but for rounding, the bins begin at 0.
        colors: Color of the right and of the wrong answers, or of all. Default: Okabe and Ito's.
        xlabel: Name and unit of the measure, such as "mutual information (nats)".
        ylabel: Name of the shares; the axis is in percent.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If the values and `right` do not fit together, `right` is not of two kinds, the edges do not
            rise or leave values out, or colors are not one per histogram.

    Example:
        >>> ax = plot_measure_distribution([0.1, 0.2, 0.1, 0.9], [True, True, True, False], bins=5)
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['right\n(3 answers)', 'wrong\n(1 answer)']
    """
    is_right = None if right is None else _check_right(right)
    column = check_column(values, None if is_right is None else len(is_right), name="values", each="answer")
    edges = _edges(bins, column)
    hues = pick_colors(colors, 1 if is_right is None else 2)
    ax = get_axes(ax, figsize=(7.0, 3.8))
    filled: dict[str, Any] = {"label": "right", "facecolor": hues[0], "edgecolor": hues[0], "alpha": 0.45}
    if is_right is None:
        _draw_kind(ax, column, edges, filled | {"label": "all"})
        ylabel = "share of all answers" if ylabel == _EACH_KIND else ylabel
    else:
        hatched = {"label": "wrong", "facecolor": "none", "edgecolor": hues[1], "hatch": "////", "linewidth": 1.5}
        _draw_kind(ax, column[is_right], edges, filled)
        _draw_kind(ax, column[~is_right], edges, hatched)
        set_legend(ax)
    ax.set_ylim(bottom=0)
    set_percent(ax, "y")
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def _check_right(right: ArrayLike) -> NDArray[np.bool_]:
    """Return which answers are right, as a flat array."""
    try:
        flags = np.asarray(right)
    except (TypeError, ValueError):  # rows of different lengths
        flags = np.empty(0, dtype=object)
    if flags.dtype.kind not in "biuf" or not np.isin(flags, (0, 1)).all():
        raise InputError(f"right must be True or False, one per answer, got {right!r}; compare labels with the truth")
    is_right: NDArray[np.bool_] = flags.ravel() == 1
    return is_right


def _edges(bins: int | ArrayLike, values: Floats) -> Floats:
    """Return the edges of the bins, which hold all values."""
    if isinstance(bins, int | float | str | np.generic) or bins is None:
        check_count("bins", bins, least=1, why="there is something to draw in")
        assert isinstance(bins, int | np.integer)  # checked above
        return np.linspace(*_ends(values, int(bins)), int(bins) + 1)
    try:
        edges = np.asarray(bins, dtype=np.float64)
    except (TypeError, ValueError):  # no numbers, or rows of different lengths
        edges = np.empty(0)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all() or not np.isfinite(edges).all():
        raise InputError(f"bins must be a number or two or more rising edges, got {bins!r}; np.linspace gives them")
    if values.min() < edges[0] or values.max() > edges[-1]:
        raise InputError(
            f"bins must hold all values, which go from {values.min():g} to {values.max():g}, got edges from "
            f"{edges[0]:g} to {edges[-1]:g}; widen them"
        )
    return edges


def _ends(values: Floats, bins: int) -> tuple[float, float]:
    """Return where the bins begin and end: with the values, or at 0 if these differ by rounding alone."""
    low, high = float(values.min()), float(values.max())
    if (high - low) / bins > 1e-12 * max(-low, high, 1e-290):
        return low, high
    low, high = min(low, 0.0), max(high, 0.0)
    return (low, high) if high - low > 1e-290 else (low, 1.0)


def _draw_kind(ax: "Axes", values: Floats, edges: Floats, style: dict[str, Any]) -> None:
    """Draw one histogram that adds up to 1; of no answers, an entry in the legend alone."""
    count = len(values)
    answers = "none" if not count else f"{count:,} answer{'s' if count > 1 else ''}"
    style = style | {"label": f"{style['label']}\n({answers})"}
    if count:
        ax.stairs(np.histogram(values, edges)[0] / count, edges, fill=True, **style)
    else:
        ax.fill([], [], **style)
