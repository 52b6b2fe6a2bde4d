"""Every pass of chosen classes against the image number: the figures of the tutorial's section 5.1."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mcdrop.errors import InputError
from mcdrop.plots.canvas import check_classes, check_points, get_axes, pick_colors, set_labels, set_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_softmax_scatter"]


def plot_softmax_scatter(
    samples: ArrayLike,
    classes: Sequence[int],
    *,
    ax: "Axes | None" = None,
    x: ArrayLike | None = None,
    colors: Sequence[str] | None = None,
    alpha: float = 0.1,
    dodge: float = 0.75,
    xlabel: str | None = "image",
    ylabel: str | None = None,
    title: str | None = None,
) -> "Axes":
    """Draw one dash per pass, point and class: where the dashes of two classes mix, the net is unsure.

    The dashes are drawn as pixels even in vector formats, since there are tens of thousands of them.

    Args:
        samples: Softmax inputs (`pred.samples`) or outputs (`pred.prob_samples`) of all passes,
            shape (T, N, K).
        classes: Which of the K classes to draw, in the order of the legend.
        ax: Where to draw. Default: a new figure.
        x: Where the points lie, shape (N,). Default: the image numbers 1 to N.
        colors: One color per class. Default: Okabe and Ito's.
        alpha: Opacity of one dash, so that many passes in one place look darker.
        dodge: Share of the smallest gap between points over which the classes are set side by side, so that
            none hides another; 0 draws them over one another, as the tutorial does.
        xlabel: Name and unit of x.
        ylabel: Name and unit of the samples, such as "softmax input (logit)".
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `samples` is not a finite (T, N, K) array, x, classes or colors do not fit it, or
            `dodge` lies outside [0, 1].
    """
    if samples is None:
        raise InputError("samples must be a (T, N, K) array, got None; predict with keep_samples=True")
    values = np.asarray(samples)
    if values.ndim != 3 or values.size == 0 or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise InputError(
            f"samples must be finite numbers of shape (T, N, K), got {values.dtype} of shape {values.shape}; "
            "predict with keep_samples=True and pass pred.samples or pred.prob_samples"
        )
    passes, count, kinds = values.shape
    points, order = check_points(np.arange(1, count + 1) if x is None else x, count)
    chosen = check_classes(classes, kinds)
    if not 0 <= dodge <= 1:
        raise InputError(f"dodge must lie in [0, 1], got {dodge!r}; 0 draws the classes over one another")
    hues = pick_colors(colors, len(chosen))
    ax = get_axes(ax)
    gap = np.diff(points).min() if count > 1 else 1.0
    shifts = dodge * gap * ((np.arange(len(chosen)) + 0.5) / len(chosen) - 0.5)
    for k, color, shift in zip(chosen, hues, shifts, strict=True):
        heights = values[:, order, k].ravel()
        ax.scatter(
            np.tile(points + shift, passes),
            heights,
            color=color,
            marker="_",
            s=25,
            alpha=alpha,
            label=str(k),
            rasterized=True,
        )
    for handle in set_legend(ax, title="class").legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)
    if x is None:
        ax.set_xticks(points)
    set_labels(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    return ax
