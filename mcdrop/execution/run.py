"""One call of the sampler: the net surveyed, its batches and passes walked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from copy import copy
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from mcdrop.errors import ExecutionError, NetError
from mcdrop.execution.audit import require_noise
from mcdrop.execution.last_layer import close_last_layer, options_for
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.options import LastLayer, Options
from mcdrop.execution.recall import Recall
from mcdrop.execution.rounds import Settled, Stopping, report, run_rounds
from mcdrop.execution.strategy import Strategy, default_block_rows
from mcdrop.execution.survey import PROBE_ROWS, survey
from mcdrop.execution.twin import make_twin
from mcdrop.inputs import Batch, Stream
from mcdrop.moments import Statistics
from mcdrop.outputs import one_tensor
from mcdrop.progress import Advance, track
from mcdrop.strata import STRATA

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["Run"]


class _Mergeable(Protocol):
    def merge(self, other: Self) -> Self: ...


State = TypeVar("State", bound=_Mergeable)
Stats = TypeVar("Stats", bound=Statistics)
Split: TypeAlias = Callable[[Tensor], tuple[Tensor, ...]]
Summarize: TypeAlias = Callable[..., tuple[Stats, tuple[Tensor, ...]]]


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
        last_layer: LastLayer = "sampled",
        recall: Recall | None = None,
    ) -> None:
        """Copy the net's structure and survey it.

        Args:
            net: The user's net; it is only read.
            stream: The inputs.
            choose: Takes what the net returns to the tensor to predict.
            options: How the passes are to run.
            last_layer: "exact" has every pass give mean and variance of the last layer, shape (n, 2, ...), and runs
                one pass where all are the same.
            recall: What an earlier call found out about the net, and where this one leaves what it finds.

        Raises:
            InputError: If an option does not fit this machine, or the net.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs.
            ExecutionError: If the strategy asked for by name cannot run the net.
        """
        self._twin = make_twin(net, choose)
        block = next(stream.first.split(options.batch_size or PROBE_ROWS))
        known = None if recall is None else recall.plan(net, self._twin, block)
        plan = known or survey(self._twin, block)
        require_noise(self._twin.module, plan, options.masks)
        if recall is not None and known is None:
            recall.keep(net, self._twin, block, plan)
        self.sites = plan.sites
        if last_layer == "exact":
            plan = close_last_layer(self._twin, plan, block)
            options = options_for(plan, options)
        self._options, self._stream = options, stream
        self._noise = NoiseSource(plan, options.seed, options.masks, options.sampling == "stratified")
        self._strategy = Strategy(self._twin, self._noise, options, block=block, stream=stream)
        self._batch_size = self._strategy.batch_size
        self._trailing: torch.Size | None = None
        self._advance: Advance | None = None

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
                outputs = self._chunks(batch, range(self._options.passes), advance)
                chunks = [[part.to("cpu") for part in split(output)] for output in outputs]
                batches.append([torch.cat(part) for part in zip(*chunks, strict=True)])
        return tuple(torch.cat(part, dim=1) for part in zip(*batches, strict=True))

    def statistics(self, summarize: "Summarize[Stats]", *, keep: bool) -> tuple[list[Stats], tuple[Tensor, ...] | None]:
        """Stream statistics over the passes.

        Args:
            summarize: Makes the statistics of one chunk of passes, shape (C, n, ...), and what may be kept of it; with
                `block=` if passes are stratified.
            keep: Whether to return what may be kept as well.

        Returns:
            The statistics of each batch, in order, and what was kept, each of shape (T, N, ...).
        """
        states: list[Stats] = []
        batches: list[list[Tensor]] = []
        with self._track("Predicting") as advance:
            for batch in self._batches():
                chunks: list[list[Tensor]] = []
                kept = chunks if keep else None
                states.append(self._summed(batch, range(self._options.passes), summarize, advance, kept))
                if keep:
                    batches.append([torch.cat(part) for part in zip(*chunks, strict=True)])
        return states, tuple(torch.cat(part, dim=1) for part in zip(*batches, strict=True)) if keep else None

    def rounds(
        self, summarize: "Summarize[Stats]", excess: Callable[[Stats], Tensor], stopping: Stopping
    ) -> list[Settled[Stats]]:
        """Stream statistics over as many passes as each row needs.

        Args:
            summarize: Makes the statistics of one chunk of passes, as for `statistics`.
            excess: Tells how many times the tolerance the error of each row is.
            stopping: When there have been enough passes.

        Returns:
            All rows, together with those of their batch that took as many passes.

        Warns:
            UserWarning: If rows have not converged.
        """
        groups: list[Settled[Stats]] = []
        with track(None, "Predicting", enabled=self._advance is None and self._options.progress) as advance:
            for batch in self._batches():
                groups += run_rounds(
                    batch,
                    stopping.rounds(self._options.passes, stratified=self.block > 1),
                    walk=lambda rows, passes: self._summed(rows, passes, summarize, advance),
                    excess=excess,
                    alone=self._stand_alone,
                    quantile=stopping.quantile,
                )
        report(groups, stopping)
        return groups

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
                rows = range(batch.start, batch.start + batch.size)
                parts = (of(output, rows) for output in self._chunks(batch, range(self._options.passes), advance))
                yield reduce(lambda state, part: state.merge(part), parts)

    def summed(self, summarize: "Summarize[Stats]", passes: range) -> Iterator[Stats]:
        """Yield, batch by batch, the statistics of some of the passes.

        Args:
            summarize: Makes the statistics of one chunk of passes, as for `statistics`.
            passes: Their numbers; stratified ones from the start of a block on.
        """
        with self._track("Predicting") as advance:
            for batch in self._batches():
                yield self._summed(batch, passes, summarize, advance)

    def again(self, stream: Stream, advance: Advance | None = None) -> Self:
        """Return the same passes over another reading of the inputs, or other inputs, without another survey.

        Args:
            stream: The inputs.
            advance: Is told how many more passes have run, times their rows, in place of a progress bar.
        """
        other = copy(self)
        other._stream, other._advance = stream, advance
        return other

    @property
    def block(self) -> int:
        """Number of passes in a block; 1 where passes are independent."""
        return STRATA if self._noise.stratified else 1

    @property
    def block_rows(self) -> int:
        """Rows worth running together where there are many: enough to share the masks of a pass, few enough to lose."""
        return min(self._batch_size, default_block_rows(self._noise.plan))

    def _track(self, title: str) -> AbstractContextManager[Advance]:
        total = self._stream.total
        steps = None if total is None else self._options.passes * -(-total // self._batch_size)
        return track(steps, title, enabled=self._advance is None and self._options.progress)

    def _batches(self) -> Iterator[Batch]:
        for block in self._stream.blocks:
            yield from block.split(self._batch_size)

    def _summed(
        self,
        batch: Batch,
        passes: range,
        summarize: "Summarize[Stats]",
        advance: Advance,
        kept: list[list[Tensor]] | None = None,
    ) -> Stats:
        """Return what some passes add up to, block by block; what may be kept of each chunk goes to `kept`."""
        block, total, part, number = self.block, None, None, passes.start
        summarized = partial(summarize, block=block) if block > 1 else summarize
        for output in self._chunks(batch, passes, advance, block=block):
            state, values = summarized(output)
            if kept is not None:
                kept.append([_numpy_ready(value) for value in values])
            count = len(output)
            number += count
            del output, values  # before the next chunk is run
            if count % block:  # within a block
                part = state if part is None else part.merge(state)
                if number % block:
                    continue
                state, part = part.closed(), None
            total = state if total is None else total.merge(state)
        whole = [state for state in (total, part) if state is not None]
        return reduce(lambda state, other: state.merge(other), whole)

    def _stand_alone(self, batch: Batch, places: Tensor) -> bool:
        """Whether rows give the same without the rest of their batch: not if the net mixes rows or takes no fewer."""
        first, silent = range(1), lambda steps: None
        try:
            whole = next(self._chunks(batch, first, silent))
            whole = whole[:, places.to(whole.device)]
            alone = next(self._chunks(batch.at(places), first, silent))
        except (NetError, ExecutionError):
            return False
        rounding = torch.finfo(alone.dtype).eps ** 0.5 if alone.is_floating_point() else 0.0
        largest = float(torch.where(whole.isfinite(), whole, 0.0).abs().max()) if whole.numel() else 0.0
        return torch.allclose(alone, whole, rtol=0.0, atol=rounding * largest, equal_nan=True)

    def _chunks(self, batch: Batch, passes: range, advance: Advance, *, block: int = 1) -> Iterator[Tensor]:
        for output in self._strategy.run(batch, passes, block=block):
            yield output  # who takes it may know its parts, and say what changed in plainer words
            if self._trailing not in (None, output.shape[2:]):
                raise NetError(
                    f"the net must give rows of one shape, got {tuple(self._trailing or ())} for some and "
                    f"{tuple(output.shape[2:])} for others; predict inputs of different lengths in calls of their own"
                )
            self._trailing = output.shape[2:]
            advance(len(output))
            if self._advance is not None:
                self._advance(len(output) * batch.size)


def _whole(output: Tensor) -> tuple[Tensor, ...]:
    return (output,)


def _numpy_ready(values: Tensor) -> Tensor:
    """Bring kept samples to a type NumPy knows, in memory of their own where they are a part of something."""
    cpu = values.detach().to("cpu")
    if cpu.dtype in (torch.float32, torch.float64):
        return cpu.contiguous()
    return cpu.to(torch.float32 if cpu.is_floating_point() else torch.float64)
