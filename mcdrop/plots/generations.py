"""The figures of posterior draws as ArviZ 0.23 and 1.x make them, each finished until the two are alike."""

from typing import TYPE_CHECKING, Any

import numpy as np

from mcdrop.plots.canvas import COLORS
from mcdrop.plots.draws import Chosen, import_arviz, pack_draws
from mcdrop.plots.models import fold_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_autocorrelation", "draw_forest", "draw_trace"]


def draw_trace(chosen: Chosen, diverging: Any) -> "Figure":
    """Return a figure with two Axes per variable: density and trace."""
    rows = len(chosen.names)
    size = (9.0, 1.9 * rows + 0.7)
    with import_arviz() as (az, modern):
        packed = pack_draws(az, chosen.posterior, diverging)
        if modern:
            return _figure(
                az.plot_trace_dist(
                    packed, compact=False, kind="kde", backend="matplotlib", figure_kwargs=_canvas(*size)
                )
            )
        figure, axes = _subplots(rows, 2, size)
        az.plot_trace(packed, compact=False, backend="matplotlib", axes=axes)
        return figure


def draw_autocorrelation(chosen: Chosen, lags: int) -> "Figure":
    """Return a figure with one row of Axes per variable and one column per chain, all with the band of chance."""
    rows, columns = len(chosen.names), chosen.posterior.sizes["chain"]
    size = (max(5.0, 2.6 * columns), 1.9 * rows + 0.5)
    with import_arviz() as (az, modern), az.rc_context({"plot.max_subplots": None}):
        packed = pack_draws(az, chosen.posterior, None)
        if not modern:
            figure, axes = _subplots(rows, columns, size, share=True)
            az.plot_autocorr(packed, max_lag=lags, backend="matplotlib", ax=axes)
            return figure
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
            figure_kwargs=_canvas(*size),
        )
    bound = 1.96 / np.sqrt(chosen.posterior.sizes["draw"])
    for ax in _figure(collection).axes:
        ax.axhspan(-bound, bound, color="0.75", linewidth=0, zorder=0.5)
    return _figure(collection)


def draw_forest(chosen: Chosen, level: float) -> "Figure":
    """Return a figure whose last Axes hold the intervals; the names stand to the left of them."""
    names = {key: fold_name(label, 36) for key, label in zip(chosen.posterior.data_vars, chosen.labels, strict=True)}
    lines = max(name.count("\n") + 1 for name in names.values())
    row = max(0.35 + 0.09 * chosen.posterior.sizes["chain"], 0.1 + 0.17 * lines)
    size = (7.0, 0.9 + len(names) * row)
    with import_arviz() as (az, modern):
        draw = _forest_modern if modern else _forest_classic
        figure = draw(az, pack_draws(az, chosen.posterior, None), size, level, az.labels.MapLabeller(names))
    inner = "50%" if modern else "quartiles"  # ArviZ 0.23 always draws these
    figure.axes[-1].set(
        title="",
        xlabel=f"median, {inner} and {100 * level:g}% highest-density interval\n(each in its variable's unit)",
    )
    return figure


def _forest_modern(az: Any, packed: Any, size: tuple[float, float], level: float, labeller: Any) -> "Figure":
    collection = az.plot_forest(
        packed,
        point_estimate="median",
        ci_kind="hdi",
        ci_probs=(0.5, level),
        backend="matplotlib",
        labeller=labeller,
        visuals={part: {"color": COLORS[0]} for part in ("trunk", "twig", "point_estimate")},
        figure_kwargs=_canvas(*size),
    )
    figure = _figure(collection)
    for ax in figure.axes[:-1]:  # names alone: no axis, and no word "variable" below them
        ax.set(xticks=[], xlabel="")
        ax.spines[:].set_visible(False)
    return figure


def _forest_classic(az: Any, packed: Any, size: tuple[float, float], level: float, labeller: Any) -> "Figure":
    figure, axes = _subplots(1, 1, size)
    az.plot_forest(packed, hdi_prob=level, backend="matplotlib", colors=COLORS[0], ax=axes[0, 0], labeller=labeller)
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
