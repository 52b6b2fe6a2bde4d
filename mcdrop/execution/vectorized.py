"""A chunk of passes at once with `torch.func.vmap`: what comes before the first site is computed once.

Masks are drawn beforehand, at the shapes that the survey found, and enter as the mapped arguments; the inputs
stay unmapped, and so does everything that depends on them alone. `vmap` cannot write a mapped mask into an unmapped
tensor, so dropout in place gives a new tensor there, and a net that then reads the old one is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch
from torch._C._functorch import is_batchedtensor
from torch.utils._pytree import tree_leaves

from mcdrop.errors import ExecutionError
from mcdrop.execution.head import Head
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.plan import Twin, run_net
from mcdrop.fused import unfold
from mcdrop.inputs import Batch
from mcdrop.sites import Interception, SiteCall

__all__ = ["run_vectorized"]


def run_vectorized(twin: Twin, batch: Batch, *, noise: NoiseSource, passes: range) -> Tensor:
    """Run passes side by side.

    Args:
        twin: The structural twin and what to predict of its output.
        batch: The rows to predict.
        noise: Source of the masks.
        passes: Numbers of the passes, C of them.

    Returns:
        The outputs, shape (C, n, ...), equal to those of `run_loop` up to rounding; with the last layer in closed
        form (C, n, 2, ...).

    Raises:
        ExecutionError: If `vmap` cannot run the net; the message says why.
    """
    if noise.plan.uncounted:
        raise ExecutionError(f"vectorized execution cannot run this net: it draws what cannot be counted; {_INSTEAD}")
    expected = [(site.kind, site.key, site.batch_shape(batch.size)) for site in noise.plan.fired]
    closing = noise.plan.closing
    drawn = {
        number: noise.draw(number, site, shape=site.batch_shape(batch.size), passes=passes, rows=batch.rows)
        for number, site in enumerate(noise.plan.fired)
        if site.live and (closing is None or number != closing.site)
    }
    factors = {number: factor for number, (factor, _) in drawn.items()}
    summands = {number: summand for number, (_, summand) in drawn.items() if summand is not None}

    def one_pass(factors: dict[int, Tensor], summands: dict[int, Tensor]) -> Tensor:
        inputs = batch.cloned() if noise.plan.mutates_inputs else batch
        head = None if closing is None else Head(closing)
        with _Watch(_Replay(expected, factors, summands, head), head):
            output = run_net(twin, inputs)
        return output if head is None else head.result(output)

    try:
        with torch.no_grad(), _quiet_fallback():
            if not factors:  # nothing is sampled: the passes are the same
                output = one_pass({}, {})
                return output.expand(len(passes), *output.shape)
            return torch.func.vmap(one_pass)(factors, summands)
    except ExecutionError:
        raise
    except (RuntimeError, ValueError, NotImplementedError, TypeError, IndexError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise ExecutionError(f"vectorized execution cannot run this net: {reason}; {_INSTEAD}") from error


@contextmanager
def _quiet_fallback() -> Iterator[None]:
    """Keep torch from warning that it runs some function pass by pass: it is slower there, and right."""
    switch = _functorch._set_vmap_fallback_warning_enabled  # type: ignore[attr-defined]
    switch(False)
    try:
        yield
    finally:
        switch(True)


_INSTEAD = "use execution='loop', or 'auto' to fall back to it"


class _Replay:
    """Gives each call the noise that was drawn for it; remembers what should have been written over and was not."""

    def __init__(
        self,
        expected: list[tuple[str, float | bool | None, tuple[int, ...]]],
        factors: dict[int, Tensor],
        summands: dict[int, Tensor],
        head: Head | None,
    ) -> None:
        self._expected, self._factors, self._summands, self._head = expected, factors, summands, head
        self._next = 0
        self._stale: dict[int, Tensor] = {}  # by address, and kept alive so that the address stays theirs

    def __call__(self, call: SiteCall) -> Any:
        number, self._next = self._next, self._next + 1
        # The shape too: a mask drawn at another shape might broadcast, silently.
        if self._expected[number : number + 1] != [(call.kind, call.key, call.mask_shape)]:
            raise ExecutionError(f"vectorized execution cannot run this net: its dropout calls vary; {_INSTEAD}")
        if self._head is not None and self._head.takes(number, call):
            return self._head.enter(call)
        if not call.live:
            return call.identity()
        target = call.target if call.inplace else None
        if target is not None and not is_batchedtensor(target):
            self._stale[target.untyped_storage().data_ptr()] = target
            call = replace(call, inplace=False)
        return call.result(self._factors[number], self._summands.get(number))

    def refuse_stale(self, values: Any) -> None:
        """Refuse values that share memory with a tensor that should have been written over."""
        if not self._stale:
            return
        for value in tree_leaves(values):
            plain = isinstance(value, Tensor) and not is_batchedtensor(value)
            if plain and value.untyped_storage().data_ptr() in self._stale:
                raise ExecutionError(
                    "vectorized execution cannot run this net: it reads a tensor by another name after dropout in "
                    f"place; {_INSTEAD}"
                )


class _Watch(Interception):
    """Replays dropout, and looks at what every other function reads."""

    def __init__(self, replay: _Replay, head: Head | None) -> None:
        super().__init__(replay, None if head is None else head.follow)
        self._replay = replay

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._replay.refuse_stale((args, kwargs))
        attention = unfold(func, args, kwargs, always=True)  # fused kernels run one pass after the other under vmap
        if attention is None or not any(_is_batched(value) for value in tree_leaves((args, kwargs))):
            return func(*args, **kwargs)
        with self:
            return attention()


def _is_batched(value: Any) -> bool:
    return isinstance(value, Tensor) and is_batchedtensor(value)
