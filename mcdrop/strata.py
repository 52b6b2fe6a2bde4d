r"""Strata of passes: within a block of 25 consecutive passes every unit's uniform falls into each 25th of [0, 1) once.

Pass t is number $j = t \bmod 25$ of its block. A unit with the word $w$ in that pass has the uniform

$$U = \frac{\pi(j) + w / 2^{32}}{25}, \qquad \pi(j) = a j + b,$$

where j, a and b are elements of the field of 25 elements, and the map $\pi$, one of the 600 with $a \ne 0$, is drawn
for each unit and block. Each pass alone is an exact draw, independent over the units. Of two passes of a block, the two
strata of a unit are any two different ones, each pair as likely as another: just as of uniform permutations, so that
means over a block have the variance of a Latin hypercube sample, though a pass needs no other pass to be drawn.

What a mean over a block owes to each unit alone then varies by $f (1 - f) / 25^2$ instead of $p (1 - p) / 25$, f being
the fractional part of 25 p; what units only do together varies as before.

References:
    McKay, M. D., Beckman, R. J. and Conover, W. J. (1979). A Comparison of Three Methods for Selecting Values of Input
    Variables in the Analysis of Output from a Computer Code. Technometrics 21(2). https://doi.org/10.2307/1268522
    Stein, M. (1987). Large Sample Properties of Simulations Using Latin Hypercube Sampling. Technometrics 29(2).
    https://doi.org/10.1080/00401706.1987.10488205 (what is left of the variance: theorem 1 and its corollary).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRATA", "pick_maps", "stratify"]

STRATA = 25
"""Passes in a block, and strata of a unit.

It divides the usual numbers of passes, and 100 passes have four blocks, whose spread tells an error. More strata would
gain more and leave fewer blocks.
"""

_ROOT = 5  # of the number of elements: they are u r + v with u and v modulo 5 and r * r = 2, numbered 5 u + v


def _affine_maps() -> NDArray[np.uint64]:
    """Return where each map takes each place, shape (25, 600), times 2^32."""
    u, v = np.divmod(np.arange(STRATA), _ROOT)
    product = _ROOT * (np.outer(u, v) + np.outer(v, u)) % STRATA + (np.outer(v, v) + 2 * np.outer(u, u)) % _ROOT
    total = _ROOT * np.add.outer(u, u) % STRATA + np.add.outer(v, v) % _ROOT
    images = total[product[1:]]  # by a, place and b
    lifted: NDArray[np.uint64] = images.transpose(1, 0, 2).reshape(STRATA, -1).astype(np.uint64) << np.uint64(32)
    return lifted


_IMAGES = _affine_maps()


def pick_maps(words: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Return which of the maps each unit takes in a block.

    Args:
        words: Random 32-bit words of the units, any shape.

    Returns:
        Same shape, each of the 600 maps as likely as another to within a share of 2e-7.
    """
    return ((words * np.uint64(_IMAGES.shape[1])) >> np.uint64(32)).astype(np.uint16)


def stratify(words: NDArray[np.uint32], maps: NDArray[np.uint16], place: int) -> NDArray[np.uint32]:
    """Move the words of one pass into their strata.

    Args:
        words: Random 32-bit words of the units in that pass, any shape.
        maps: Which map each unit takes in the block of the pass, same shape.
        place: Number of the pass in its block, from 0 to 24.

    Returns:
        Words of the same shape: uniform again if words and maps are, and one from each stratum over a block.

    Example:
        >>> words = np.zeros(3, dtype=np.uint32)
        >>> maps = pick_maps(np.array([0, 2**31, 2**32 - 1], dtype=np.uint32))
        >>> [(stratify(words, maps, place) * (25 / 2**32)).round().astype(int).tolist() for place in (0, 1)]
        [[0, 0, 24], [1, 13, 18]]
    """
    moved: NDArray[np.uint64] = _IMAGES[place].take(maps)
    moved += words
    moved //= np.uint64(STRATA)
    return moved.astype(np.uint32)
