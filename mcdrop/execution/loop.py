"""One pass at a time: runs anything, and is the oracle the other strategies are held against."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mcdrop.execution.head import Head
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.plan import Twin, run_net
from mcdrop.inputs import Batch
from mcdrop.rng import reseed, spared
from mcdrop.sites import Interception, SiteCall

__all__ = ["run_loop"]


def run_loop(twin: Twin, batch: Batch, *, noise: NoiseSource, passes: range) -> Tensor:
    """Run passes one after the other.

    Args:
        twin: The structural twin and what to predict of its output.
        batch: The rows to predict.
        noise: Source of the masks.
        passes: Numbers of the passes, C of them.

    Returns:
        The outputs, shape (C, n, ...); with the last layer in closed form (C, n, 2, ...).

    Raises:
        NetError: If the net refuses the inputs or returns something else than one row per row.
        ExecutionError: If the last layer is to be in closed form and has none.
    """
    return torch.stack([_one_pass(twin, batch, noise, number) for number in passes])


def _one_pass(twin: Twin, batch: Batch, noise: NoiseSource, number: int) -> Tensor:
    site = 0
    head = None if noise.plan.closing is None else Head(noise.plan.closing)

    def on_site(call: SiteCall) -> Any:
        nonlocal site
        index, site = site, site + 1
        if head is not None and head.takes(index, call):
            return head.enter(call)
        if not call.live:
            return call.identity()
        factor, summand = noise.draw(
            index, call, shape=call.mask_shape, passes=range(number, number + 1), rows=batch.rows
        )
        return call.result(factor[0], None if summand is None else summand[0])

    inputs = batch.cloned() if noise.plan.mutates_inputs else batch
    with (
        _generators(noise, number, batch),
        torch.no_grad(),
        Interception(on_site, None if head is None else head.follow),
    ):
        output = run_net(twin, inputs)
        return output if head is None else head.result(output)


@contextmanager
def _generators(noise: NoiseSource, number: int, batch: Batch) -> Iterator[None]:
    """Give what cannot be counted global generators seeded for this pass and batch, and put them back."""
    if not noise.plan.uncounted:
        yield
        return
    with spared():
        reseed(noise.seed, number, batch.start)
        yield
