"""Which strategy runs a batch, how many passes go side by side, and how many rows make a batch.

"auto" goes by shapes and rates alone, never by a clock, so that the same call always takes the same path; "fastest"
times the first passes, which are as good as any others.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mcdrop.errors import ExecutionError, InputError
from mcdrop.execution.contest import Contest
from mcdrop.execution.loop import run_loop
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.options import Options
from mcdrop.execution.plan import Plan, Twin, run_net
from mcdrop.execution.thinning import is_promising, is_worth, make_thinned
from mcdrop.execution.vectorized import run_vectorized
from mcdrop.inputs import Batch

__all__ = ["Strategy", "default_batch_size", "default_chunk_size", "pieces"]

_CACHE_BYTES = 6 * 2**20  # the widest tensor of a chunk should stay near the caches: measured best at 4 to 8 MiB
_THINNED_BYTES = 4 * _CACHE_BYTES  # every pass has tensors of its own there, and a chunk many small calls to share
_DEVICE_BYTES = 128 * 2**20  # on an accelerator: enough to keep it busy
_MASK_BYTES = 9  # of one unit while it is drawn: a word, a flag and a float
_MEMORY_BYTES = 256 * 2**20  # what a chunk may take to save prefix work, and the widest tensor of a batch
_ALIVE = 8  # tensors as large as the widest one that may be alive at once: inputs and outputs of a layer, statistics


def default_batch_size(plan: Plan, memory_limit: int | None = None) -> int:
    """Return how many rows to run at once so that the widest tensor stays within a memory budget.

    Args:
        plan: What the survey found.
        memory_limit: Bytes that the passes may take.

    Raises:
        InputError: If not even one row of one pass fits into the limit.
    """
    rows = int(_budget(memory_limit) // max(plan.widest_bytes, 1.0))
    if rows < 1 and memory_limit is not None:
        least = math.ceil(plan.widest_bytes * _ALIVE / 2**20)
        raise InputError(
            f"memory_limit must let one row of one pass in, which takes about {least} MiB in this net, got "
            f"{memory_limit / 2**20:.3g} MiB; raise it, or leave it out"
        )
    return max(1, rows)


def default_chunk_size(
    plan: Plan,
    rows: int,
    *,
    independent: bool = False,
    thinned: bool = False,
    memory_limit: int | None = None,
    is_cpu: bool = True,
) -> int:
    """Return how many passes to run side by side.

    As many as keep the widest tensor near the caches, or an accelerator busy; more, within the memory budget, where a
    long deterministic prefix is worth sharing between them.

    Args:
        plan: What the survey found.
        rows: Rows in the batch.
        independent: Whether every row has masks of its own; then the masks of all sites take memory too.
        thinned: Whether they run on thinned networks.
        memory_limit: Bytes that the passes may take.
        is_cpu: Whether the net runs on a CPU.

    Returns:
        A number of passes, at least 1.
    """
    widest = max(plan.widest_noisy_bytes * rows, 1.0)
    if independent:
        widest += rows * sum(_MASK_BYTES * math.prod(site.mask_shape or ()) for site in plan.sites.live)
    most = _budget(memory_limit) / widest
    for_speed = (_DEVICE_BYTES if not is_cpu else _THINNED_BYTES if thinned else _CACHE_BYTES) / widest
    for_prefix = 10.0 * plan.prefix_bytes / max(plan.suffix_bytes, 1.0)
    return max(1, int(min(max(for_speed, for_prefix), most)))


def _budget(memory_limit: int | None) -> float:
    """Return how many bytes the widest tensor may have."""
    return _MEMORY_BYTES if memory_limit is None else memory_limit / _ALIVE


def pieces(passes: range, chunk: int, block: int = 1) -> Iterator[range]:
    """Cut passes into chunks that hold whole blocks, or lie within one.

    Args:
        passes: Numbers of the passes.
        chunk: Passes side by side, at most.
        block: Passes in a block; blocks start at its multiples.
    """
    first = passes.start
    while first < passes.stop:
        most = min(chunk, passes.stop - first)
        size = most // block * block if first % block == 0 else 0
        size = size or min(most, block - first % block)
        yield range(first, first + size)
        first += size


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to run passes.

    Attributes:
        name: The strategy.
        run: Takes a batch and numbers of passes to their outputs.
        chunk: Passes side by side.
    """

    name: str
    run: Callable[..., Tensor]
    chunk: int


