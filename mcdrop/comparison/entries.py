"""Entries: what is handed to a comparison, checked and put beside the truth."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.comparison.classification import ClassificationCase
from mcdrop.comparison.columns import Column, percent
from mcdrop.comparison.regression import RegressionCase
from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.scores.arrays import check_flags, check_floats, check_level

__all__ = [
    "check_predictions",
    "check_probabilities",
    "classification_cases",
    "naming",
    "number_groups",
    "regression_cases",
    "select_columns",
]

Case = TypeVar("Case")


def check_predictions(predictions: object, y: ArrayLike) -> type:
    """Return the one type that all predictions have.

    Raises:
        InputError: If there are none, they are of several types or no predictives, or their lengths are not that of y.
    """
    if not isinstance(predictions, Mapping) or not predictions:
        got = "an empty mapping" if isinstance(predictions, Mapping) else type(predictions).__name__
        raise InputError(f"predictions must map the name of each model to its prediction, got {got}; see compare")
    if not all(isinstance(name, str) for name in predictions):
        raise InputError(f"predictions must have names of type str, got {list(predictions)}; they head the rows")
    kinds = {name: type(pred) for name, pred in predictions.items()}
    for kind in (RegressionPredictive, ClassificationPredictive):
        if set(kinds.values()) == {kind}:
            break
    else:
        listed = ", ".join(f"{name}: {kind.__name__}" for name, kind in kinds.items())
        raise InputError(
            f"predictions must all be RegressionPredictive or all ClassificationPredictive, got {listed}; "
            "compare each kind by itself"
        )
    lengths = {name: len(pred) for name, pred in predictions.items()}
    try:
        points = np.shape(y)[0] if np.ndim(y) else 0
    except (TypeError, ValueError) as error:
        raise InputError(f"y must be a rectangular array, got {type(y).__name__} ({error}); see compare") from error
    if set(lengths.values()) != {points}:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise InputError(
            f"predictions and y must be of the same points, got {points} in y and {listed}; predict at the points of y"
        )
    if points < 2:
        raise InputError(f"compare needs at least 2 points, got {points}; fewer say nothing about the standard error")
    return kind


def number_groups(groups: ArrayLike | None, points: int) -> NDArray[np.intp]:
    """Return the number of each point's group, from 0 without gaps; without groups each point is one of its own.

    Raises:
        InputError: If there is not one label per point, a label is missing, they are of several types, or there is
            only one group.
    """
    if groups is None:
        return np.arange(points)
    labels = _check_labels(groups, points)
    try:
        names, numbers = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise InputError(f"groups must be labels that can be sorted ({error}); number them") from error
    if len(names) < 2:
        raise InputError("groups must be at least 2, got 1; a single one says nothing about the standard error")
    return np.asarray(numbers, dtype=np.intp)


def regression_cases(
    predictions: Mapping[str, RegressionPredictive],
    y: ArrayLike,
    noise_std: ArrayLike | Mapping[str, ArrayLike] | None,
    *,
    seed: int,
) -> dict[str, RegressionCase]:
    """Put regressions beside the truth, with the noise that holds for each.

    Raises:
        InputError: If a prediction does not fit y, or noise is given for a model that is not there.
    """
    truth = check_floats("y", y)
    named = noise_std if isinstance(noise_std, Mapping) else {}
    strangers = [name for name in named if name not in predictions]
    if strangers:
        raise InputError(f"noise_std must name models of the comparison, {list(predictions)}, got {strangers}")
    cases = {}
    for name, pred in predictions.items():
        noise = named.get(name)
        if noise is None and pred.noise_std is None and not isinstance(noise_std, Mapping):
            noise = noise_std
        with naming(name):
            cases[name] = RegressionCase.of(pred, truth, noise, seed=seed)
    return cases


def classification_cases(
    predictions: Mapping[str, ClassificationPredictive],
    y: ArrayLike,
    shifted: ArrayLike | None,
    groups: NDArray[np.intp],
) -> dict[str, ClassificationCase]:
    """Put classifications beside the truth.

    Raises:
        InputError: If a prediction does not fit y, or `shifted` does not say of every point whether it is.
    """
    flags = None if shifted is None else _check_shifted(shifted, len(groups))
    cases = {}
    for name, pred in predictions.items():
        with naming(name):
            cases[name] = ClassificationCase.of(pred, y, flags, groups)
    return cases


def check_probabilities(name: str, values: Sequence[float]) -> list[float]:
    """Return different numbers between 0 and 1.

    Raises:
        InputError: If a number lies elsewhere, or two are the same or would have the same heading.
    """
    try:
        checked = [check_level(value) for value in values]
    except (TypeError, InputError) as error:
        raise InputError(
            f"{name} must be a list of numbers strictly between 0 and 1, got {values!r}; for 95% pass [0.95]"
        ) from error
    if len(set(checked)) < len(checked):
        raise InputError(f"{name} must be different numbers, got {values!r}; name each once")
    headings = [percent(value) for value in checked]
    if len(set(headings)) < len(headings):
        raise InputError(f"{name} must differ in their headings, got {', '.join(headings)}; leave one of equals out")
    return checked


def select_columns(
    columns: Sequence[Column[Case]], scores: Sequence[str] | None, *, sampled: bool
) -> list[Column[Case]]:
    """Return the columns that are asked for, in that order.

    Args:
        columns: All columns.
        scores: Names; None for all that are standard.
        sampled: Whether the others are to be shown as well.

    Raises:
        InputError: If there is no such column, or it is named twice.
    """
    if scores is None:
        return [column for column in columns if column.standard or sampled]
    known = {column.name: column for column in columns}
    names = [] if isinstance(scores, str) or not isinstance(scores, Iterable) else list(scores)
    fine = names and all(isinstance(name, str) and name in known for name in names)
    if not fine or len(set(names)) < len(names):
        raise InputError(f"scores must be a list of different columns out of {list(known)}, got {scores!r}")
    return [known[name] for name in names]


@contextmanager
def naming(model: str) -> Iterator[None]:
    """Put the model's name before what is wrong with its prediction."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{model}: {error}") from error


def _check_shifted(shifted: ArrayLike, points: int) -> NDArray[np.bool_]:
    flags: NDArray[Any] = check_flags("shifted", shifted)
    if len(flags) != points or flags.all() or not flags.any():
        raise InputError(
            f"shifted must say of each of {points} points whether it is, with some of either kind, "
            f"got {len(flags)} of which {np.count_nonzero(flags)} are; leave it out if all points are of one kind"
        )
    return flags


def _check_labels(groups: ArrayLike, points: int) -> NDArray[Any]:
    """Return one label per point, none missing and all of one type."""
    import pandas as pd

    try:
        labels = np.asarray(groups)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"groups must hold one label per point, got {type(groups).__name__}: {error}") from error
    if labels.shape != (points,):
        raise InputError(f"groups must hold one label per point, shape ({points},), got {labels.shape}; see compare")
    if pd.isna(labels).any() or (labels.dtype.kind == "f" and np.isinf(labels).any()):
        raise InputError("groups must be labels, got None, NaN, NaT or infinity among them; give every point a group")
    given: Any = groups
    # NumPy makes texts of numbers beside texts, and what was 1 or "1" would be one group.
    kinds = sorted({type(label).__name__ for label in given}) if labels.dtype.kind in "OUS" else []
    if len(kinds) > 1:
        raise InputError(f"groups must be labels of one type, got {', '.join(kinds)}; number them or make them texts")
    return labels
