"""The figures of the regularization demo: every number in them was computed before."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcdrop.demos.regularization.exercises import (
    DECAY_RATES,
    HALF,
    NONE,
    RATES,
    SWAPPED,
    UNITS_OR_WEIGHTS,
    name_decay,
    name_rates,
)
from mcdrop.demos.regularization.nets import FAMILIES, TITLES
from mcdrop.demos.regularization.results import Results
from mcdrop.plots import plot_curves, plot_shift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_connect", "draw_decay", "draw_errors", "draw_rates", "draw_variance"]


_LONG = 8
"""Epochs from which on a training has an end to be looked at."""


def draw_errors(results: Results) -> "Figure":
    """Draw the errors of the five nets on held-out digits after every epoch, one panel a family."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(9.0, 8.0), layout="constrained")
    for ax, (family, names) in zip(axes, FAMILIES.items(), strict=True):
        curves = {TITLES[name]: results.curves(name) for name in names}
        plot_curves(curves, ax=ax, xlabel="epoch", ylabel=results.errors_label, title=_title(family, results))
        _show_end(ax, curves)
    return figure


def draw_rates(results: Results) -> "Figure":
    """Draw the final errors for every pair of rates, and the curves of the rates swapped."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12.5, 4.2), layout="constrained", gridspec_kw={"width_ratios": [1, 1.6]}
    )
    means = np.array([[results.final(name_rates(a, b)).mean() for b in RATES] for a in RATES])
    left.imshow(means, cmap="viridis_r", aspect="auto")
    middle = (means.min() + means.max()) / 2
    for i, a in enumerate(RATES):
        for j, b in enumerate(RATES):
            text = results.plus_minus(name_rates(a, b))
            left.text(j, i, text, ha="center", va="center", color="w" if means[i, j] > middle else "k")
    ticks = [f"{rate:.0%}" for rate in RATES]
    left.set_xticks(range(len(RATES)), ticks)
    left.set_yticks(range(len(RATES)), ticks)
    left.set(xlabel="dropped after the second layer", ylabel="dropped after the first layer")
    left.set_title(f"Errors at the end ({'mean ± std of ' if results.repeats > 1 else ''}{_seeds(results)})")
    figure.suptitle(_small(results))
    curves = {title: results.curves(name) for name, title in SWAPPED.items()}
    plot_curves(
        curves, ax=right, xlabel="epoch", ylabel=results.errors_label, title="The two layers' rates, and swapped"
    )
    _show_end(right, curves)
    return figure


def draw_variance(results: Results) -> "Figure":
    """Draw the variance of both hidden layers' activations over training, with and without dropout."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12.5, 4.0), layout="constrained", gridspec_kw={"width_ratios": [1, 1]})
    for ax, layer, title in zip(axes, ("relu1", "relu2"), ("First hidden layer", "Second hidden layer"), strict=True):
        curves = {
            "no dropout": results.variance(NONE, layer),
            "50% dropout, off to predict": results.variance(HALF, layer),
            "50% dropout, on": results.variance(HALF, f"{layer}/on"),
        }
        plot_curves(curves, ax=ax, xlabel="epoch", ylabel="variance of an activation", title=title)
        _count_epochs(ax)
        ax.set_ylim(bottom=0.0)
        if ax is axes[0]:
            ax.get_legend().remove()
    figure.suptitle(_title(_small(results), results))
    return figure


def draw_decay(results: Results) -> "Figure":
    """Draw the final errors over the weight decay, with and without dropout, and where both would add up."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(8.5, 4.0), layout="constrained")
    titles = {"no dropout": (0.0, 0.0), "dropout, 20% and 50%": DECAY_RATES}
    finals = {title: [results.final(name_decay(rates, d)) for d in results.decays] for title, rates in titles.items()}
    means = {title: np.array([values.mean() for values in rows]) for title, rows in finals.items()}
    plain, dropped = means.values()
    spreads = {title: _spreads(rows) for title, rows in finals.items() if results.repeats > 1}
    shown = means | {"both, if their effects added up": plain + (dropped[0] - plain[0])}
    plot_shift(
        shown, np.arange(len(results.decays)), errors=spreads, ax=ax, xlabel="weight decay", ylabel=results.errors_label
    )
    ax.set_xticks(range(len(results.decays)), [f"{decay:g}" for decay in results.decays])
    ax.set_title(_title(f"{_small(results)}\n", results, spread="bars: one standard deviation"))
    return figure


def draw_connect(results: Results) -> "Figure":
    """Draw the errors after every epoch with units dropped, with weights dropped, and with neither."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(8.5, 4.0), layout="constrained")
    curves = {title: results.curves(name) for name, title in UNITS_OR_WEIGHTS.items()}
    title = _title(f"{_small(results)}\n", results)
    plot_curves(curves, ax=ax, xlabel="epoch", ylabel=results.errors_label, title=title)
    _show_end(ax, curves)
    return figure


def _title(title: str, results: Results, spread: str = "bands: least to greatest") -> str:
    gap = "" if title.endswith("\n") else " "
    return f"{title}{gap}({_seeds(results)}{f'; {spread}' if results.repeats > 1 else ''})"


def _small(results: Results) -> str:
    return f"256-256 perceptron, trained on {results.exercise_on:,} digits"


def _seeds(results: Results) -> str:
    return f"{results.repeats} seeds" if results.repeats > 1 else "one seed"


def _spreads(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.array([values.std(ddof=1) for values in rows])


def _count_epochs(ax: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _show_end(ax: "Axes", curves: Mapping[str, NDArray[np.float64]]) -> None:
    """Leave the first epochs of a longer training, in which every net still errs a lot, above the frame."""
    _count_epochs(ax)
    if max(curve.shape[1] for curve in curves.values()) < _LONG:
        return
    late = np.concatenate([curve[:, curve.shape[1] // 2 :].ravel() for curve in curves.values()])
    low, high = min(float(curve.min()) for curve in curves.values()), float(late.max())
    margin = 0.08 * (high - low) or 1.0
    ax.set_ylim(max(0.0, low - margin), high + margin)
