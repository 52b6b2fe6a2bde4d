"""A chunk of passes at once with `torch.func.vmap`: what comes before the first site is computed once.

Masks are drawn beforehand, at the shapes that the survey found, and enter as the mapped arguments; the inputs
stay unmapped, and so does everything that depends on them alone.
"""

from typing import Any

import torch
from torch import Tensor, nn

from mcdrop.errors import ExecutionError
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.plan import run_net
from mcdrop.inputs import Batch
from mcdrop.sites import DropoutCall, Interception, Site

__all__ = ["run_vectorized"]


def run_vectorized(twin: nn.Module, batch: Batch, *, noise: NoiseSource, passes: range) -> Tensor:
    """Run passes side by side.

    Args:
        twin: The structural twin.
        batch: The rows to predict.
        noise: Source of the masks.
        passes: Numbers of the passes, C of them.

    Returns:
        The outputs, shape (C, n, ...), equal to those of `run_loop` up to rounding.

    Raises:
        ExecutionError: If `vmap` cannot run the net; the message says why.
    """
    live = [site for site in noise.plan.fired if site.live]
    drawn = [
        noise.draw(site.index or 0, site, shape=site.batch_shape(batch.size), passes=passes, rows=batch.rows)
        for site in live
    ]
    factors = [factor for factor, _ in drawn]
    summands = {number: summand for number, (_, summand) in enumerate(drawn) if summand is not None}

    def one_pass(factors: list[Tensor], summands: dict[int, Tensor]) -> Tensor:
        inputs = batch.cloned() if noise.plan.mutates_inputs else batch
        with Interception(_Replay(live, factors, summands)):
            return run_net(twin, inputs)

    try:
        with torch.no_grad():
            return torch.func.vmap(one_pass)(factors, summands)
    except ExecutionError:
        raise
    except (RuntimeError, ValueError, NotImplementedError, TypeError, IndexError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise ExecutionError(f"vectorized execution cannot run this net: {reason}; {_INSTEAD}") from error


_INSTEAD = "use execution='loop', or 'auto' to fall back to it"


class _Replay:
    """Gives each call the noise that was drawn for it."""

    def __init__(self, live: list[Site], factors: list[Tensor], summands: dict[int, Tensor]) -> None:
        self._live, self._factors, self._summands = live, factors, summands
        self._next = 0

    def __call__(self, call: DropoutCall) -> Any:
        if call.rate == 0:
            return call.identity()
        number, self._next = self._next, self._next + 1
        site = self._live[number] if number < len(self._live) else None
        if site is None or (site.kind, site.rate) != (call.kind, call.rate):
            raise ExecutionError(f"vectorized execution cannot run this net: its dropout calls vary; {_INSTEAD}")
        return call.result(self._factors[number], self._summands.get(number))
