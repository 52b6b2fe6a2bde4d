"""Some points of a prediction, in any order."""

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mcdrop.predictive.classification import ClassificationPredictive
from mcdrop.predictive.regression import RegressionPredictive

__all__ = ["at_points", "in_order"]

Predictive = TypeVar("Predictive", RegressionPredictive, ClassificationPredictive)


def at_points(pred: Predictive, places: NDArray[np.int64]) -> Predictive:
    """Return a prediction at some of its points.

    Args:
        pred: The prediction of N points.
        places: Their places, whole numbers from 0 to N - 1.

    Returns:
        The same, at these points in this order.

    Example:
        >>> from mcdrop import RegressionPredictive
        >>> at_points(RegressionPredictive([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], passes=10), np.array([2, 0])).mean
        array([3., 1.])
    """
    values = {field.name: getattr(pred, field.name) for field in fields(pred)}
    noise = values.pop("noise_std", None)
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    changed: dict[str, Any] = {
        name: value[:, places] if name == "samples" else value[places] for name, value in arrays.items()
    }
    if isinstance(pred, RegressionPredictive) and np.ndim(noise) == pred.mean.ndim:
        changed["noise_std"] = np.broadcast_to(noise, pred.mean.shape)[places]
    return replace(pred, **changed)


def in_order(made: Any, numbers: NDArray[np.int64]) -> Any:
    """Return a prediction, or one for each of several targets, in the order of the inputs.

    Args:
        made: The prediction or predictions.
        numbers: The number of each point's row in the inputs.
    """
    places = np.argsort(numbers)
    if isinstance(made, dict):
        return {key: at_points(pred, places) for key, pred in made.items()}
    return at_points(made, places)
