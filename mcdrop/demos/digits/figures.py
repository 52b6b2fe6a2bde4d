"""The digits demo's figures: the turned digit, its softmax scatter, and its probabilities and measures."""

from typing import TYPE_CHECKING

import numpy as np

from mcdrop.demos.digits.sweep import ANGLES, TITLES, Sweep
from mcdrop.plots import plot_class_probs, plot_image_strip, plot_measures, plot_softmax_scatter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_softmax", "draw_strip", "draw_uncertainty"]


def draw_strip(sweep: Sweep) -> "Figure":
    """Draw the digit at every angle, as written first."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(9, 1.15), layout="constrained")
    images = np.concatenate([sweep.upright[None], sweep.turned])
    plot_image_strip(images, ax=ax, titles=["as written", *(f"{angle}°" for angle in ANGLES)], xlabel="rotation")
    return figure


def draw_softmax(sweep: Sweep, name: str) -> "Figure":
    """Draw every pass's softmax inputs and outputs over the images, for the classes that win somewhere."""
    import matplotlib.pyplot as plt

    pred = sweep.predictions[name]
    figure, axes = plt.subplots(
        2, 2, figsize=(13, 5), sharex=True, layout="constrained", gridspec_kw={"height_ratios": [5, 1]}
    )
    shown = (("softmax input (logit)", pred.samples), ("softmax output (probability)", pred.prob_samples))
    for (scatter, strip), (label, samples) in zip(axes.T, shown, strict=True):
        if samples is None:  # the demo keeps them; a type checker cannot know
            continue
        plot_softmax_scatter(samples, sweep.winners(name), ax=scatter, xlabel=None, ylabel=label)
        scatter.set_title(f"{TITLES[name]}: {label}")
        plot_image_strip(sweep.turned, ax=strip, titles=[f"{angle}°" for angle in ANGLES], xlabel="rotation")
    return figure


def draw_uncertainty(sweep: Sweep, name: str) -> "Figure":
    """Draw class probabilities with and without MC dropout, and the measures, over the angle."""
    import matplotlib.pyplot as plt

    pred = sweep.predictions[name]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 6.5), sharex=True, layout="constrained")
    plot_class_probs(pred, ANGLES, deterministic=sweep.averaged[name], ax=top)
    top.set_title(f"{TITLES[name]}: class probabilities of the turned {sweep.label}")
    plot_measures(pred, ANGLES, ax=bottom, xlabel="rotation (degrees)")
    bottom.set_title("Measures of uncertainty")
    bottom.set_xticks(ANGLES)
    return figure
