"""Columns: the name, unit and direction of every score in a comparison, and how it is computed for one model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from mcdrop.comparison.resampling import Statistic

__all__ = ["Absent", "Column", "Direction", "percent"]

Case = TypeVar("Case")
"""A model's prediction, made ready to be scored."""

Direction = Literal["lower", "higher"] | float | None
"""Which values are better: lower ones, higher ones, those near a target, or none by itself."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A score that a model does not have.

    Attributes:
        reason: Why, as the predicate of a sentence that begins with the model's name.
        value: What stands in the table: infinity, or None for nothing.
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
    make: Callable[[Case], Statistic | Absent]
    of_spread: bool = True
    standard: bool = True


def percent(share: float) -> str:
    """Return a share as it appears in a heading: 0.95 as 95%."""
    return f"{100 * share:g}%"
