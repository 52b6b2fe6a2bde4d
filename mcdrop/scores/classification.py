r"""Scores of a classification: whether the answer is right, and what probability the truth was given.

With the true class y and probabilities p over K classes:

- correct: $\arg\max_k p_k = y$;
- negative log-likelihood: $-\log p_y$, in nats;
- Brier score: $\sum_k (p_k - [k = y])^2$, from 0 (certain and right) to 2 (certain and wrong).

References:
    Brier, G. (1950). Verification of Forecasts Expressed in Terms of Probability. Monthly Weather Review 78.
    https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2 (eq. 2, the sum over all classes).
    Gneiting, T. and Raftery, A. (2007). Strictly Proper Scoring Rules, Prediction, and Estimation. JASA 102.
    https://doi.org/10.1198/016214506000001437 (section 3).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.scores.arrays import check_labels, check_probs

__all__ = ["brier", "categorical_nll", "correct"]

Floats = NDArray[np.float64]


def correct(y: ArrayLike, probs: ArrayLike) -> NDArray[np.bool_]:
    """Return whether the most probable class is the true one; of equal ones the first is the answer.

    Args:
        y: True classes, integers from 0 to K - 1, shape (N,) (or more axes).
        probs: Class probabilities, shape (N, K).

    Returns:
        Shape of y; the average is the accuracy.

    Raises:
        InputError: If the shapes do not fit, a label names no class, or `probs` holds no probabilities.
    """
    chances = check_probs(probs)
    return np.asarray(chances.argmax(axis=-1) == check_labels(y, chances))


def categorical_nll(y: ArrayLike, probs: ArrayLike) -> Floats:
    """Return the negative log-likelihood of the true class, in nats.

    Args:
        y: True classes, integers from 0 to K - 1, shape (N,) (or more axes).
        probs: Class probabilities, shape (N, K).

    Returns:
        Shape of y, at least 0; infinite where the true class was given probability 0.

    Raises:
        InputError: If the shapes do not fit, a label names no class, or `probs` holds no probabilities.

    Example:
        >>> categorical_nll([0, 1], [[0.5, 0.5], [0.9, 0.1]]).round(3).tolist()
        [0.693, 2.303]
    """
    chances = check_probs(probs)
    with np.errstate(divide="ignore"):
        return np.asarray(0.0 - np.log(_of_truth(check_labels(y, chances), chances)))


def brier(y: ArrayLike, probs: ArrayLike) -> Floats:
    """Return the Brier score, summed over classes.

    For two classes it is twice the score of the one probability that is often reported.

    Args:
        y: True classes, integers from 0 to K - 1, shape (N,) (or more axes).
        probs: Class probabilities, shape (N, K).

    Returns:
        Shape of y, from 0 (certain and right) to 2 (certain and wrong).

    Raises:
        InputError: If the shapes do not fit, a label names no class, or `probs` holds no probabilities.
    """
    chances = check_probs(probs)
    labels = check_labels(y, chances)[..., None]
    gaps = chances.copy()  # the truth's own square is not subtracted afterwards: that would leave its rounding
    np.put_along_axis(gaps, labels, np.take_along_axis(chances, labels, axis=-1) - 1, axis=-1)
    return np.asarray((gaps**2).sum(axis=-1))


def _of_truth(labels: NDArray[np.int64], probs: Floats) -> Floats:
    """Return the probability of the true class."""
    return np.take_along_axis(probs, labels[..., None], axis=-1)[..., 0]
