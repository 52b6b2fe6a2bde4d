r"""Ranking: does an uncertainty point at the answers that are wrong, or at the inputs that are strange.

- AUROC: the probability that a positive point is more uncertain than a negative one, ties counting half.
- Refusal curve: the accuracy of the answers kept when the least certain share of them is refused.
- Refused error: the root mean squared error of the numbers kept, likewise.

References:
    Hanley, J. and McNeil, B. (1982). The meaning and use of the area under a receiver operating characteristic (ROC)
    curve. Radiology 143. https://doi.org/10.1148/radiology.143.1.7063747.
    El-Yaniv, R. and Wiener, Y. (2010). On the Foundations of Noise-free Selective Classification. JMLR 11.
    https://jmlr.org/papers/v11/el-yaniv10a.html (risk against coverage: section 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import InputError
from mcdrop.scores.arrays import check_flags, check_floats

__all__ = ["SHARES", "RefusalCurve", "RefusedErrorCurve", "auroc", "refusal_curve", "refused_error_curve"]

Floats = NDArray[np.float64]

SHARES = tuple(round(0.05 * k, 2) for k in range(20))
"""Shares refused in a curve: 0, 5%, ... 95%."""


@dataclass(frozen=True, slots=True, eq=False)
class RefusalCurve:
    """Accuracy of the answers that are kept when the least certain are refused.

    Attributes:
        refused: Share of the answers that is refused, shape (S,).
        accuracy: Share of right answers among the others, shape (S,).
    """

    refused: Floats
    accuracy: Floats


@dataclass(frozen=True, slots=True, eq=False)
class RefusedErrorCurve:
    """Error of the predictions that are kept when the least certain are refused.

    Attributes:
        refused: Share of the predictions that is refused, shape (S,).
        rmse: Root mean squared error of the others, in units of y, shape (S,).
    """

    refused: Floats
    rmse: Floats


def refusal_curve(right: ArrayLike, uncertainty: ArrayLike, *, shares: Sequence[float] = SHARES) -> RefusalCurve:
    """Return the accuracy of the answers kept, over a range of shares refused.

    Of N answers, the floor(share x N) least certain are refused; one at least is kept. Where that parts equally
    uncertain answers, the accuracy is its average over their orders, so that the order of the points does not matter.

    Args:
        right: Whether each answer is right, shape (N,) (see `mcdrop.scores.correct`).
        uncertainty: A measure such as the entropy, larger where less certain, shape (N,).
        shares: Shares to refuse, in [0, 1).

    Returns:
        The curve.

    Raises:
        InputError: If the shapes do not fit, a value is not finite, or a share lies outside [0, 1).
    """
    flags, doubt = _ranked("right", right, uncertainty)
    refused = _check_shares(shares)
    return RefusalCurve(refused=refused, accuracy=_mean_kept(flags.astype(np.float64), doubt, refused))


def refused_error_curve(
    errors: ArrayLike, uncertainty: ArrayLike, *, shares: Sequence[float] = SHARES
) -> RefusedErrorCurve:
    """Return the root mean squared error of the predictions kept, over a range of shares refused.

    Ties are dealt with as in `refusal_curve`: equally uncertain predictions count by their average squared error.

    Args:
        errors: Truth minus prediction, in units of y, shape (N,).
        uncertainty: Such as the standard deviation, larger where less certain, shape (N,).
        shares: Shares to refuse, in [0, 1).

    Returns:
        The curve.

    Raises:
        InputError: If the shapes do not fit, a value is not finite, or a share lies outside [0, 1).

    Example:
        >>> (refused_error_curve([0.0, 3.0, 4.0, 1.0], [1, 3, 4, 2], shares=[0, 0.5]).rmse ** 2).round(6)
        array([6.5, 0.5])
    """
    known, doubt = check_floats("errors", errors), check_floats("uncertainty", uncertainty)
    if known.ndim != 1 or doubt.shape != known.shape:
        raise InputError(
            f"errors and uncertainty must have one shape (N,), got {known.shape} and {doubt.shape}; give one value per "
            "point"
        )
    refused = _check_shares(shares)
    return RefusedErrorCurve(refused=refused, rmse=np.sqrt(_mean_kept(known**2, doubt, refused)))


def auroc(uncertainty: ArrayLike, positive: ArrayLike) -> float:
    """Return how well an uncertainty tells positive points (wrong, shifted) from negative ones.

    Args:
        uncertainty: A measure such as the entropy, expected to be larger at positive points, shape (N,).
        positive: Which points are positive, True or 1, shape (N,).

    Returns:
        The area under the receiver operating characteristic: 1 if every positive point is more uncertain than every
        negative one, 0.5 for a coin.

    Raises:
        InputError: If the shapes do not fit, a value is not finite, all points are of one kind, or the uncertainty is
            the same everywhere.

    Example:
        >>> auroc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
        0.75
    """
    from sklearn.metrics import roc_auc_score

    flags, doubt = _ranked("positive", positive, uncertainty)
    if flags.all() or not flags.any():
        kind = "positive" if flags.all() else "negative"
        raise InputError(f"AUROC needs positive and negative points, got {len(flags)} {kind} one(s); it is undefined")
    if doubt.min() == doubt.max():
        raise InputError(
            f"uncertainty must vary, got {doubt[0]:g} at all {len(doubt)} points; a constant ranks nothing"
        )
    return float(roc_auc_score(flags, doubt))


def _ranked(name: str, flags: ArrayLike, uncertainty: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Return yes-or-no values and the uncertainty that ranks them, both (N,)."""
    known, doubt = check_flags(name, flags), check_floats("uncertainty", uncertainty)
    if doubt.shape != known.shape:
        raise InputError(
            f"uncertainty must have the shape of {name}, {known.shape}, got {doubt.shape}; give one value per point"
        )
    return known, doubt


def _check_shares(shares: Sequence[float]) -> Floats:
    refused = check_floats("shares", shares)
    if refused.ndim != 1:
        raise InputError(f"shares must be a list of numbers, got {shares!r}; to refuse 20% pass [0.2]")
    if refused.min() < 0 or refused.max() >= 1:
        raise InputError(
            f"shares must lie from 0 to below 1, got {refused.min():g} to {refused.max():g}; "
            "refusing every answer leaves none to score"
        )
    return refused


def _mean_kept(values: Floats, doubt: Floats, refused: Floats) -> Floats:
    """Return the mean of the values kept, those of equally uncertain points by their average."""
    group, count = np.unique(doubt, return_inverse=True, return_counts=True)[1:]
    held = np.concatenate([[0], np.cumsum(count)])
    won = np.concatenate([[0], np.cumsum(np.bincount(group, weights=values))])
    kept = len(values) - np.floor(refused * len(values) + 1e-9)  # 0.29 * 100 is a little less than 29
    kept = np.maximum(kept, 1)
    return np.asarray(np.interp(kept, held, won) / kept)
