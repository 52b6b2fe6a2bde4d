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
from torch.nn.modules.module import _has_any_global_hook

from mcdrop.errors import ExecutionError, InputError
from mcdrop.execution.contest import Contest
from mcdrop.execution.loop import run_loop
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.options import Options
from mcdrop.execution.plan import Plan, Twin, run_net
from mcdrop.execution.thinning import is_promising, is_worth, make_thinned
from mcdrop.execution.vectorized import run_vectorized
from mcdrop.inputs import Batch, Stream

__all__ = ["Strategy", "default_batch_size", "default_block_rows", "default_chunk_size", "pieces"]

_CACHE_BYTES = 6 * 2**20  # the widest tensor of a chunk should stay near the caches: measured best at 4 to 8 MiB
_THINNED_BYTES = 4 * _CACHE_BYTES  # every pass has tensors of its own there, and a chunk many small calls to share
_DEVICE_BYTES = 128 * 2**20  # on an accelerator: enough to keep it busy
_MASK_BYTES = 9  # of one unit of a mask: a word, a flag and a float
_DRAWING_BYTES = 32  # of one unit while its mask is drawn: words of two kinds, its stratum, a flag and floats
_MEMORY_BYTES = 2 * 2**30  # what passes may take where nobody says how much
_BLOCK_BYTES = 32 * 2**20  # of the widest tensor, over the rows of a block: longer products are no faster
_BLOCK_ROWS = (16, 16_384)  # fewest and most rows of a block
_ALIVE = 8  # tensors as large as the widest one that may be alive at once: inputs and outputs of a layer, statistics


def default_batch_size(plan: Plan, memory_limit: int | None = None, *, independent: bool = False) -> int:
    """Return how many rows to run at once so that a pass stays within a memory budget.

    Args:
        plan: What the survey found.
        memory_limit: Bytes that the passes may take.
        independent: Whether every row has masks of its own.

    Raises:
        InputError: If not even one row of one pass fits into the limit.
    """
    row = max(plan.widest_bytes * _ALIVE + (_mask_bytes(plan, _DRAWING_BYTES) if independent else 0.0), 1.0)
    rows = int(_limit(memory_limit) // row)
    if rows < 1 and memory_limit is not None:
        raise InputError(
            f"memory_limit must let one row of one pass in, which takes about {math.ceil(row):,} bytes in this net, "
            f"got {memory_limit:,}; raise it, or leave it out"
        )
    return max(1, rows)


def default_block_rows(plan: Plan) -> int:
    """Return how many rows to predict and write at once where there are more than fit in memory.

    Every block draws its masks and slices its weights anew, and an interrupted run loses what it had of a block.

    Args:
        plan: What the survey found.
    """
    least, most = _BLOCK_ROWS
    return int(min(max(_BLOCK_BYTES // max(plan.widest_bytes, 1.0), least), most))


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
    widest, pass_bytes = plan.widest_noisy_bytes * rows, plan.widest_noisy_bytes * rows * _ALIVE
    if independent:
        widest += rows * _mask_bytes(plan, _MASK_BYTES)
        pass_bytes += rows * _mask_bytes(plan, _DRAWING_BYTES)
    most = _limit(memory_limit) / max(pass_bytes, 1.0)
    cache = _DEVICE_BYTES if not is_cpu else _THINNED_BYTES if thinned else _CACHE_BYTES
    for_prefix = 10.0 * plan.prefix_bytes / max(plan.suffix_bytes, 1.0)
    return max(1, int(min(max(cache / max(widest, 1.0), for_prefix), most)))


def _limit(memory_limit: int | None) -> float:
    """Return how many bytes passes may take."""
    return _MEMORY_BYTES if memory_limit is None else memory_limit


def _mask_bytes(plan: Plan, each: int) -> float:
    """Return what the masks of a row take, given what one unit does."""
    return float(each * sum(math.prod(site.mask_shape or ()) for site in plan.sites.live))


def pieces(passes: range, chunk: int, block: int = 1) -> Iterator[range]:
    """Cut passes into chunks that hold whole blocks, or lie within one.

    Args:
        passes: Numbers of the passes.
        chunk: Passes side by side, at most.
        block: Passes in a block; blocks start at its multiples.
    """
    first = passes.start
    while first < passes.stop:
        size = min(chunk, passes.stop - first) // block * block if first % block == 0 else 0
        left = min(block - first % block, passes.stop - first)
        size = size or -(-left // -(-left // chunk))  # what is left of a block in parts of about one size
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

    def __init__(self, twin: Twin, noise: NoiseSource, options: Options, *, block: Batch, stream: Stream) -> None:
        """Look at what the net allows.

        Args:
            twin: The structural twin and what to predict of its output.
            noise: Source of the masks.
            options: How the passes are to run.
            block: The first rows.
            stream: The inputs.

        Raises:
            InputError: If an option does not fit this machine, or the net.
            ExecutionError: If the strategy asked for by name cannot run the net.
        """
        self._twin, self._noise, self._options = twin, noise, options
        self._device = noise.plan.sites.live[0].device if noise.plan.sites.live else torch.device("cpu")
        _check_products(options, self._device, {parameter.dtype for parameter in twin.module.parameters()})
        independent = options.masks == "independent"
        self.batch_size = options.batch_size or default_batch_size(
            noise.plan, options.memory_bytes, independent=independent
        )
        self._rows = min(self.batch_size, stream.first.size)
        self._batches = max(1, (stream.total or 0) // self._rows)
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
        contest, is_timed = self._contests.get(batch.size), self._options.execution == "fastest"
        if contest is None:
            contest = self._contests[batch.size] = Contest(self._ways(batch.size), is_timed=is_timed)
        while len(passes):
            way = contest.next()
            numbers = next(pieces(passes, way.chunk, block))
            try:
                with contest.timed(way, len(numbers)), self._products():
                    output = way.run(batch, passes=numbers)
                    if is_timed and output.is_cuda:
                        torch.cuda.synchronize(output.device)  # else the clock would see launches alone
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
        if options.masks != "shared" or options.dtype is not None:
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
            sizes = sorted({chunk, self._chunk(rows, thinned=True)})  # the second one larger, if memory allows
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


def _check_products(options: Options, device: torch.device, held: set[torch.dtype]) -> None:
    """Refuse a type of products that the machine, the net or the strategy does not have."""
    dtype = options.dtype
    if dtype is None:
        return
    if options.execution == "thinned":
        raise InputError(
            f"dtype must be None with execution='thinned', which takes products in the net's own types, got {dtype}; "
            "leave one of them out"
        )
    if torch.float32 not in held:
        raise InputError(f"dtype is for nets in float32, got {dtype} for one without; leave it out, or convert the net")
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
    for module in twin.module.modules():
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values()):
            if not type(hook).__module__.startswith("torch.nn.utils"):  # those make weights
                return True
    return bool(_has_any_global_hook())  # type: ignore[no-untyped-call]


def _run_once(twin: Twin, batch: Batch, *, passes: range) -> Tensor:
    """Run a net without live sites once for all passes: they are all the same."""
    with torch.no_grad():
        output = run_net(twin, batch.cloned())
    return output.expand(len(passes), *output.shape)
