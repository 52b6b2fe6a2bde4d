"""The scores of a classification in a comparison."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop import scores
from mcdrop.comparison.columns import Column, Unsampled, percent
from mcdrop.comparison.resampling import Statistic, auroc_of, ece_of, kept_accuracy_of, mean_of
from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive
from mcdrop.scores.arrays import check_floats
from mcdrop.scores.calibration import BINS

__all__ = ["MEASURES", "ClassificationCase", "classification_columns"]

Floats = NDArray[np.float64]

MEASURES = ("entropy", "expected_entropy", "mutual_information", "variation_ratio")
"""The measures of a classification, as its attributes are called."""

_ROUNDING = 1e-12
"""Differences of a measure that mean nothing: H - H is not always 0 in floating point."""


_FEW = 10
"""Positive or negative points, or groups that hold some, below which an AUROC's standard error means nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassificationCase:
    """A prediction beside the truth.

    Attributes:
        y: True classes, shape (N,).
        probs: Class probabilities, shape (N, K).
        right: Whether each answer is right, shape (N,).
        measures: Every measure by name, each (N,).
        shifted: Which points come from elsewhere, shape (N,), if that is known.
        groups: Number of each point's group, shape (N,).
    """

    y: NDArray[np.int64]
    probs: Floats
    right: NDArray[np.bool_]
    measures: dict[str, Floats]
    shifted: NDArray[np.bool_] | None
    groups: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        pred: ClassificationPredictive,
        y: ArrayLike,
        shifted: NDArray[np.bool_] | None,
        groups: NDArray[np.intp],
    ) -> "ClassificationCase":
        """Put a prediction beside the truth.

        Raises:
            InputError: If they do not fit together, the probabilities are none, or a measure is not finite.
        """
        if pred.probs.ndim != 2:
            raise InputError(
                f"probs must have shape (N, K), got {pred.probs.shape}; "
                "dense predictions cannot be compared: their pixels are no independent points"
            )
        right = scores.correct(y, pred.probs)
        return cls(
            y=np.asarray(y),
            probs=pred.probs,
            right=right,
            measures={name: check_floats(name, getattr(pred, name)) for name in MEASURES},
            shifted=shifted,
            groups=groups,
        )


def classification_columns(refused: Sequence[float], *, shifted: bool) -> list[Column[ClassificationCase]]:
    """Return all scores of a classification; `refused` are the shares of answers not given."""
    columns = [
        Column("accuracy", "share", "higher", lambda c: mean_of(c.right)),
        Column("NLL", "nats", "lower", _nll),
        Column("Brier", "1", "lower", lambda c: mean_of(scores.brier(c.y, c.probs))),
        Column("ECE", "share", "lower", lambda c: ece_of(c.right, c.probs.max(axis=1), BINS)),
    ]
    kinds = ["wrong", "shifted"] if shifted else ["wrong"]
    for kind in kinds:
        for measure in MEASURES:
            columns.append(Column(f"AUROC {kind}, {_spoken(measure)}", "1", "higher", _auroc(kind, measure)))
    for share in refused:
        columns.append(Column(f"accuracy at {percent(share)} refused", "share", "higher", _kept(share)))
    return columns


def _nll(case: ClassificationCase) -> Statistic | Unsampled:
    values = scores.categorical_nll(case.y, case.probs)
    endless = np.count_nonzero(np.isinf(values))
    if endless:
        reason = f"gives the true class probability 0 at {endless} of {len(values)} points, so its NLL is infinite"
        return Unsampled(reason, value=float("inf"))
    return mean_of(values)


def _auroc(kind: str, measure: str) -> Callable[[ClassificationCase], Statistic | Unsampled]:
    def make(case: ClassificationCase) -> Statistic | Unsampled:
        flags, values = (~case.right if kind == "wrong" else case.shifted), case.measures[measure]
        assert flags is not None  # there is no such column without shifted points
        if flags.all() or not flags.any():  # only answers: `compare` refuses shifted points of one kind
            return Unsampled(f"gives {'wrong' if flags.all() else 'right'} answers only, so it has no AUROC wrong")
        if np.ptp(values) <= _ROUNDING:
            return Unsampled(f"has the same {_spoken(measure)} at every point, so that has no AUROC")
        scarce = _scarce(kind, flags, case.groups)
        if scarce is not None:
            reason = f"has an AUROC {kind} that rests on {scarce}: too few for a standard error"
            return Unsampled(reason, value=scores.auroc(values, flags))
        return auroc_of(values, flags)

    return make


def _scarce(kind: str, flags: NDArray[np.bool_], groups: NDArray[np.intp]) -> str | None:
    """Say of which points, those of a kind or the others, there are too few; None if there are enough of both."""
    names = ("wrong answer", "right answer") if kind == "wrong" else ("shifted point", "unshifted point")
    for name, chosen in zip(names, (flags, ~flags), strict=True):
        points, units = int(np.count_nonzero(chosen)), len(np.unique(groups[chosen]))
        if units < _FEW:
            together = "" if units == points else f" in {units} group{'s' * (units > 1)}"
            return f"{points} {name}{'s' * (points > 1)}{together}"
    return None


def _kept(share: float) -> Callable[[ClassificationCase], Statistic]:
    return lambda case: kept_accuracy_of(case.right, case.measures["entropy"], share)


def _spoken(measure: str) -> str:
    return measure.replace("_", " ")
