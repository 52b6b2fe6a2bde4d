"""A score of several models while their inputs move away from the training data."""

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
)
from mcdrop.plots.models import check_models, fold_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_shift"]


def plot_shift(
    scores: Mapping[str, ArrayLike],
    shift: ArrayLike,
    *,
    errors: Mapping[str, ArrayLike] | None = None,
    ax: "Axes | None" = None,
    colors: Sequence[str] | None = None,
    xlabel: str | None = "shift",
    ylabel: str | None = "score",
    title: str | None = None,
) -> "Axes":
    """Draw one line per model: its score at each of S amounts of shift.

    Args:
        scores: Name of each model -> its scores, shape (S,).
        shift: How far the inputs were moved, such as an angle of rotation, shape (S,), in any order.
        errors: Name of a model -> the standard errors of its scores, shape (S,), drawn as bars of one standard
            error on either side. Models may be left out.
        ax: Where to draw. Default: a new figure.
        colors: One color per model. Default: Okabe and Ito's.
        xlabel: Name and unit of the shift, such as "rotation (degrees)".
        ylabel: Name and unit of the score, such as "NLL (nats)".
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If the scores, the errors and the shift do not fit together, a number is not finite, a
            standard error is negative, or colors are not one per model.

    Example:
        >>> accuracy = {"softmax": [0.98, 0.81, 0.35], "MC dropout": [0.98, 0.83, 0.37]}
        >>> ax = plot_shift(accuracy, [0, 30, 60], xlabel="rotation (degrees)", ylabel="accuracy (share)")
    """
    check_models("scores", scores, "scores, one per shift")
    places = check_column(shift, None, name="shift", each="amount of shift")
    count = len(places)
    order = np.argsort(places, kind="stable")
    heights = _columns("scores", scores, count)
    if errors is not None and not isinstance(errors, Mapping):
        raise InputError(
            f"errors must map the names of models to their standard errors, got {type(errors).__name__}; "
            "pass {'MC dropout': ...} or leave it out"
        )
    bars = _columns("errors", {} if errors is None else errors, count)
    if not bars.keys() <= heights.keys():
        unknown = ", ".join(map(repr, bars.keys() - heights.keys()))
        raise InputError(f"errors must be of models in scores, got {unknown}; known are {', '.join(heights)}")
    for name, bar in bars.items():
        if not (bar >= 0).all():
            raise InputError(f"errors of {name!r} must be >= 0, got {bar.min():g}; give standard errors")
    hues = pick_colors(colors, len(heights))
    labels = [fold_name(name) for name in heights]
    ax = get_tall_axes(ax, labels, figsize=(7.0, 3.8))
    for k, (name, height) in enumerate(heights.items()):
        error = bars[name][order] if name in bars else None
        style = line_style(k, hues[k], count=count)
        ax.errorbar(
            places[order], height[order], error, label=labels[k], ecolor=hues[k], capsize=2.5, elinewidth=1.0, **style
        )
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    set_legend(ax)
    return ax


def _columns(name: str, columns: Mapping[str, ArrayLike], count: int) -> dict[str, NDArray[np.float64]]:
    """Return the numbers of each model, checked to be one per amount of shift."""
    return {
        model: check_column(values, count, name=f"{name}[{model!r}]", each="amount of shift")
        for model, values in columns.items()
    }
