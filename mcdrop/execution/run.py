"""One call of the sampler: the net surveyed, its batches and passes walked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from copy import copy
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from mcdrop.errors import NetError
from mcdrop.execution.audit import require_noise
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.options import Options
from mcdrop.execution.strategy import default_batch_size, run_passes
from mcdrop.execution.survey import PROBE_ROWS, survey
from mcdrop.execution.thinning import make_thinned
from mcdrop.execution.twin import make_twin
from mcdrop.inputs import Batch, Stream
from mcdrop.outputs import one_tensor
from mcdrop.progress import Advance, track

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
        options: Options,
    ) -> None:
        """Copy the net's structure and survey it.

        Args:
            net: The user's net; it is only read.
            stream: The inputs.
            choose: Takes what the net returns to the tensor to predict.
            options: How the passes are to run.

        Raises:
            InputError: If an option does not fit this machine.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs.
            ExecutionError: If the strategy asked for by name cannot run the net.
        """
        self._options, self._stream = options, stream
        self._twin = make_twin(net, choose)
        block = next(stream.first.split(options.batch_size or PROBE_ROWS))
        plan = survey(self._twin, block)
        require_noise(self._twin.module, plan, options.masks)
        self.sites = plan.sites
        self._noise = NoiseSource(plan, options.seed, options.masks)
        self._batch_size = options.batch_size or default_batch_size(plan)
        self._thinned = make_thinned(self._twin, plan, block) if options.execution == "thinned" else None
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
        steps = None if total is None else self._options.passes * -(-total // self._batch_size)
        return track(steps, title, enabled=self._options.progress)

    def _batches(self) -> Iterator[Batch]:
        for block in self._stream.blocks:
            yield from block.split(self._batch_size)

    def _chunks(self, batch: Batch, advance: Advance) -> Iterator[Tensor]:
        for output in run_passes(
            self._twin,
            batch,
            noise=self._noise,
            passes=self._options.passes,
            execution=self._options.execution,
            chunk_size=self._options.chunk_size,
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