class Strategy:
    """Decides how the passes of a run go, and runs them."""

    def __init__(self, twin: Twin, noise: NoiseSource, options: Options, *, block: Batch, rows: int | None) -> None:
        """Look at what the net allows.

        Args:
            twin: The structural twin and what to predict of its output.
            noise: Source of the masks.
            options: How the passes are to run.
            block: The first rows.
            rows: Number of rows N, if it is known.

        Raises:
            InputError: If an option does not fit this machine, or the net.
            ExecutionError: If the strategy asked for by name cannot run the net.
        """
        self._twin, self._noise, self._options = twin, noise, options
        self._device = noise.plan.sites.live[0].device if noise.plan.sites.live else torch.device("cpu")
        _check_products(options.dtype, self._device)
        self.batch_size = options.batch_size or default_batch_size(noise.plan, options.memory_bytes)
        self._rows = min(self.batch_size, self.batch_size if rows is None else rows)
        self._batches = 1 if rows is None else max(1, -(-rows // self.batch_size))
        self._failed: set[str] = set()
        self._contests: dict[int, Contest[_Way]] = {}
        self._runs = self._runners(block)

    def run(self, batch: Batch, passes: range, *, block: int = 1) -> Iterator[Tensor]:
        """Run passes of one batch, chunk by chunk.

        Args:
            batch: The rows to predict.
            passes: Numbers of the passes.
            block: Passes in a block: a chunk holds whole blocks, or lies within one.

        Yields:
            The outputs of the next passes, shape (C, n, ...).

        Raises:
            ExecutionError: If the strategy asked for by name cannot run this net.
            NetError: If the net refuses the inputs or returns something unusable.
        """
        contest = self._contests.get(batch.size)
        if contest is None:
            is_timed = self._options.execution == "fastest"
            contest = self._contests[batch.size] = Contest(self._ways(batch.size), is_timed=is_timed)
        while len(passes):
            way = contest.next()
            numbers = next(pieces(passes, way.chunk, block))
            try:
                with contest.timed(way, len(numbers)), self._products():
                    output = way.run(batch, passes=numbers)
            except ExecutionError:
                self._failed.add(way.name)
                if not contest.drop(way.name):
                    raise
                continue
            passes = range(numbers.stop, passes.stop)
            yield output.float() if output.dtype == self._options.dtype else output

    def _runners(self, block: Batch) -> dict[str, Callable[..., Tensor]]:
        """Return what may run passes, best first; one alone where it was asked for by name."""
        twin, noise, execution = self._twin, self._noise, self._options.execution
        runners: dict[str, Callable[..., Tensor]] = {
            "vectorized": partial(run_vectorized, twin, noise=noise),
            "loop": partial(run_loop, twin, noise=noise),
        }
        if not noise.plan.sites.live:
            return {"once": partial(_run_once, twin)}
        if execution == "thinned":
            return {"thinned": partial(make_thinned(twin, noise.plan, block).run, noise=noise)}
        if execution in runners:
            return {execution: runners[execution]}
        if noise.plan.uncounted or _is_watched(twin):
            return {"loop": runners["loop"]}
        thinned = self._thinned(block)
        return runners if thinned is None else {"thinned": thinned} | runners

    def _thinned(self, block: Batch) -> Callable[..., Tensor] | None:
        """Trace the net, if that promises to pay."""
        plan, options = self._noise.plan, self._options
        if options.masks != "shared" or plan.closing is not None:
            return None
        chunk, worth = self._chunk(self._rows), None
        if options.execution != "fastest":
            if self._device.type != "cpu":  # the model of the cost is of CPUs
                return None
            passes, worth = options.passes * self._batches, partial(is_worth, rows=self._rows, chunk=chunk)
            if not is_promising(self._twin.module, plan, rows=self._rows, chunk=chunk, passes=passes):
                return None
        try:
            thinned = make_thinned(self._twin, plan, block, is_worth=worth)
        except ExecutionError:
            return None
        return partial(thinned.run, noise=self._noise)

    def _ways(self, rows: int) -> list[_Way]:
        """Return the ways to run a batch, best first; only the first of them where there is no contest."""
        chunk = self._chunk(rows)
        kept = {name: run for name, run in self._runs.items() if name not in self._failed} or self._runs
        if self._options.execution == "fastest":
            given = self._options.chunk_size
            sizes = (chunk,) if given or chunk >= self._options.passes else (chunk, 4 * chunk)
            return [_Way(name, kept[name], size) for name in kept for size in (sizes if name != "loop" else (1,))]
        if chunk == 1 and "loop" in kept and "thinned" not in kept:
            kept.pop("vectorized", None)
        return [_Way(name, run, self._chunk(rows, name == "thinned")) for name, run in kept.items()]

    def _chunk(self, rows: int, thinned: bool = False) -> int:
        options = self._options
        chunk = options.chunk_size or default_chunk_size(
            self._noise.plan,
            rows,
            independent=options.masks == "independent",
            thinned=thinned,
            memory_limit=options.memory_bytes,
            is_cpu=self._device.type == "cpu",
        )
        return min(chunk, options.passes)

    def _products(self) -> AbstractContextManager[object]:
        """Have products taken in the type that was asked for."""
        dtype = self._options.dtype
        return nullcontext() if dtype is None else torch.autocast(self._device.type, dtype)


def _check_products(dtype: torch.dtype | None, device: torch.device) -> None:
    if dtype is None:
        return
    if device.type == "cpu":
        usable = dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    else:
        usable = dtype == torch.float16 or device.type != "cuda" or torch.cuda.is_bf16_supported()
    if not usable:
        raise InputError(
            f"dtype must be a type that this machine takes products in, got {dtype}, which its {device.type} does not "
            "have, or only slowly; leave it out"
        )


def _is_watched(twin: Twin) -> bool:
    """Whether forward hooks look at what passes by: they should meet plain tensors, one pass at a time."""
    return any(module._forward_hooks for module in twin.module.modules())


def _run_once(twin: Twin, batch: Batch, *, passes: range) -> Tensor:
    """Run a net without live sites once for all passes: they are all the same."""
    with torch.no_grad():
        output = run_net(twin, batch.cloned())
    return output.expand(len(passes), *output.shape)
