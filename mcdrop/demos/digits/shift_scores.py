"""The scores of the shift protocol, by angle and over all angles, each with its bootstrap standard error.

At one angle the digits are independent. The turns of one digit are not: standard errors that take them so come out 1.3
to 1.9 times too small here, and so the bootstrap draws whole digits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.demos.digits.shift import MODELS, SHIFT_ANGLES, Shift
from mcdrop.progress import track

if TYPE_CHECKING:
    from mcdrop.comparison import Comparison

__all__ = ["MEAN_ENTROPY", "MEASURES", "REFUSED", "SCORES", "TURNED", "WRONG", "Curve", "ShiftScores", "score_shift"]

Floats = NDArray[np.float64]

SCORES = ("accuracy", "NLL", "Brier", "ECE")
"""What is scored at every angle."""

MEASURES = ("entropy", "mutual information", "variation ratio")
"""What may tell turned from upright digits and wrong from right answers."""

WRONG = tuple(f"AUROC wrong, {measure}" for measure in MEASURES)
TURNED = tuple(f"AUROC shifted, {measure}" for measure in MEASURES)

REFUSED = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of the answers that are refused."""

MEAN_ENTROPY = "mean entropy"


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One score of M models at the A angles of the protocol.

    Attributes:
        models: Their names.
        values: Shape (M, A); NaN where a model does not have the score.
        errors: Bootstrap standard errors, shape (M, A); NaN where there is none.
        best: Which value is the best at its angle, shape (M, A).
        near: Which one is not the best but within noise of it, shape (M, A).
    """

    models: tuple[str, ...]
    values: Floats
    errors: Floats
    best: NDArray[np.bool_]
    near: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ShiftScores:
    """All scores of the protocol.

    Attributes:
        digits: Number of digits N.
        passes: Number of passes T.
        curves: Every score by angle, by its name.
        overall: The scores of the digits at all angles, among them how well each measure tells turned from upright
            digits.
    """

    digits: int
    passes: int
    curves: dict[str, Curve]
    overall: "Comparison"

    @property
    def models(self) -> list[str]:
        """Names of the models."""
        return list(self.overall.index)

    def numbers(self) -> dict[str, Any]:
        """Return everything as plain data, by model and score; None where a model does not have a score."""
        models: dict[str, Any] = {}
        for key, name in _keyed(self.models):
            by_angle = {where: _plain(row) for where, row in self._rows(name).items()}
            overall = {
                _slug(score): {
                    "value": _number(self.overall.at[name, score]),
                    "error": _number(self.overall.errors.at[name, score]),
                }
                for score in self.overall.columns
            }
            models[key] = {"by_angle": by_angle, "all_angles": overall}
        return {"angles": SHIFT_ANGLES.tolist(), "digits": self.digits, "passes": self.passes, "models": models}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the scores by angle, by the name each has in the HDF5 file."""
        arrays: dict[str, NDArray[Any]] = {"shift/angle": SHIFT_ANGLES}
        for key, name in _keyed(self.models):
            arrays |= {f"shift/{key}/{where}": row for where, row in self._rows(name).items()}
        return arrays

    def _rows(self, model: str) -> dict[str, Floats]:
        """Return a model's scores and their errors, one value per angle."""
        rows = {}
        for score, curve in self.curves.items():
            row = curve.models.index(model)
            rows[_slug(score)], rows[f"{_slug(score)}_error"] = curve.values[row], curve.errors[row]
        return rows


def score_shift(shift: Shift, *, resamples: int, seed: int, progress: bool) -> ShiftScores:
    """Score every model at every angle, and at all of them together.

    Args:
        shift: The predictions.
        resamples: Number of bootstrap resamples.
        seed: Of the resamples.
        progress: Whether to show a progress bar.
    """
    from mcdrop.comparison import compare

    count, places = len(shift.labels), range(len(SHIFT_ANGLES))
    options: dict[str, Any] = {"resamples": resamples, "seed": seed}
    with track(2 * len(places), "Scoring the turned digits", enabled=progress) as advance:
        at_angle, apart = [], []
        for k in places:
            at_angle.append(compare(shift.at(k), shift.labels, scores=[*SCORES, *WRONG], **options))
            advance(1)
        for k in places[1:]:
            flags = np.repeat([False, True], count)
            pairs = np.tile(np.arange(count), 2)
            table = compare(shift.at(0, k), shift.answers(2), shifted=flags, groups=pairs, scores=TURNED, **options)
            apart.append(table)
            advance(1)
        overall = compare(
            shift.predictions,
            shift.answers(len(places)),
            shifted=np.arange(len(shift.images)) >= count,
            groups=np.tile(np.arange(count), len(places)),
            refused=REFUSED,
            scores=[*SCORES, *TURNED, *WRONG, *(f"accuracy at {share:.0%} refused" for share in REFUSED)],
            **options,
        )
        advance(1)
    curves = {score: _curve(at_angle, score) for score in (*SCORES, *WRONG)}
    curves |= {score: _curve(apart, score) for score in TURNED}
    return ShiftScores(count, shift.passes, curves | {MEAN_ENTROPY: _entropies(shift)}, overall)


def _curve(tables: Sequence["Comparison"], score: str) -> Curve:
    """Return one column of the comparisons at all angles, or at all but the first."""

    def stacked(parts: Sequence[Any]) -> Any:
        columns = [part[score].to_numpy(dtype=np.float64, na_value=np.nan) for part in parts]
        return np.stack([np.full_like(columns[0], np.nan)] * (len(SHIFT_ANGLES) - len(columns)) + columns, axis=1)

    return Curve(
        models=tuple(tables[0].index),
        values=stacked(tables),
        errors=stacked([table.errors for table in tables]),
        best=stacked([table.best for table in tables]) == 1,
        near=stacked([table.tied for table in tables]) == 1,
    )


def _entropies(shift: Shift) -> Curve:
    """Return the mean entropy, which is neither good nor bad by itself: the more turned, the larger it should be."""
    by_angle = np.stack([p.entropy.reshape(len(SHIFT_ANGLES), -1) for p in shift.predictions.values()])
    values, spread = by_angle.mean(axis=2), by_angle.std(axis=2, ddof=1)
    none = np.zeros(values.shape, dtype=np.bool_)
    return Curve(tuple(shift.predictions), values, spread / np.sqrt(by_angle.shape[2]), none, none)


def _keyed(models: Sequence[str]) -> list[tuple[str, str]]:
    """Return key and name of the models that are there."""
    return [(key, name) for key, name in MODELS.items() if name in models]


def _slug(score: str) -> str:
    """Return a score's name as a key: no capitals, no spaces."""
    return score.lower().replace("shifted", "turned").replace(",", "").replace("%", "_percent").replace(" ", "_")


def _plain(row: Floats) -> list[float | None]:
    return [_number(value) for value in row]


def _number(value: Any) -> float | None:
    """Return what JSON knows: a finite number, or None."""
    try:
        number = float(value)
    except TypeError:  # pandas.NA
        return None
    return number if np.isfinite(number) else None
