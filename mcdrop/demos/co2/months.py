"""Which months of the CO2 record the demo trains on, which choose the noise, and which are scored together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcdrop.datasets import CO2
from mcdrop.errors import DataError

__all__ = ["WINDOWS", "Months", "Split", "split_months"]

Floats = NDArray[np.float64]

EVERY = 5
"""Every fifth month inside the data is held out; a step that does not divide 12 goes through all seasons."""

WINDOWS = {"the first year after": 1, "the first 5 years after": 5, "the first 20 years after": 20}
"""The windows of later months: name -> years after the last training month. The longer hold the shorter."""


@dataclass(frozen=True, slots=True)
class Months:
    """Months and what was observed in them.

    Attributes:
        x: Standardized times, shape (N, 1).
        y: Standardized concentrations, shape (N, 1).
    """

    x: Floats
    y: Floats

    def __len__(self) -> int:
        """Return the number of months."""
        return len(self.x)


@dataclass(frozen=True, slots=True)
class Split:
    """The record in parts that serve one purpose each.

    Attributes:
        train: What the nets and the Gaussian processes are fitted to.
        validation: Held-out months inside the data that choose the nets' noise.
        inside: Held-out months inside the data that are scored.
        after: The months after the data.
        years_after: How many years after the last month inside the data each of them lies, shape (M,).
    """

    train: Months
    validation: Months
    inside: Months
    after: Months
    years_after: Floats

    def windows(self) -> dict[str, tuple[Months, NDArray[np.bool_]]]:
        """Return the later months by window, with which of `after` they are; windows without months are left out."""
        found = {}
        for name, years in WINDOWS.items():
            chosen = self.years_after <= years + 1e-6
            if chosen.sum() > 1:
                found[name] = Months(self.after.x[chosen], self.after.y[chosen]), chosen
        return found


def split_months(series: CO2) -> Split:
    """Hold out every fifth month inside the data: one half to choose the nets' noise, the other to be scored.

    Raises:
        DataError: If there are fewer than 20 months.
    """
    count = len(series.x)
    if count < 4 * EVERY:
        raise DataError(f"the demo holds out every fifth month and needs at least {4 * EVERY}, got {count}; give more")
    place = np.arange(count)
    held = place % EVERY == EVERY - 1
    turn = place // EVERY + (place >= count // 2)  # a turn changes roles, or each half would see every other month only
    scored = held & (turn % 2 == 1)

    def part(chosen: NDArray[np.bool_]) -> Months:
        return Months(series.x[chosen], series.y[chosen])

    years = np.empty(0) if series.standardizer is None else (series.year_future - series.year.max()).ravel()
    after = Months(series.x_future, series.y_future)
    return Split(part(~held), part(held & ~scored), part(scored), after, years)
