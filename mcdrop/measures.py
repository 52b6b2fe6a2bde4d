r"""Measures: numbers per point that come from the prediction alone.

With $p_t = p(y | x, w_t)$ the softmax output of pass t and $\bar p$ its mean over T passes:

- entropy: $H[\bar p] = -\sum_k \bar p_k \log \bar p_k$, total uncertainty;
- expected entropy: $\frac1T \sum_t H[p_t]$, the aleatoric part;
- mutual information: $H[\bar p] - \frac1T \sum_t H[p_t]$, the epistemic part (BALD);
- variation ratio: $1 - \max_k \frac{\mathrm{votes}_k}{T}$.

References:
    Gal, Y. (2016). Uncertainty in Deep Learning. PhD thesis, University of Cambridge, section 3.3.1
    (variation ratio eq. 3.19, predictive entropy eq. 3.20, mutual information eq. 3.21).
    Houlsby, N. et al. (2011). Bayesian Active Learning for Classification and Preference Learning.
    https://arxiv.org/abs/1112.5745 (eq. 2).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError

__all__ = ["entropy", "expected_entropy", "mutual_information", "variation_ratio"]

Floats = NDArray[np.float64]


def entropy(probs: ArrayLike) -> Floats:
    """Return the Shannon entropy over the last axis, in nats.

    Args:
        probs: Class probabilities, shape (..., K).

    Returns:
        Shape (...), between 0 (certain) and log K (uniform).

    Raises:
        InputError: If a probability lies outside [0, 1] (beyond rounding) or is not a number.
    """
    from scipy.special import entr

    array = np.asarray(probs, dtype=np.float64)
    if not np.all((array >= -1e-9) & (array <= 1 + 1e-6)):
        raise InputError("probs must lie in [0, 1], got values outside or NaN; pass softmax, not logits")
    return np.asarray(entr(np.clip(array, 0.0, 1.0)).sum(axis=-1))


def expected_entropy(samples: ArrayLike) -> Floats:
    """Return the mean entropy of the passes, in nats.

    Args:
        samples: Class probabilities of every pass, shape (T, ..., K).

    Returns:
        Shape (...), between 0 and log K.
    """
    return np.asarray(entropy(samples).mean(axis=0))


def mutual_information(probs: ArrayLike, expected: ArrayLike) -> Floats:
    """Return the mutual information between prediction and weights, in nats.

    Args:
        probs: Mean class probabilities, shape (..., K).
        expected: Mean entropy of the passes in nats, shape (...).

    Returns:
        Shape (...), at least 0: rounding below zero is clipped, since Jensen's inequality forbids it.
    """
    return np.maximum(entropy(probs) - np.asarray(expected, dtype=np.float64), 0.0)


def variation_ratio(votes: ArrayLike) -> Floats:
    """Return the share of passes that did not vote for the most voted class.

    Args:
        votes: Number of passes in which each class won, shape (..., K).

    Returns:
        Shape (...), between 0 (all passes agree) and 1 - 1/K.

    Raises:
        InputError: If a point has no votes at all.
    """
    counts = np.asarray(votes, dtype=np.float64)
    total = counts.sum(axis=-1)
    if not np.all(total > 0):
        raise InputError("every point needs at least one vote, got a row of zeros; count one vote per pass")
    return np.asarray(1.0 - counts.max(axis=-1) / total)
