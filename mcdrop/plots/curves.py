"""Learning curves of several models: their means over repeats, and how far the repeats lie apart."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_choice
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

__all__ = ["Band", "plot_curves"]

Floats = NDArray[np.float64]

Band = Literal["range", "std", "none"]
"""What the band around a mean shows: all repeats, one standard deviation on either side, or nothing."""


def plot_curves(
    curves: Mapping[str, ArrayLike],
    x: ArrayLike | None = None,
    *,
    ax: "Axes | None" = None,
    colors: Sequence[str] | None = None,
    dashes: Sequence[str] | None = None,
    band: Band = "range",
    log_x: bool = False,
    xlabel: str | None = "epoch",
    ylabel: str | None = "test error",
    title: str | None = None,
) -> "Axes":
    """Draw one line per model, the mean over its R repeats at each of S steps, in a band that shows their spread.

    Args:
        curves: Name of each model -> its values, shape (R, S), or (S,) for a single repeat, which has no band. R may
            differ from model to model.
        x: Where the steps lie, shape (S,), in any order. Default: 1 to S.
        ax: Where to draw. Default: a new figure.
        colors: One color per model; those of a family may share one. Default: Okabe and Ito's.
        dashes: One line style of matplotlib's per model, such as "-" or "--". Default: a cycle of four.
        band: "range", from the least to the greatest repeat; "std", one sample standard deviation on either side of
            the mean; or "none".
        log_x: Whether x is drawn on a logarithmic axis, with ticks at the steps if they are few.
        xlabel: Name and unit of x.
        ylabel: Name and unit of the values.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If a curve has another shape or values that are not finite, x does not fit or is not above 0 on a
            logarithmic axis, or there is not one color or line style per model.

    Example:
        >>> errors = {"no dropout": [[40, 25, 21], [38, 26, 23]], "dropout": [[55, 27, 17], [52, 25, 18]]}
        >>> ax = plot_curves(errors, ylabel="errors on 1,000 digits")
    """
    check_models("curves", curves, "values, shape (R, S) or (S,)")
    check_choice("band", band, Band)
    tables = {name: _check_curve(name, values) for name, values in curves.items()}
    places = _check_steps(tables, x, log_x=log_x)
    hues = pick_colors(colors, len(tables))
    if dashes is not None and (isinstance(dashes, str) or len(dashes) != len(tables)):
        raise InputError(f"dashes must hold {len(tables)} line styles, one per curve, got {dashes!r}; or leave it out")
    labels = [fold_name(name) for name in tables]
    ax = get_tall_axes(ax, labels, figsize=(7.0, 3.8))
    order = np.argsort(places, kind="stable")
    for k, table in enumerate(tables.values()):
        style = _style(k, hues[k], None if dashes is None else dashes[k], places[order], log_x=log_x)
        ax.plot(places[order], table.mean(axis=0)[order], label=labels[k], **style)
        if band != "none" and len(table) > 1:
            lower, upper = _band(table[:, order], band)
            ax.fill_between(places[order], lower, upper, color=hues[k], alpha=0.2, linewidth=0, zorder=1.5)
    if log_x:
        _set_log(ax, places[order])
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    set_legend(ax)
    return ax


def _style(k: int, color: str, dash: str | None, places: Floats, *, log_x: bool) -> dict[str, Any]:
    """Return how to draw line k; a long line is thin, with markers that stand out from those it runs through."""
    style = line_style(k, color, count=len(places)) | ({} if dash is None else {"linestyle": dash})
    if log_x and len(places) > 24:  # every so many steps would crowd at the end
        share = (np.arange(12) + (k % 4) / 4) / 12
        marks = np.searchsorted(places, places[0] * (places[-1] / places[0]) ** share)
        style["markevery"] = np.unique(marks).tolist()
    if len(places) > 200:
        style |= {"linewidth": 0.8, "markeredgecolor": "white", "markeredgewidth": 0.7}
    return style


def _band(table: Floats, band: Band) -> tuple[Floats, Floats]:
    """Return the lower and the upper end of the band at each step."""
    if band == "range":
        return table.min(axis=0), table.max(axis=0)
    mean, std = table.mean(axis=0), table.std(axis=0, ddof=1)
    return mean - std, mean + std


def _set_log(ax: "Axes", places: Floats) -> None:
    """Make x logarithmic, with a tick at every step where that leaves room for their numbers."""
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    if len(places) <= 10:
        ax.set_xticks(places, [f"{place:g}" for place in places])
        ax.xaxis.set_minor_locator(NullLocator())


def _check_curve(name: str, values: ArrayLike) -> Floats:
    """Return a model's values as finite numbers of shape (R, S)."""
    advice = "pass one row per repeat, one number per step"
    try:
        table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"curves[{name!r}] must be numbers, got {type(values).__name__}; {advice}") from error
    table = table[None] if table.ndim == 1 else table
    if table.ndim != 2 or table.size == 0:
        shape = np.shape(values)
        raise InputError(f"curves[{name!r}] must have shape (R, S) or (S,), R and S at least 1, got {shape}; {advice}")
    if not np.isfinite(table).all():
        raise InputError(f"curves[{name!r}] must be finite, got NaN or infinite values; drop those repeats or steps")
    return table


def _check_steps(tables: Mapping[str, Floats], x: ArrayLike | None, *, log_x: bool) -> Floats:
    """Return where the steps lie, once all curves have as many."""
    first, count = next((name, table.shape[1]) for name, table in tables.items())
    places = np.arange(1.0, count + 1) if x is None else check_column(x, None, name="x", each="step")
    for name, table in tables.items():
        if table.shape[1] != len(places):
            known = f"curves[{first!r}] has {count}" if x is None else f"x has {len(places)}"
            raise InputError(
                f"curves[{name!r}] must have one number per step, got {table.shape[1]} where {known}; "
                "draw curves of other lengths on the same Axes by a call of their own"
            )
    if log_x and not (places > 0).all():
        raise InputError(f"x must be above 0 on a logarithmic axis, got {places.min():g}; leave out log_x or that step")
    return places
