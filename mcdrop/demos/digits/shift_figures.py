"""The shift protocol's figures: scores by angle, AUROC by angle, calibration, refusal, right against wrong answers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mcdrop.demos.digits.shift import MODELS, SHIFT_ANGLES, Shift
from mcdrop.demos.digits.shift_scores import MEAN_ENTROPY, MEASURES, TURNED, WRONG, ShiftScores
from mcdrop.plots import plot_measure_distribution, plot_refusal, plot_reliability, plot_shift
from mcdrop.plots.canvas import line_style, pick_colors
from mcdrop.scores import correct, refusal_curve, reliability_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_auroc", "draw_refusal", "draw_reliability", "draw_right_wrong", "draw_shift"]

_ANGLE = "rotation (degrees)"

_PANELS = {
    "accuracy": "accuracy (share of right answers)",
    "NLL": "NLL (nats)",
    "Brier": "Brier score (0 to 2)",
    "ECE": "expected calibration error (share)",
    MEAN_ENTROPY: "mean entropy (nats)",
}
"""Scores and their names on the axes."""

_UNITS = {"entropy": "nats", "mutual information": "nats", "variation ratio": "share of passes"}


def draw_shift(scores: ShiftScores) -> "Figure":
    """Draw accuracy, NLL, Brier score, ECE and mean entropy by angle."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(12.5, 7), sharex=True, layout="constrained")
    for ax, (score, label) in zip(axes.flat, _PANELS.items(), strict=False):
        _draw_curve(ax, scores, score, label)
    axes[0, 2].tick_params(labelbottom=True)  # there is no panel below it
    axes[0, 2].set_xlabel(_ANGLE)
    axes[0, 0].set_ylim(0, 1)
    key = axes[1, 2]
    key.axis("off")
    handles = axes[0, 0].get_legend_handles_labels()
    key.legend(*handles, loc="center left", frameon=False, fontsize="large", title=_bars(scores))
    return figure


def draw_auroc(scores: ShiftScores) -> "Figure":
    """Draw how well each measure tells turned from upright digits, and wrong from right answers, by angle."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(12.5, 7.5), sharex=True, sharey=True, layout="constrained")
    tasks = (("turned from upright digits", TURNED), ("wrong from right answers", WRONG))
    for row, (task, columns) in zip(axes, tasks, strict=True):
        for ax, measure, score in zip(row, MEASURES, columns, strict=True):
            _draw_curve(ax, scores, score, None)
            ax.axhline(0.5, color="0.5", linewidth=1.0, zorder=1.5)
            ax.set_title(f"{task},\nby {measure}")
        row[0].set_ylabel("AUROC (0.5: a coin)")
    _share_legend(figure, axes[0, 0], title=_bars(scores))
    return figure


def draw_reliability(shift: Shift) -> "Figure":
    """Draw accuracy against confidence, of the digits as written and of the turned ones."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(13, 4.4), sharey=True, layout="constrained")
    for ax, (title, places) in zip(axes, _halves().items(), strict=True):
        y = shift.answers(len(places))
        curves = {name: reliability_curve(y, pred.probs) for name, pred in _ordered(shift.at(*places)).items()}
        plot_reliability(curves, ax=ax, title=title, ylabel=None)
    axes[0].set_ylabel("accuracy (share right in a bin)")
    return figure


def draw_refusal(shift: Shift) -> "Figure":
    """Draw the accuracy of the answers kept when those of highest entropy are refused, upright and turned."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    for ax, (title, places) in zip(axes, _halves().items(), strict=True):
        y, predictions = shift.answers(len(places)), _ordered(shift.at(*places))
        curves = {name: refusal_curve(correct(y, pred.probs), pred.entropy) for name, pred in predictions.items()}
        plot_refusal(curves, ax=ax, title=title, xlabel="share refused (highest entropy first)", ylabel=None)
        _drop_legend(ax)
    axes[0].set_ylabel("accuracy of the answers kept")
    _share_legend(figure, axes[0])
    return figure


def draw_right_wrong(shift: Shift) -> "Figure":
    """Draw how each measure is spread over right and wrong answers to the digits at all angles."""
    import matplotlib.pyplot as plt

    names = [name for name in (MODELS["mc_dropout_lenet"], MODELS["gp"]) if name in shift.predictions]
    figure, axes = plt.subplots(
        len(names), len(MEASURES), figsize=(13, 3.2 * len(names) + 0.3), squeeze=False, layout="constrained"
    )
    for row, name in zip(axes, names, strict=True):
        pred = shift.predictions[name]
        right = correct(shift.answers(len(SHIFT_ANGLES)), pred.probs)
        for ax, measure in zip(row, MEASURES, strict=True):
            values = getattr(pred, measure.replace(" ", "_"))
            label = f"{measure} ({_UNITS[measure]})"
            plot_measure_distribution(values, right, ax=ax, title=name, xlabel=label, ylabel=None)
            if ax is not row[-1]:
                _drop_legend(ax)
        row[0].set_ylabel("share of the answers\nof each kind")
    return figure


def _draw_curve(ax: "Axes", scores: ShiftScores, score: str, label: str | None) -> None:
    """Draw a score's lines, each at the angles at which the model has it, without a legend."""
    curve = scores.curves[score]
    known = np.isfinite(curve.values) & np.isfinite(curve.errors)
    for number, (name, row) in enumerate(_ordered({name: k for k, name in enumerate(curve.models)}).items()):
        at = known[row]
        if not at.any():
            continue
        values, errors = {name: curve.values[row, at]}, {name: curve.errors[row, at]}
        plot_shift(values, SHIFT_ANGLES[at], errors=errors, ax=ax, xlabel=None, ylabel=label)
        _restyle(ax.containers[-1], number)
        _drop_legend(ax)
    ax.set_xticks(SHIFT_ANGLES[::3])
    if ax.get_subplotspec().is_last_row():  # type: ignore[union-attr]  # made by subplots
        ax.set_xlabel(_ANGLE)


def _restyle(drawn: Any, number: int) -> None:
    """Give a line with its bars the look of that number, which no panel's gaps can change."""
    line, caps, bars = drawn.lines
    color = pick_colors(None, number + 1)[number]
    line.set(**line_style(number, color))
    for cap in caps:
        cap.set_markeredgecolor(color)
    for bar in bars:
        bar.set_color(color)


def _ordered(models: Mapping[str, Any]) -> dict[str, Any]:
    """Return the models with those in front that have all measures."""
    return dict(sorted(models.items(), key=lambda item: item[0].startswith("softmax")))


def _halves() -> dict[str, Sequence[int]]:
    """Return the upright and the turned digits' places among the angles."""
    turned = range(1, len(SHIFT_ANGLES))
    return {"as written": [0], f"turned by {SHIFT_ANGLES[1]}° to {SHIFT_ANGLES[-1]}°": list(turned)}


def _share_legend(figure: "Figure", ax: "Axes", *, title: str | None = None) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False, title=title)


def _drop_legend(ax: "Axes") -> None:
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()


def _bars(scores: ShiftScores) -> str:
    return f"{scores.digits:,} digits; bars: one standard error"
