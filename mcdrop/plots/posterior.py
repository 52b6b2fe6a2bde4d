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
from mcdrop.plots.draws import find_diverging, import_arviz, pack_draws, select_draws

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["plot_autocorrelation", "plot_forest", "plot_trace"]


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
        InputError: If there is no group `posterior` of finite draws by chain, a variable is not in it, or a
            chain has fewer than 4 draws.
    """
    posterior = select_draws(draws, var_names, units)
    names, chains = list(posterior.data_vars), posterior.chain.values
    colors = [COLORS[k % len(COLORS)] for k in range(len(chains))]
    dashes = [DASHES[k % len(DASHES)] for k in range(len(chains))]
    diverging = find_diverging(draws)
    with import_arviz() as (az, modern):
        draw = _trace_modern if modern else _trace_classic
        figure = draw(az, pack_draws(az, posterior, diverging), len(names))
    for name, density, trace in zip(names, figure.axes[::2], figure.axes[1::2], strict=True):
        density.set(title="", xlabel=name, ylabel="density", yticks=[])
        trace.set(title="", xlabel="draw", ylabel=name)
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
        InputError: As `plot_trace`, or if a variable does not vary within a chain.
    """
    check_count("max_lag", max_lag, least=1, why="lag 0 is the first")
    posterior = select_draws(draws, var_names, None)
    for name, variable in posterior.data_vars.items():
        if (variable.max("draw") == variable.min("draw")).any():
            raise InputError(
                f"{name} must vary within each chain to have an autocorrelation, got a constant; "
                "choose others with var_names"
            )
    names, chains = list(posterior.data_vars), posterior.chain.values
    lags = min(max_lag, posterior.sizes["draw"])
    with import_arviz() as (az, modern), az.rc_context({"plot.max_subplots": None}):
        draw = _autocorrelation_modern if modern else _autocorrelation_classic
        figure = draw(az, pack_draws(az, posterior, None), len(names), len(chains), lags)
    grid = np.array(figure.axes, dtype=object).reshape(len(names), len(chains))
    for (row, column), ax in np.ndenumerate(grid):
        ax.set(title=f"chain {chains[column]}" if row == 0 else "", xlabel="", ylabel="", ylim=(-1.05, 1.05))
        if modern:
            bound = 1.96 / np.sqrt(posterior.sizes["draw"])
            ax.axhspan(-bound, bound, color="0.75", linewidth=0, zorder=0.5)
    for name, ax in zip(names, grid[:, 0], strict=True):
        ax.set_ylabel(name)
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
        InputError: As `plot_trace`, or if `level` lies outside (0.5, 1).
    """
    if not isinstance(level, float | np.floating) or not 0.5 < level < 1:
        raise InputError(f"level must lie between 0.5 and 1, got {level!r}; for 95% pass 0.95")
    posterior = select_draws(draws, var_names, units)
    names, chains = list(posterior.data_vars), posterior.chain.values
    size = (7.0, 0.9 + len(names) * (0.35 + 0.09 * len(chains)))
    with import_arviz() as (az, modern):
        draw = _forest_modern if modern else _forest_classic
        figure = draw(az, pack_draws(az, posterior, None), size, float(level))
    inner = "50%" if modern else "quartiles"  # ArviZ 0.23 always draws these
    figure.axes[-1].set(
        title="",
        xlabel=f"median, {inner} and {100 * level:g}% highest-density interval\n(each in its variable's unit)",
    )
    return _finish(figure, title)


def _trace_modern(az: Any, packed: Any, rows: int) -> "Figure":
    size = _canvas(9.0, 1.9 * rows + 0.7)
    return _figure(
        az.plot_trace_dist(packed, compact=False, kind="kde", backend="matplotlib", figure_kwargs=size),
    )


def _trace_classic(az: Any, packed: Any, rows: int) -> "Figure":
    figure, axes = _subplots(rows, 2, (9.0, 1.9 * rows + 0.7))
    az.plot_trace(packed, compact=False, backend="matplotlib", axes=axes)
    return figure


def _curves(ax: "Axes") -> "list[Line2D]":
    """Return one line per chain, without the ticks of divergences."""
    return [line for line in ax.lines if line.get_linestyle() != "None"]


def _autocorrelation_modern(az: Any, packed: Any, rows: int, columns: int, lags: int) -> "Figure":
    collection = az.plot_autocorr(
        packed,
        max_lag=lags,
        backend="matplotlib",
        cols=["__variable__", "chain"],
        col_wrap=columns,
        aes={"color": [], "overlay": []},
        visuals={
            "lines": {"color": COLORS[0]},
            "credible_interval": False,  # ArviZ 1.3 takes it from the number of lags, not of draws
        },
        figure_kwargs=_canvas(max(5.0, 2.6 * columns), 1.9 * rows + 0.5),
    )
    return _figure(collection)


def _autocorrelation_classic(az: Any, packed: Any, rows: int, columns: int, lags: int) -> "Figure":
    figure, axes = _subplots(rows, columns, (max(5.0, 2.6 * columns), 1.9 * rows + 0.5), share=True)
    az.plot_autocorr(packed, max_lag=lags, backend="matplotlib", ax=axes)
    return figure


def _forest_modern(az: Any, packed: Any, size: tuple[float, float], level: float) -> "Figure":
    collection = az.plot_forest(
        packed,
        point_estimate="median",
        ci_kind="hdi",
        ci_probs=(0.5, level),
        backend="matplotlib",
        visuals={part: {"color": COLORS[0]} for part in ("trunk", "twig", "point_estimate")},
        figure_kwargs=_canvas(*size),
    )
    return _figure(collection)


def _forest_classic(az: Any, packed: Any, size: tuple[float, float], level: float) -> "Figure":
    figure, axes = _subplots(1, 1, size)
    az.plot_forest(packed, hdi_prob=level, backend="matplotlib", colors=COLORS[0], ax=axes[0, 0])
    axes[0, 0].spines["top"].set_visible(False)
    return figure


def _canvas(width: float, height: float) -> dict[str, Any]:
    """Return how ArviZ 1.x shall make its figure."""
    return {"figsize": (width, height), "figsize_units": "inches", "layout": "constrained"}


def _figure(collection: Any) -> "Figure":
    """Return the figure of an ArviZ 1.x PlotCollection."""
    figure: Figure = collection.viz["figure"].item()
    return figure


def _subplots(rows: int, columns: int, size: tuple[float, float], *, share: bool = False) -> "tuple[Figure, Any]":
    """Return a new figure and its grid of Axes for ArviZ 0.23 to draw on."""
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=size, squeeze=False, sharex=share, sharey=share, layout="constrained")


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
