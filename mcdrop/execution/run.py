"""One call of the sampler: its arguments checked, the net surveyed, its batches and passes walked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from copy import copy
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from mcdrop.arguments import check_choice, check_count
from mcdrop.errors import NetError
from mcdrop.execution.audit import require_noise
from mcdrop.execution.noise import Masks, NoiseSource
from mcdrop.execution.strategy import Execution, default_batch_size, run_passes
from mcdrop.execution.survey import PROBE_ROWS, survey
from mcdrop.execution.thinning import make_thinned
from mcdrop.execution.twin import make_twin
from mcdrop.inputs import Batch, Stream
from mcdrop.outputs import one_tensor
from mcdrop.progress import Advance, track
from mcdrop.rng import check_seed

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["Run"]


class _Mergeable(Protocol):
    def merge(self, other: Self) -> Self: ...


State = TypeVar("State", bound=_Mergeable)
Split: TypeAlias = Callable[[Tensor], tuple[Tensor, ...]]


class Run:
    """The passes of one `predict` or `sample`: batch by batch, chunk by chunk.

    Attributes:
        sites: The audit of the net.
    """

    def __init__(
        self,
        net: "nn.Module | ExportedProgram",
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
        self._twin = make_twin(net, choose)
        block = next(stream.first.split(batch_size or PROBE_ROWS))
        plan = survey(self._twin, block)
        require_noise(self._twin.module, plan, masks)
        self.sites = plan.sites
        self._noise = NoiseSource(plan, check_seed(seed), masks)
        self._batch_size = batch_size or default_batch_size(plan)
        self._thinned = make_thinned(self._twin, plan, block) if execution == "thinned" else None
        self._trailing: torch.Size | None = None

    def samples(self) -> Tensor:
        """Return all passes, shape (T, N, ...), on the CPU."""
        return self.draws(_whole)[0]

    def draws(self, split: Split) -> tuple[Tensor, ...]:
        """Return all passes, taken apart.

        Args:
            split: Takes a chunk of passes, shape (C, n, ...), to its parts.

        Returns:
            Each part of all passes, shape (T, N, ...), on the CPU.
        """
        batches = []
        with self._track("Sampling") as advance:
            for batch in self._batches():
                chunks = [[part.to("cpu") for part in split(chunk)] for chunk in self._chunks(batch, advance)]
                batches.append([torch.cat(part) for part in zip(*chunks, strict=True)])
        return tuple(torch.cat(part, dim=1) for part in zip(*batches, strict=True))

    def statistics(
        self, summarize: Callable[[Tensor], tuple[State, tuple[Tensor, ...]]], *, keep: bool
    ) -> tuple[list[State], tuple[Tensor, ...] | None]:
        """Stream statistics over the passes.

        Args:
            summarize: Makes the statistics of one chunk of passes, shape (C, n, ...), and what may be kept of it.
            keep: Whether to return what may be kept as well.

        Returns:
            The statistics of each batch, in order, and what was kept, each of shape (T, N, ...).
        """
        states: list[State] = []
        chunks: list[list[Tensor]] = []
        batches: list[list[Tensor]] = []

        def summarized(output: Tensor, rows: range) -> State:
            state, parts = summarize(output)
            if keep:
                chunks.append([_numpy_ready(part) for part in parts])
            return state

        for state in self.states(summarized):
            states.append(state)
            if keep:
                batches.append([torch.cat(part) for part in zip(*chunks, strict=True)])
                chunks.clear()
        return states, tuple(torch.cat(part, dim=1) for part in zip(*batches, strict=True)) if keep else None

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
            thinned=self._thinned,
        ):
            yield output  # who takes it may know its parts, and say what changed in plainer words
            if self._trailing not in (None, output.shape[2:]):
                raise NetError(
                    f"the net must give rows of one shape, got {tuple(self._trailing or ())} for some and "
                    f"{tuple(output.shape[2:])} for others; predict inputs of different lengths in calls of their own"
                )
            self._trailing = output.shape[2:]
            advance(len(output))


def _whole(output: Tensor) -> tuple[Tensor, ...]:
    return (output,)


def _numpy_ready(values: Tensor) -> Tensor:
    """Bring kept samples to a type NumPy knows, in memory of their own where they are a part of something."""
    cpu = values.detach().to("cpu")
    if cpu.dtype in (torch.float32, torch.float64):
        return cpu.contiguous()
    return cpu.to(torch.float32 if cpu.is_floating_point() else torch.float64)
