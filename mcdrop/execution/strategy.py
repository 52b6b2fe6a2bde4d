"""Which strategy runs a batch, how many passes go side by side, and how many rows make a batch.

The rules depend on shapes alone, never on a clock, so that the same call always takes the same path.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from mcdrop.errors import ExecutionError
from mcdrop.execution.loop import run_loop
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.options import Execution
from mcdrop.execution.plan import Plan, Twin, run_net
from mcdrop.execution.thinning import Thinned
from mcdrop.execution.vectorized import run_vectorized
from mcdrop.inputs import Batch

__all__ = ["default_batch_size", "default_chunk_size", "run_passes"]

_CACHE_BYTES = 6 * 2**20  # the widest tensor of a chunk should stay near the caches: measured best at 4 to 8 MiB
_MASK_BYTES = 9  # of one unit while it is drawn: a word, a flag and a float
_MEMORY_BYTES = 256 * 2**20  # what a chunk may take to save prefix work, and the widest tensor of a batch


def default_batch_size(plan: Plan) -> int:
    """Return how many rows to run at once so that the widest tensor stays within a memory budget."""
    return max(1, int(_MEMORY_BYTES // max(plan.widest_bytes, 1.0)))


def default_chunk_size(plan: Plan, rows: int, *, independent: bool = False) -> int:
    """Return how many passes to run side by side.

    As many as keep the widest tensor near the caches; more, within the memory budget, where a long
    deterministic prefix is worth sharing between them.

    Args:
        plan: What the survey found.
        rows: Rows in the batch.
        independent: Whether every row has masks of its own; then the masks of all sites take memory too.

    Returns:
        A number of passes, at least 1.
    """
    widest = max(plan.widest_noisy_bytes * rows, 1.0)
    if independent:
        widest += rows * sum(_MASK_BYTES * math.prod(site.mask_shape or ()) for site in plan.sites.live)
    for_cache = _CACHE_BYTES / widest
    for_prefix = min(10.0 * plan.prefix_bytes / max(plan.suffix_bytes, 1.0), _MEMORY_BYTES / widest)
    return max(1, int(max(for_cache, for_prefix)))


def run_passes(
    twin: Twin,
    batch: Batch,
    *,
    noise: NoiseSource,
    passes: int,
    execution: Execution,
    chunk_size: int | None,
    thinned: Thinned | None = None,
) -> Iterator[Tensor]:
    """Run all passes of one batch, chunk by chunk.

    Args:
        twin: The structural twin and what to predict of its output.
        batch: The rows to predict.
        noise: Source of the masks.
        passes: Number of passes T.
        execution: The strategy.
        chunk_size: Passes side by side, or None to let the shapes decide.
        thinned: The traced net, for thinned execution.

    Yields:
        The outputs of the next passes, shape (C, n, ...).

    Raises:
        ExecutionError: If the strategy asked for by name cannot run this net.
        NetError: If the net refuses the inputs or returns something unusable.
    """
    chunk = chunk_size or default_chunk_size(noise.plan, batch.size, independent=noise.masks == "independent")
    run = _pick(twin, noise.plan, execution, min(chunk, passes)) if thinned is None else partial(_run_thinned, thinned)
    for first in range(0, passes, chunk):
        numbers = range(first, min(first + chunk, passes))
        try:
            yield run(twin, batch, noise=noise, passes=numbers)
        except ExecutionError:
            if execution != "auto":
                raise
            run = run_loop
            yield run(twin, batch, noise=noise, passes=numbers)


def _pick(twin: Twin, plan: Plan, execution: Execution, chunk: int) -> Callable[..., Tensor]:
    if not plan.sites.live:
        return _run_once
    if execution == "loop" or (execution == "auto" and (chunk == 1 or plan.uncounted or _is_watched(twin))):
        return run_loop
    return run_vectorized


def _run_thinned(thinned: Thinned, twin: Twin, batch: Batch, *, noise: NoiseSource, passes: range) -> Tensor:
    """Run passes of a net that was traced beforehand; the twin is in it."""
    return thinned.run(batch, noise=noise, passes=passes)


def _is_watched(twin: Twin) -> bool:
    """Whether forward hooks look at what passes by: they should meet plain tensors, one pass at a time."""
    return any(module._forward_hooks for module in twin.module.modules())


def _run_once(twin: Twin, batch: Batch, *, noise: NoiseSource, passes: range) -> Tensor:
    """Run a net without live sites once for all passes: they are all the same."""
    with torch.no_grad():
        output = run_net(twin, batch.cloned())
    return output.expand(len(passes), *output.shape)
