"""Images side by side: the rotated digits of the tutorial's section 5.1."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mcdrop.errors import InputError
from mcdrop.plots.canvas import get_axes, set_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_image_strip"]


def plot_image_strip(
    images: ArrayLike,
    *,
    ax: "Axes | None" = None,
    titles: Sequence[object] | None = None,
    cmap: str = "gray",
    xlabel: str | None = None,
    title: str | None = None,
) -> "Axes":
    """Draw N gray images in a row, on one scale from the darkest to the brightest pixel of all.

    Image n is centered at x = n, counted from 1, so the strip lines up with `plot_softmax_scatter` above or
    below it when the two share their x axis.

    Args:
        images: Gray levels, shape (N, H, W) or (N, 1, H, W).
        ax: Where to draw. Default: a new figure.
        titles: One text or number per image, written under it.
        cmap: Matplotlib color map.
        xlabel: What the titles are, with their unit.
        title: Title of the Axes.

    Returns:
        The Axes.

    Raises:
        InputError: If `images` is not a finite array of such a shape, or `titles` are not one per image.
    """
    pixels = np.asarray(images)
    if pixels.ndim == 4 and pixels.shape[1] == 1:
        pixels = pixels[:, 0]
    if pixels.ndim != 3 or pixels.size == 0 or pixels.dtype.kind not in "biuf" or not np.isfinite(pixels).all():
        raise InputError(
            f"images must be finite gray levels of shape (N, H, W) or (N, 1, H, W), got {pixels.dtype} of "
            f"shape {pixels.shape}; give one image per place in the row"
        )
    count, height, width = pixels.shape
    if titles is not None and len(titles) != count:
        raise InputError(f"titles must be one per image, expected {count}, got {len(titles)}; or leave them out")
    ax = get_axes(ax, figsize=(8.0, 8.0 * height / (width * count) + (0.5 if titles is not None else 0.1)))
    ax.imshow(np.hstack(list(pixels)), cmap=cmap, extent=(0.5, count + 0.5, 0.0, height / width))
    ax.set_xticks(range(1, count + 1), None if titles is None else [str(text) for text in titles])
    ax.set_yticks([])
    ax.tick_params(length=0, labelbottom=titles is not None)
    for spine in ax.spines.values():
        spine.set_visible(False)
    set_labels(ax, xlabel=xlabel, ylabel=None, title=title)
    return ax
