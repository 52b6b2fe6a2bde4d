"""One call of the sampler: its arguments checked, the net surveyed, its batches and passes walked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from copy import copy
from functools import reduce
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop.arguments import check_choice, check_count
from mcdrop.errors import NetError
from mcdrop.execution.audit import require_noise
from mcdrop.execution.noise import Masks, NoiseSource
from mcdrop.execution.plan import Twin
from mcdrop.execution.strategy import Execution, default_batch_size, run_passes
from mcdrop.execution.survey import PROBE_ROWS, survey
from mcdrop.execution.twin import structural_twin
from mcdrop.inputs import Batch, Stream
from mcdrop.outputs import one_tensor
from mcdrop.progress import Advance, track
from mcdrop.rng import check_seed

__all__ = ["Run", "check_finite", "joined"]


class _Mergeable(Protocol):
    def merge(self, other: Self) -> Self: ...


State = TypeVar("State", bound=_Mergeable)


class Run:
    """The passes of one `predict` or `sample`: batch by batch, chunk by chunk.

    Attributes:
        sites: The audit of the net.
    """

    def __init__(
        self,
        net: nn.Module,
        stream: Stream,
        *,
        choose: Callable[[Any], Tensor] = one_tensor,
        passes: int,
        seed: int,
        masks: Masks,
        batch_size: int | None,
        execution: Execution,
        chunk_size: int | None,
        progress: bool | str,
    ) -> None:
        """Check the options, copy the net's structure and survey it.

        Args:
            net: The user's net; it is only read.
            stream: The inputs.
            choose: Takes what the net returns to the tensor to predict.
            passes: Number of passes T.
            seed: What the masks are keyed by.
            masks: Whether rows share their masks.
            batch_size: Rows at once, or None to let the net's shapes decide.
            execution: The strategy.
            chunk_size: Passes side by side, or None to let the net's shapes decide.
            progress: Whether to show a progress bar; a text names it.

        Raises:
            InputError: If an option is not usable.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs.
        """
        check_choice("masks", masks, Masks)
        check_choice("execution", execution, Execution)
        for name, value in (("batch_size", batch_size), ("chunk_size", chunk_size)):
            if value is not None:
                check_count(name, value, least=1, why="or None to have it chosen")
        self._passes, self._execution, self._chunk_size, self._progress = passes, execution, chunk_size, progress
        self._stream = stream
        self._twin = Twin(structural_twin(net), choose)
        plan = survey(self._twin, next(stream.first.split(batch_size or PROBE_ROWS)))
        require_noise(self._twin.module, plan.sites)
        self.sites = plan.sites
        self._noise = NoiseSource(plan, check_seed(seed), masks)
        self._batch_size = batch_size or default_batch_size(plan)
        self._trailing: torch.Size | None = None

    def samples(self) -> Tensor:
        """Return all passes, shape (T, N, ...), on the CPU."""
        parts = []
        with self._track("Sampling") as advance:
            for batch in self._batches():
                parts.append(torch.cat([output.to("cpu") for output in self._chunks(batch, advance)]))
        return torch.cat(parts, dim=1)

    def statistics(
        self, of: Callable[[Tensor], State], change: Callable[[Tensor], Tensor], *, keep: bool
    ) -> tuple[list[State], Tensor | None]:
        """Stream statistics over the passes.

        Args:
            of: Makes the statistics of one chunk of passes, shape (C, n, ...).
            change: What to do with the outputs first.
            keep: Whether to return the passes as well.

        Returns:
            The statistics of each batch, in order, and the passes, shape (T, N, ...), if they were kept.
        """
        states: list[State] = []
        chunks: list[Tensor] = []
        kept: list[Tensor] = []

        def changed(output: Tensor, rows: range) -> State:
            values = change(output)
            if keep:
                chunks.append(_numpy_ready(values))
            return of(values)

        for state in self.states(changed):
            states.append(state)
            if keep:
                kept.append(torch.cat(chunks))
                chunks.clear()
        return states, torch.cat(kept, dim=1) if keep else None

    def states(self, of: Callable[[Tensor, range], State], *, title: str = "Predicting") -> Iterator[State]:
        """Yield, batch by batch, what the passes add up to there.

        Args:
            of: Makes the state of one chunk of passes, shape (C, n, ...), given the numbers of its n rows.
            title: What a progress bar says unless the user has named it.

        Yields:
            The state of each batch over all passes, in the order of the rows.
        """
        with self._track(title) as advance:
            for batch in self._batches():
                parts = (of(output, batch.rows) for output in self._chunks(batch, advance))
                yield reduce(lambda state, part: state.merge(part), parts)

    def again(self, stream: Stream) -> Self:
        """Return the same passes over another reading of the inputs, without another survey."""
        other = copy(self)
        other._stream = stream
        return other

    def _track(self, title: str) -> AbstractContextManager[Advance]:
        total = self._stream.total
        steps = None if total is None else self._passes * -(-total // self._batch_size)
        return track(steps, title, enabled=self._progress)

    def _batches(self) -> Iterator[Batch]:
        for block in self._stream.blocks:
            yield from block.split(self._batch_size)

    def _chunks(self, batch: Batch, advance: Advance) -> Iterator[Tensor]:
        for output in run_passes(
            self._twin,
            batch,
            noise=self._noise,
            passes=self._passes,
            execution=self._execution,
            chunk_size=self._chunk_size,
        ):
            if self._trailing not in (None, output.shape[2:]):
                raise NetError(
                    f"the net must give rows of one shape, got {tuple(self._trailing or ())} for some and "
                    f"{tuple(output.shape[2:])} for others; predict inputs of different lengths in calls of their own"
                )
            self._trailing = output.shape[2:]
            yield output
            advance(len(output))


def joined(parts: list[Tensor]) -> NDArray[np.float64]:
    """Return the statistics of all batches as one array, rows first."""
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)


def check_finite(values: NDArray[np.float64]) -> None:
    """Refuse what came of outputs that are not finite.

    Raises:
        NetError: Naming the rows.
    """
    rows = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(rows):
        shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        raise NetError(
            f"the net must give finite outputs, got NaN or infinity in {len(rows)} of {len(values)} rows ({shown}); "
            "look at these inputs, and at the net's weights"
        )


def _numpy_ready(values: Tensor) -> Tensor:
    """Bring kept samples to a type NumPy knows."""
    cpu = values.detach().to("cpu")
    return cpu if cpu.dtype in (torch.float32, torch.float64) else cpu.to(torch.float32)
