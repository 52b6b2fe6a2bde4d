"""Figures of a saved prediction: its bands, what refusing the uncertain buys, how its uncertainty is spread."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mcdrop.cli.predictions import Predicted
from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST", "Kind", "Words", "check_kind", "draw"]

Floats = NDArray[np.float64]

Kind = Literal["band", "refusal", "measures"]
"""What there is to draw."""

MOST = 2000
"""Points that are drawn one by one; more are summed up."""

_CROWD = 500
"""Points of the truth from which on they are drawn small, so that the bands stay to be seen."""

_MEASURES = {
    "entropy": "entropy (nats)",
    "mutual_information": "mutual information (nats)",
    "variation_ratio": "variation ratio (share of passes)",
}


@dataclass(frozen=True, slots=True)
class Words:
    """What stands at the axes.

    Attributes:
        title: Title of the figure.
        xlabel: Name and unit of x, for the bands.
        ylabel: Name and unit of what is predicted, for a regression.
    """

    title: str
    xlabel: str = "row of the input"
    ylabel: str = "prediction"


def check_kind(kind: Kind, predicted: Predicted, *, truth: bool, x: bool, output: int | None) -> None:
    """Refuse a figure that the file has nothing for, and options that it does not take.

    Args:
        kind: What to draw.
        predicted: The prediction.
        truth: Whether the truth is given.
        x: Whether x is given.
        output: The output that is asked for, if one is.

    Raises:
        InputError: Saying what fits.
    """
    path, regression = predicted.path, predicted.kind == "regression"
    if kind == "band" and not regression:
        raise InputError(f"--kind band draws regressions, got a classification ({path}); choose refusal or measures")
    if kind == "refusal" and not truth:
        raise InputError("--kind refusal needs the truth, got none; pass --truth, or choose measures")
    if kind == "measures" and regression and truth:
        raise InputError("--truth with --kind measures is for classifications, got a regression; choose refusal")
    if kind != "band" and x:
        raise InputError(f"--x is for --kind band, got --kind {kind}; leave it out")
    if output is not None and not regression:
        raise InputError(f"--output is for regressions, got a classification ({path}); leave it out")
    if output is not None and not 0 <= output < predicted.outputs:
        raise InputError(f"--output must be 0 to {predicted.outputs - 1}, got {output} ({path}); count from 0")


def draw(
    kind: Kind, predicted: Predicted, *, truth: NDArray[Any] | None, x: Floats | None, output: int, words: Words
) -> "Figure":
    """Draw a prediction.

    Args:
        kind: What to draw; see `check_kind`.
        predicted: The prediction of N points.
        truth: Truth at these points, shape (N,) or as the prediction.
        x: Where the points lie, shape (N,). Default: the number of each point's row.
        output: Which of the D outputs of a regression to draw.
        words: What stands at the axes.

    Returns:
        The figure.

    Raises:
        InputError: If truth or x do not fit the prediction.
    """
    pred = predicted.pred
    if isinstance(pred, RegressionPredictive):
        y = None if truth is None else _column(truth, pred.mean.shape, output)
        if kind == "band":
            figure = _draw_band(pred, predicted.rows if x is None else x, y, output, words)
            if x is None:
                figure.axes[0].xaxis.set_major_formatter("{x:,.0f}")  # no powers of ten
            return figure
        if kind == "refusal":
            assert y is not None  # checked by check_kind
            return _draw_refused_error(pred, y, output, words)
        return _draw_spreads(pred, output, words)
    right = None if truth is None else _right(pred, truth)
    if kind == "refusal":
        assert right is not None  # checked by check_kind
        return _draw_refusal(pred, right, words)
    measures = {label: getattr(pred, name).ravel() for name, label in _MEASURES.items()}
    return _draw_histograms(measures, right, words)


def _draw_band(pred: RegressionPredictive, x: NDArray[Any], y: Floats | None, output: int, words: Words) -> "Figure":
    """Draw mean and bands, the wider one with the noise where it is known, and the truth over them."""
    from mcdrop.plots import plot_band, plot_envelope
    from mcdrop.plots.canvas import check_points, get_axes, set_labels, set_legend

    places, order = check_points(x, len(pred))  # before a figure is made
    title = None
    if len(pred) > MOST:
        ax = plot_envelope(pred, x, noise_std=pred.noise_std, output=output)
        legend = ax.get_legend()
        title = None if legend is None else legend.get_title().get_text()
    else:
        ax = get_axes(None, figsize=(8.5, 3.8))
        if pred.noise_std is not None:
            plot_band(pred, x, ax=ax, noise_std=pred.noise_std, alpha=0.2, output=output)
            ax.lines[-1].remove()  # the next one is the same
            ax.collections[-1].set_label("± 2 std with noise")
        plot_band(pred, x, ax=ax, alpha=0.4, output=output)
        ax.collections[-1].set_label("± 2 std")
        ax.lines[-1].set_label("mean")
    if y is not None:
        _draw_truth(ax, places, y[order])
    set_labels(ax, xlabel=words.xlabel, ylabel=words.ylabel, title=words.title)
    set_legend(ax, title=title)
    return _figure(ax)


def _draw_truth(ax: "Axes", x: Floats, y: Floats) -> None:
    """Draw the truth, of many points some, evenly chosen along x."""
    from mcdrop.plots.canvas import COLORS

    shown = np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST)).astype(np.intp))
    label = "truth" if len(shown) == len(y) else f"truth: {len(shown):,}\nof the points"
    look: dict[str, Any] = {"marker": "x", "markersize": 3.5, "markeredgewidth": 0.7}
    if len(shown) > _CROWD:
        look = {"marker": ".", "markersize": 2.5, "alpha": 0.5}
    ax.plot(x[shown], y[shown], linestyle="", color=COLORS[-1], label=label, **look)


def _draw_refusal(pred: ClassificationPredictive, right: NDArray[np.bool_], words: Words) -> "Figure":
    from mcdrop.plots import plot_refusal
    from mcdrop.scores import refusal_curve

    names = ("entropy", "mutual_information", "variation_ratio")
    curves = {name.replace("_", " "): refusal_curve(right, getattr(pred, name).ravel()) for name in names}
    return _figure(plot_refusal(curves, title=words.title))


def _draw_refused_error(pred: RegressionPredictive, y: Floats, output: int, words: Words) -> "Figure":
    from mcdrop.plots import plot_refused_error
    from mcdrop.scores import refused_error_curve

    mean = pred.mean.reshape(len(pred), -1)[:, output]
    label = f"RMSE of the predictions kept\n({_unit(words)})"
    curves = {name: refused_error_curve(y - mean, std) for name, std in _spreads(pred, output).items()}
    return _figure(plot_refused_error(curves, ylabel=label, title=words.title))


def _draw_spreads(pred: RegressionPredictive, output: int, words: Words) -> "Figure":
    spreads = _spreads(pred, output)
    return _draw_histograms({f"{name} ({_unit(words)})": values for name, values in spreads.items()}, None, words)


def _draw_histograms(values: Mapping[str, Floats], right: NDArray[np.bool_] | None, words: Words) -> "Figure":
    """Draw one histogram below another, all answers or right and wrong ones."""
    import matplotlib.pyplot as plt

    from mcdrop.plots import plot_measure_distribution

    figure, grid = plt.subplots(len(values), 1, figsize=(7.0, 0.6 + 2.4 * len(values)), layout="constrained")
    for ax, (label, column) in zip(np.atleast_1d(grid), values.items(), strict=True):
        kind = "share of all points" if right is None else "share of each kind"
        plot_measure_distribution(column, right, ax=ax, xlabel=label, ylabel=kind)
    figure.suptitle(words.title)
    return figure


def _spreads(pred: RegressionPredictive, output: int) -> dict[str, Floats]:
    """Return the standard deviations of one output; with a noise that differs between points, the total one, too."""
    spreads = {"std": pred.std}
    if isinstance(pred.noise_std, np.ndarray) and pred.noise_std.ndim:
        spreads["total std"] = pred.total_std()
    return {name: np.asarray(std.reshape(len(pred), -1)[:, output], np.float64) for name, std in spreads.items()}


def _right(pred: ClassificationPredictive, truth: NDArray[Any]) -> NDArray[np.bool_]:
    from mcdrop.scores import correct

    try:
        return correct(truth, pred.probs).ravel()
    except InputError as error:
        raise InputError(f"truth does not fit the prediction: {error}") from error


def _column(truth: NDArray[Any], shape: tuple[int, ...], output: int) -> Floats:
    """Return the truth of one output; a single column stands for a prediction of one output."""
    columns = truth.reshape(len(truth), -1)
    expected = int(np.prod(shape[1:]))
    if columns.shape[1] != expected:
        raise InputError(
            f"truth must have the shape of the predicted mean, {shape}, got {truth.shape}; give all {expected} outputs"
        )
    return np.asarray(columns[:, output], dtype=np.float64)


def _unit(words: Words) -> str:
    """Return the unit of what is predicted, if its label ends with one in parentheses."""
    start, _, unit = words.ylabel.rpartition("(")
    return unit.removesuffix(")") if start and words.ylabel.endswith(")") else "units of y"


def _figure(ax: "Axes") -> "Figure":
    from matplotlib.figure import Figure

    figure = ax.figure
    assert isinstance(figure, Figure)  # the Axes are our own
    return figure
