r"""Rounds of passes until the Monte Carlo error of the mean is small enough, row by row.

After each round the error of every row is estimated, and rows that are below the tolerance are not run again. The ends
of the rounds do not depend on the batch, nor do the passes, so that a row takes the same number of passes in any batch
unless a batch may stop early, at a quantile of its rows.

A row stops when its error is *estimated* to be small, and that is likelier where it is underestimated: an error that
was stopped at is a little too small on average. Rounds start with passes enough to make this little, and grow, so that
there are few chances to stop: measured, the error is told up to 20% too small where rows stop, and is at most 1.2 times
the tolerance. Where fewer than 8 blocks of stratified passes are in, rows stop at the error of independent passes only.

References:
    Glynn, P. W. and Whitt, W. (1992). The Asymptotic Validity of Sequential Stopping Rules for Stochastic Simulations.
    The Annals of Applied Probability 2(1). https://doi.org/10.1214/aoap/1177005777 (theorem 1).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.alerts import alert
from mcdrop.arguments import check_count
from mcdrop.errors import InputError, UnsettledRowsWarning
from mcdrop.inputs import Batch
from mcdrop.moments import BLOCKS_TO_STOP, Statistics
from mcdrop.strata import STRATA

__all__ = ["Settled", "Stopping", "Walk", "report", "run_rounds"]

_ROUNDING = 1 + 1e-9  # of an error that is the tolerance to the digit, as those of independent passes may be


State = TypeVar("State", bound=Statistics)
Produced = TypeVar("Produced", bound=Statistics, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """When there have been enough passes.

    Attributes:
        tolerance: The largest error of the mean that a row may have, in the unit of its task; None for the task's own.
        quantile: Which share of a batch's rows must be below it.
        max_passes: The largest number of passes of a row.
    """

    tolerance: float | None = None
    quantile: float = 1.0
    max_passes: int = 10_000

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            InputError: If one is not usable.
        """
        if self.tolerance is not None and not (_is_number(self.tolerance) and 0 < self.tolerance < math.inf):
            raise InputError(
                f"tolerance must be a number above 0, got {self.tolerance!r}; such as 0.05, a share of the std, for "
                "regression, and 0.005, a probability, for classification"
            )
        if not (_is_number(self.quantile) and 0 < self.quantile <= 1):
            raise InputError(
                f"quantile must lie above 0 and be at most 1, got {self.quantile!r}; 1.0 waits for every row"
            )
        check_count("max_passes", self.max_passes, least=2, why="a spread needs two draws")

    def rounds(self, most: int, *, stratified: bool) -> Iterator[range]:
        """Return the numbers of the passes of each round.

        Args:
            most: How many passes a run makes at most.
            stratified: Whether passes are stratified.

        Example:
            >>> [passes.stop for passes in Stopping(max_passes=500).rounds(1000, stratified=False)]
            [100, 150, 200, 300, 400, 500]
        """
        last, start = min(most, self.max_passes), 0
        first = (BLOCKS_TO_STOP if stratified else 1) * STRATA
        for end in _ends():
            if end >= last:
                break
            if end >= first:
                yield range(start, end)
                start = end
        yield range(start, last)


@dataclass(frozen=True, slots=True)
class Settled(Generic[State]):
    """Rows that are done after the same number of passes.

    Attributes:
        rows: Their numbers, counted over the whole input.
        state: What their passes add up to.
        passes: How many passes they took.
        excess: Their errors over the tolerance, shape (n,).
        failed: Whether those above it should not be.
    """

    rows: NDArray[np.int64]
    state: State
    passes: int
    excess: Tensor
    failed: bool = False


class Walk(Protocol[Produced]):
    """What runs passes."""

    def __call__(self, batch: Batch, passes: range) -> Produced:
        """Return what some passes over a batch add up to."""


def run_rounds(
    batch: Batch,
    rounds: Iterator[range],
    *,
    walk: Walk[State],
    excess: Callable[[State], Tensor],
    alone: Callable[[Batch, Tensor], bool],
    quantile: float,
) -> Iterator[Settled[State]]:
    """Run a batch until enough of its rows have converged.

    Args:
        batch: The rows.
        rounds: The numbers of the passes of each round.
        walk: Runs passes.
        excess: Tells how many times the tolerance the error of each row is.
        alone: Whether rows of the batch, given by their places, give the same without the others.
        quantile: Which share of the rows must converge.

    Yields:
        The rows that are done, as they are.
    """
    numbers = np.asarray(batch.rows, dtype=np.int64)
    left, running, apart = torch.arange(batch.size), batch, None
    state, spare = None, math.floor((1 - quantile) * batch.size + 1e-9)
    done = 0
    for passes in rounds:
        new = walk(running, passes)
        new = new.at(left) if running is batch and len(left) < batch.size else new
        state, done = new if state is None else state.merge(new), passes.stop
        over = excess(state)
        late = over > _ROUNDING
        if int(late.sum()) <= spare:
            yield Settled(numbers[left.numpy()], state, done, over)
            return
        if not late.all():
            ready = (~late).nonzero().flatten()
            yield Settled(numbers[left[ready].numpy()], state.at(ready), done, over[ready])
            wait = late.nonzero().flatten()
            left, state, over = left[wait], state.at(wait), over[wait]
            apart = alone(batch, left) if apart is None else apart
            running = batch.at(left) if apart else batch
    assert state is not None, "there is a round"
    yield Settled(numbers[left.numpy()], state, done, over, failed=True)


def report(groups: Sequence[Settled[State]], stopping: Stopping) -> None:
    """Warn of rows that have not converged.

    Args:
        groups: All rows.
        stopping: When they should have stopped.

    Warns:
        UserWarning: How many there are, and how large the error is.
    """
    failed = [float(value) for group in groups if group.failed for value in group.excess if value > _ROUNDING]
    if failed:
        total = sum(len(group.rows) for group in groups)
        alert(UnsettledRowsWarning(len(failed), total, stopping.max_passes, max(failed)))


def _ends() -> Iterator[int]:
    """Return where rounds end: whole blocks, about a half more each time, and 400 for an error of 5% of a spread."""
    for doubled in itertools.count():
        yield 4 * STRATA << doubled
        yield 6 * STRATA << doubled


def _is_number(value: object) -> bool:
    return isinstance(value, float | int | np.number) and not isinstance(value, bool)
