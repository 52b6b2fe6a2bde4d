"""Predictions of consecutive rows as one."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from mcdrop.errors import InputError
from mcdrop.predictive.classification import ClassificationPredictive
from mcdrop.predictive.regression import RegressionPredictive

__all__ = ["joined"]


def joined(parts: Sequence[Any]) -> Any:
    """Return the predictions of consecutive rows as one.

    Args:
        parts: At least one: predictions of one kind, or dicts of them for several targets.

    Returns:
        The prediction of all points, in order, with the provenance of the first.

    Raises:
        InputError: If there are none, or they are not alike: of another kind or width or other targets, or only some
            know their noise, or kept their passes, and as many.

    Example:
        >>> from mcdrop import RegressionPredictive
        >>> joined([RegressionPredictive([1.0], [0.1]), RegressionPredictive([2.0, 3.0], [0.2, 0.3])]).mean
        array([1., 2., 3.])
    """
    if not parts:
        raise InputError("joined needs at least one prediction, got none; check that there were rows to predict")
    forms = [_form(part) for part in parts]
    for number, form in enumerate(forms):
        if form != forms[0]:
            raise InputError(
                f"predictions must be alike to be joined, got {forms[0]} at first and {form} at place {number}; "
                "predict all rows with one net and the same options"
            )
    if isinstance(parts[0], dict):
        return {key: joined([part[key] for part in parts]) for key in parts[0]}
    kind = RegressionPredictive if isinstance(parts[0], RegressionPredictive) else ClassificationPredictive
    return kind(**{field.name: _joined_field(field.name, parts) for field in fields(kind)})


def _form(part: Any) -> str:
    """Say what a prediction holds of each row; only where that is the same they go together."""
    if isinstance(part, dict):
        return f"a dict of {sorted(part, key=repr)}"
    if isinstance(part, RegressionPredictive):
        kind, values = "regression", part.mean
        noise = [] if part.noise_std is None else ["noise_std"]
    elif isinstance(part, ClassificationPredictive):
        kind, values, noise = "classification", part.probs, []
    else:
        raise InputError(
            f"joined needs predictions, or dicts of them, got {type(part).__name__}; pass what predict gave"
        )
    if not values.ndim:
        raise InputError("joined needs predictions of rows, got one of a single number; give it an axis of rows")
    passes = ["no number of passes"] if part.passes is None else []
    samples = [] if part.samples is None else [f"samples of {len(part.samples)} passes"]
    return " with ".join([f"{kind} of shape {values.shape[1:]} per row", *noise, *passes, *samples])


def _joined_field(name: str, parts: Sequence[Any]) -> Any:
    values = [getattr(part, name) for part in parts]
    if name == "provenance" or all(value is None for value in values):
        return values[0]
    if name in ("mean_error", "probs_error"):
        return np.concatenate([part.mcse for part in parts])
    if name == "samples":
        return np.concatenate(values, axis=1)
    if name in ("passes", "noise_std"):
        if all(np.ndim(value) == 0 and value == values[0] for value in values):
            return values[0]
        shapes = [(len(part),) if name == "passes" else part.mean.shape for part in parts]
        values = [np.broadcast_to(value, shape) for value, shape in zip(values, shapes, strict=True)]
    return np.concatenate(values)
