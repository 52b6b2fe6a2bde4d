"""Entries: what is handed to a comparison, checked and put beside the truth."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.comparison.classification import ClassificationCase
from mcdrop.comparison.columns import Column
from mcdrop.comparison.regression import RegressionCase
from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.scores.arrays import check_flags, check_floats, check_level

__all__ = [
    "check_predictions",
    "check_probabilities",
    "classification_cases",
    "naming",
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
    points = np.shape(y)[0] if np.ndim(y) else 0
    if set(lengths.values()) != {points}:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise InputError(
            f"predictions and y must be of the same points, got {points} in y and {listed}; predict at the points of y"
        )
    if points < 2:
        raise InputError("compare needs at least 2 points, got 1; a single one says nothing about the standard error")
    return kind


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
    predictions: Mapping[str, ClassificationPredictive], y: ArrayLike, shifted: ArrayLike | None
) -> dict[str, ClassificationCase]:
    """Put classifications beside the truth.

    Raises:
        InputError: If a prediction does not fit y, or `shifted` does not say of every point whether it is.
    """
    flags = None if shifted is None else _check_shifted(shifted, len(np.asarray(y)))
    cases = {}
    for name, pred in predictions.items():
        with naming(name):
            cases[name] = ClassificationCase.of(pred, y, flags)
    return cases


def check_probabilities(name: str, values: Sequence[float]) -> list[float]:
    """Return different numbers between 0 and 1.

    Raises:
        InputError: If a number lies elsewhere, or is there twice.
    """
    try:
        checked = [check_level(value) for value in values]
    except (TypeError, InputError) as error:
        raise InputError(
            f"{name} must be a list of numbers strictly between 0 and 1, got {values!r}; for 95% pass [0.95]"
        ) from error
    if len(set(checked)) < len(checked):
        raise InputError(f"{name} must be different numbers, got {values!r}; name each once")
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
    if isinstance(scores, str) or not len(scores) or len(set(scores)) < len(scores) or not set(scores) <= set(known):
        raise InputError(f"scores must be a list of different columns out of {list(known)}, got {scores!r}")
    return [known[name] for name in scores]


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
