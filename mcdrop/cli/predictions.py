"""Predictions from files, put beside one another and beside the truth by the rows of the input.

A file may lack rows: `mcdrop predict --on-nan skip` leaves them out, `--on-nan keep` writes NaN for them. The truth has
a value for every row of the input, and models are compared on the rows that all of them predict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import DataError, InputError
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.predictive.points import at_points

__all__ = ["Predicted", "as_truth", "check_kinds", "check_rows", "common_rows", "read_predicted", "unique_names"]

Rows = NDArray[np.int64]

_KINDS = {RegressionPredictive: "regression", ClassificationPredictive: "classification"}


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """A prediction, and which rows of the input its points are.

    Attributes:
        path: Its file.
        pred: The prediction of the N points that could be predicted.
        rows: The number of each point's row in the input, shape (N,).
        inputs: Number of rows of the input; None where the file leaves rows out and so does not say.
    """

    path: Path
    pred: RegressionPredictive | ClassificationPredictive
    rows: Rows
    inputs: int | None

    @property
    def kind(self) -> str:
        """Return "regression" or "classification"."""
        return _KINDS[type(self.pred)]

    @property
    def outputs(self) -> int:
        """Return the number of outputs D of a regression, 1 of a classification."""
        return int(np.prod(self.pred.mean.shape[1:])) if isinstance(self.pred, RegressionPredictive) else 1

    def at(self, rows: Rows) -> RegressionPredictive | ClassificationPredictive:
        """Return the prediction at some of its rows, in their order."""
        if np.array_equal(rows, self.rows):
            return self.pred
        order = np.argsort(self.rows, kind="stable")
        places = order[np.searchsorted(self.rows, rows, sorter=order)]
        if isinstance(self.pred, RegressionPredictive):
            return at_points(self.pred, places)
        return at_points(self.pred, places)


def read_predicted(path: Path) -> Predicted:
    """Read what `pred.save` or `mcdrop predict` wrote.

    Raises:
        DataError: If there is no such file, it holds something else, or nothing in it could be predicted.
    """
    from mcdrop import storage
    from mcdrop.loading import load

    archive = storage.read(path)
    if archive.kind not in {kind.__name__ for kind in _KINDS}:
        raise DataError(
            f"{path}: expected a prediction, got a {archive.kind}; predict with it in Python and save the prediction"
        )
    pred = load(path, missing="drop")
    assert isinstance(pred, RegressionPredictive | ClassificationPredictive)  # by its kind
    missing, known = storage.missing_points(archive), storage.point_rows(archive)
    rows = np.arange(len(missing), dtype=np.int64) if known is None else known
    said = archive.attributes.get("input_rows")
    whole = known is None or missing.any()  # a file that keeps the missing rows has all of them
    inputs = len(rows) if whole else said if isinstance(said, int) else None
    return Predicted(path, pred, rows[~missing], inputs)


def check_kinds(predicted: Sequence[Predicted]) -> None:
    """Refuse regressions beside classifications.

    Raises:
        InputError: Naming the files of each kind.
    """
    if len({each.kind for each in predicted}) > 1:
        listed = ", ".join(f"{each.path}: {each.kind}" for each in predicted)
        raise InputError(
            f"predictions must be all regressions or all classifications, got {listed}; compare each kind by itself"
        )


def check_rows(predicted: Sequence[Predicted], points: int, place: str) -> None:
    """Refuse values that are not one for each row of the input.

    Args:
        predicted: The predictions.
        points: Number of values.
        place: Where they were read.

    Raises:
        InputError: Saying which file has how many points.
    """
    if all(_fits(each, points) for each in predicted):
        return
    listed = ", ".join(f"{each.path} has {_extent(each)}" for each in predicted)
    raise InputError(
        f"expected one value for each row of the predictions' input, got {points:,} in {place}, while {listed}; "
        "take the truth and the predictions of the same inputs"
    )


def common_rows(predicted: Sequence[Predicted]) -> Rows:
    """Return the rows that all files predict, in rising order.

    Raises:
        InputError: If there are fewer than two.
    """
    rows = reduce(np.intersect1d, [each.rows for each in predicted])
    if len(rows) < 2:
        listed = ", ".join(f"{each.path} has {_extent(each)}" for each in predicted)
        raise InputError(f"expected at least 2 rows that all files predict, got {len(rows)}: {listed}; predict more")
    return np.asarray(rows, dtype=np.int64)


def as_truth(values: NDArray[Any], place: str, *, labels: bool) -> NDArray[Any]:
    """Return the truth as it is scored: finite floats, or class numbers where labels are asked for.

    Args:
        values: The numbers that the file holds.
        place: Where they were read, for messages.
        labels: Whether the predictions are of classes.

    Raises:
        InputError: If they are not finite, or are no classes.
    """
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        raise InputError(
            f"truth must be known in every row, got NaN or infinity in {np.count_nonzero(bad):,} of {len(bad):,} rows, "
            f"first in row {bad.argmax()} ({place}); fill them, or predict the other rows alone"
        )
    if not labels:
        return values.astype(np.float64)
    flat = values.reshape(len(values)) if values.shape[1:] == (1,) else values
    whole = flat.astype(np.int64)
    if not np.array_equal(whole, flat):
        odd = flat[whole != flat][0]
        raise InputError(
            f"truth of a classification must hold class numbers from 0, got {odd:g} ({place}); is it another column?"
        )
    return whole


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Return the files' stems, with as many of their folders as tell them apart.

    Raises:
        InputError: If a file is given twice.

    Example:
        >>> unique_names([Path("a/net.h5"), Path("b/net.h5"), Path("b/gp.h5")])
        ['a/net', 'b/net', 'gp']
    """
    places = [path.resolve() for path in paths]
    for place, path in zip(places, paths, strict=True):
        if places.count(place) > 1:
            raise InputError(f"expected different files, got {path} twice; name each once")
    names = [path.stem for path in paths]
    twins = [name for name in names if names.count(name) > 1]
    for k, place in enumerate(places):
        if paths[k].stem in twins:
            rivals = [other for other in places if other != place and other.stem == place.stem]
            names[k] = _distinct(place, rivals)
    return names


def _distinct(place: Path, rivals: Sequence[Path]) -> str:
    """Return the end of a path that no other one has, without the file's ending if that is enough."""
    for depth in range(1, len(place.parts)):
        end = place.with_suffix("").parts[-depth:]
        if all(rival.with_suffix("").parts[-depth:] != end for rival in rivals):
            return "/".join(end)
    return place.name


def _fits(predicted: Predicted, points: int) -> bool:
    return bool(predicted.rows.max() < points) if predicted.inputs is None else predicted.inputs == points


def _extent(predicted: Predicted) -> str:
    """Return how many points a file has, and where, in words."""
    if predicted.inputs is None:
        return f"{len(predicted.rows):,} points (up to row {predicted.rows.max():,})"
    kept = "" if len(predicted.rows) == predicted.inputs else f", {len(predicted.rows):,} of them predicted"
    return f"{predicted.inputs:,} points{kept}"
