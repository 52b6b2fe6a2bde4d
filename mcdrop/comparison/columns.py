"""Columns: the name, unit and direction of every score in a comparison, and how it is computed for one model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from mcdrop.comparison.resampling import Statistic

__all__ = ["Column", "Direction", "Unsampled", "percent"]

Case = TypeVar("Case")
"""A model's prediction, made ready to be scored."""

Direction = Literal["lower", "higher"] | float | None
"""Which values are better: lower ones, higher ones, those near a target, or none by itself."""


@dataclass(frozen=True, slots=True)
class Unsampled:
    """A score that has no standard error: the model does not have it, or it rests on too little to be resampled.

    Attributes:
        reason: Why, as the predicate of a sentence that begins with the model's name.
        value: What stands in the table: a number, infinity, or None for nothing.
    """

    reason: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Column(Generic[Case]):
    """One score.

    Attributes:
        name: Its heading.
        unit: Its unit, "1" for a pure number.
        direction: Which values are better.
        make: From a model's prediction to the score as a function of the points' weights.
        of_spread: Whether it depends on the predicted spread.
        standard: Whether it is shown unless others are asked for.
    """

    name: str
    unit: str
    direction: Direction
    make: Callable[[Case], Statistic | Unsampled]
    of_spread: bool = True
    standard: bool = True


def percent(share: float) -> str:
    """Return a share as it appears in a heading: 0.95 as 95%, 1/3 as 33.3333%, and what is below 1 never as 100%."""
    value = 100 * share
    texts = (f"{value:.{digits}g}" for digits in range(6, 18))
    return next(text for text in texts if abs(float(text) - value) <= 1e-5 * min(value, 100 - value)) + "%"
