"""A case: a net that people write, its inputs, and passes of it that were made without mcdrop."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from laws import randn, with_weights
from torch import Tensor, nn

__all__ = ["TIME", "UNITS", "Case", "Inputs", "P", "Reference", "rows"]


P = 0.3
UNITS, TIME = 4, 3

Inputs = tuple[Tensor, ...]
Reference = Callable[[nn.Module, Inputs, int], Tensor]


@dataclass(frozen=True)
class Case:
    """A net, its inputs, and an independent source of its passes.

    Attributes:
        make: Builds the net; weights are set afterwards.
        reference: Draws passes from the net as built, shape (T, rows, ...).
        x: Inputs, rows first, the first two rows equal.
        wrap: What is done to the net last, before it is handed over: compiled, exported, ...
        vectorized: Whether passes can run side by side.
        tiled: Whether more rows can be given than `x` holds, each with draws of its own under independent masks.
        rowwise: Whether each row has draws of its own; False for noise that serves a whole batch, or weights.
        dtype: The net's type.
        warns: What the sampler says of the net, if anything.
    """

    make: Callable[[], nn.Module]
    reference: Reference
    x: Inputs
    wrap: Callable[[nn.Module, Inputs], Any] = lambda net, x: net
    vectorized: bool = True
    tiled: bool = True
    rowwise: bool = True
    dtype: torch.dtype = torch.float32
    warns: str | None = None

    def net(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return with_weights(self.make()).to(self.dtype).eval()

    def wrapped(self) -> Any:
        return self.wrap(self.net(), self.inputs())

    def inputs(self) -> Inputs:
        return tuple(v.to(self.dtype) if v.is_floating_point() else v for v in self.x)

    def draws(self, passes: int) -> Tensor:
        state = random.getstate()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(7)
            random.seed(7)
            try:
                return self.reference(self.net(), self.inputs(), passes)
            finally:
                random.setstate(state)


def rows(*shape: int, seed: int = 1) -> Tensor:
    """Return three rows, the first two equal."""
    return randn(2, *shape, seed=seed)[torch.tensor([0, 0, 1])]
