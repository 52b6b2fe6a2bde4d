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
        InputError: If there are none, or some kept their passes and others did not.

    Example:
        >>> from mcdrop import RegressionPredictive
        >>> joined([RegressionPredictive([1.0], [0.1]), RegressionPredictive([2.0, 3.0], [0.2, 0.3])]).mean
        array([1., 2., 3.])
    """
    if not parts:
        raise InputError("joined needs at least one prediction, got none; check that there were rows to predict")
    if isinstance(parts[0], dict):
        return {key: joined([part[key] for part in parts]) for key in parts[0]}
    kind = RegressionPredictive if isinstance(parts[0], RegressionPredictive) else ClassificationPredictive
    return kind(**{field.name: _joined_field(field.name, parts) for field in fields(kind)})


def _joined_field(name: str, parts: Sequence[Any]) -> Any:
    values = [getattr(part, name) for part in parts]
    if name == "provenance" or all(value is None for value in values):
        return values[0]
    if name in ("mean_error", "probs_error"):
        return np.concatenate([part.mcse for part in parts])
    if name == "samples":
        if any(value is None for value in values):
            raise InputError("samples must be kept by all predictions or by none to be joined, got some without")
        return np.concatenate(values, axis=1)
    if name in ("passes", "noise_std"):
        if all(np.ndim(value) == 0 and value == values[0] for value in values):
            return values[0]
        shapes = [(len(part),) if name == "passes" else part.mean.shape for part in parts]
        values = [np.broadcast_to(value, shape) for value, shape in zip(values, shapes, strict=True)]
    return np.concatenate(values)
