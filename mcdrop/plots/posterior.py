"""Trace, autocorrelation and forest plots of posterior draws, by ArviZ 0.23 or 1.x alike.

The two generations of ArviZ differ in the names of the functions and their options, and in what they draw unasked.
Here each figure has the same panels, styles and axis labels under both.

References:
    Kumar, R. et al. (2019). ArviZ: a unified library for exploratory analysis of Bayesian models in Python.
    Journal of Open Source Software 4(33), 1143. https://doi.org/10.21105/joss.01143
    Brockwell, P. J. and Davis, R. A. (2016). Introduction to Time Series and Forecasting. Springer, 3rd edition.
    https://doi.org/10.1007/978-3-319-29854-2 (bounds of the autocorrelation of independent draws,
    1.96 / sqrt(n): section 1.6).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mcdrop.arguments import check_count
from mcdrop.errors import InputError
from mcdrop.plots.canvas import COLORS, DASHES
from mcdrop.plots.draws import check_spread, find_diverging, select_draws
from mcdrop.plots.generations import draw_autocorrelation, draw_forest, draw_trace
from mcdrop.plots.models import fold_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["plot_autocorrelation", "plot_forest", "plot_trace"]

_ROW = 18  # letters that fit along the y axis of one row
_PANEL = 48  # letters that fit along the x axis of one density


def plot_trace(
    draws: Any,
    *,
    var_names: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> "Figure":
    """Draw the density of each variable and, beside it, its values in the order they were drawn.

    Chains that have converged have one density, and traces that look like one band of noise. Where the sampler
    diverged there is a tick at the bottom.

    Args:
        draws: Posterior draws as ArviZ holds them, such as `GPRegressor.to_arviz()` gives: an `InferenceData`
            (ArviZ 0.23) or `xarray.DataTree` (1.x) with a group `posterior` of variables (chain, draw, ...).
        var_names: Which variables to draw. Default: all. Each component of an array has a row of its own.
        units: Name of a variable -> its unit, "1" for none. Default: the attribute `units` of the variable.
        title: Title of the figure.

    Returns:
        The figure; its `axes` are two per variable, density and trace.

    Raises:
        InputError: If there is no group `posterior` of finite real draws by chain, a variable is not in it, or a
            chain has fewer than 4 draws or does not move.
    """
    chosen = select_draws(draws, var_names, units)
    check_spread(chosen, "a density")
    chains = chosen.posterior.chain.values
    colors = [COLORS[k % len(COLORS)] for k in range(len(chains))]
    dashes = [DASHES[k % len(DASHES)] for k in range(len(chains))]
    diverging = find_diverging(draws)
    figure = draw_trace(chosen, diverging)
    panels = zip(chosen.names, chosen.units, chosen.labels, figure.axes[::2], figure.axes[1::2], strict=True)
    for name, unit, label, density, trace in panels:
        density.set(title="", xlabel=fold_name(label, _PANEL), ylabel="density", yticks=[])
        lines = [name] if unit == "1" else [name, f"({unit})"]
        trace.set(title="", xlabel="draw", ylabel="\n".join(fold_name(line, _ROW) for line in lines))
        for line, color, dash in zip(_curves(density), colors, dashes, strict=True):
            line.set(color=color, linestyle=dash)
        for line, color in zip(_curves(trace), colors, strict=True):
            line.set(color=color, linestyle="-", linewidth=0.6, alpha=0.7)  # dashes would break up a jagged line
    _draw_key(figure, chains, colors, dashes, diverged=diverging is not None and bool(diverging.any()))
    return _finish(figure, title)


def plot_autocorrelation(
    draws: Any,
    *,
    var_names: Sequence[str] | None = None,
    max_lag: int = 100,
    title: str | None = None,
) -> "Figure":
    r"""Draw the autocorrelation of each variable in each chain against the lag between draws.

    The sooner it falls to zero, the more the draws are worth. The gray band, $\pm 1.96 / \sqrt{n}$, holds 95% of
    the values that n independent draws would have by chance.

    Args:
        draws: Posterior draws as ArviZ holds them (see `plot_trace`).
        var_names: Which variables to draw. Default: all.
        max_lag: How many lags to draw, from 0; at most the number of draws.
        title: Title of the figure.

    Returns:
        The figure; its `axes` are one row per variable (or component) of one panel per chain.

    Raises:
        InputError: As `plot_trace`, or if `max_lag` is no number of lags.
    """
    check_count("max_lag", max_lag, least=1, why="lag 0 is the first")
    chosen = select_draws(draws, var_names, None)
    check_spread(chosen, "an autocorrelation")
    chains = chosen.posterior.chain.values
    figure = draw_autocorrelation(chosen, min(max_lag, chosen.posterior.sizes["draw"]))
    grid = np.array(figure.axes, dtype=object).reshape(len(chosen.names), len(chains))
    for (row, column), ax in np.ndenumerate(grid):
        ax.set(title=f"chain {chains[column]}" if row == 0 else "", xlabel="", ylabel="", ylim=(-1.05, 1.05))
    for name, ax in zip(chosen.names, grid[:, 0], strict=True):
        ax.set_ylabel(fold_name(name, _ROW))  # an autocorrelation has no unit
    for ax in grid[-1]:
        ax.set_xlabel("lag (draws)")
    return _finish(figure, title)


def plot_forest(
    draws: Any,
    *,
    var_names: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    level: float = 0.95,
    title: str | None = None,
) -> "Figure":
    """Draw the intervals that hold 50% and `level` of each variable's draws, one line per chain.

    All variables share one axis; choose those of one size with `var_names`.

    Args:
        draws: Posterior draws as ArviZ holds them (see `plot_trace`).
        var_names: Which variables to draw. Default: all.
        units: Name of a variable -> its unit, "1" for none. Default: the attribute `units` of the variable.
        level: Probability inside the thin line, in (0.5, 1).
        title: Title of the figure.

    Returns:
        The figure; the last of its `axes` holds the intervals.

    Raises:
        InputError: As `plot_trace` (a chain may stand still), or if `level` lies outside (0.5, 1).
    """
    if not isinstance(level, float | np.floating) or not 0.5 < level < 1:
        raise InputError(f"level must lie between 0.5 and 1, got {level!r}; for 95% pass 0.95")
    return _finish(draw_forest(select_draws(draws, var_names, units), float(level)), title)


def _curves(ax: "Axes") -> "list[Line2D]":
    """Return one line per chain, without the ticks of divergences."""
    return [line for line in ax.lines if line.get_linestyle() != "None"]


def _draw_key(figure: "Figure", chains: Any, colors: list[str], dashes: list[str], *, diverged: bool) -> None:
    """Say below the panels which line is which chain."""
    from matplotlib.lines import Line2D

    styles = zip(chains, colors, dashes, strict=True)
    handles = [Line2D([], [], color=color, ls=dash, label=f"chain {chain}") for chain, color, dash in styles]
    if diverged:
        handles.append(Line2D([], [], color="0.0", linestyle="", marker="|", label="diverged here"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), frameon=False)


def _finish(figure: "Figure", title: str | None) -> "Figure":
    """Write the title, if there is one, and all numbers in one size."""
    for ax in figure.axes:
        ax.tick_params(labelsize="medium")
    if title is not None:
        figure.suptitle(title)
    return figure
