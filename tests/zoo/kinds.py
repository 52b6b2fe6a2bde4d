"""Every kind of dropout in every form that people call it in."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from laws import KINDS, Call
from torch import Tensor, nn

from zoo.case import UNITS, Case, P, Reference, rows
from zoo.references import alpha_dropped, by_hand, dropped

__all__ = ["CASES", "only_in_training", "sandwich", "sandwich_by_hand"]


def sandwich(noise: nn.Module, shape: tuple[int, ...] = (UNITS,), inputs: int = 3) -> nn.Module:
    size = math.prod(shape)
    return nn.Sequential(
        nn.Linear(inputs, size), nn.Unflatten(1, shape), noise, nn.Flatten(), nn.Tanh(), nn.Linear(size, 2)
    )


def noisy(name: str) -> Callable[[torch.Generator, Tensor], Tensor]:
    kind = KINDS[name]
    channels = 2 if kind.channels else None
    return partial(alpha_dropped if "Alpha" in name else dropped, channels=channels)


def sandwich_by_hand(noise: Callable[[torch.Generator, Tensor], Tensor]) -> Reference:
    return by_hand(lambda net, g, x: net[3:](noise(g, net[:2](x))))


def only_in_training(self: Any, x: Tensor, *, function: Callable[..., Tensor]) -> Tensor:
    if self.training:
        x = function(x, self.p, True)
    return x


def forms(name: str) -> dict[str, Callable[[], nn.Module]]:
    """Return one kind of dropout as people call it."""
    kind = KINDS[name]
    f, plain, in_place = kind.function, kind.plain[0], kind.plain[1]
    return {
        "module": lambda: kind.module(P),
        "module, in place": lambda: kind.module(P, inplace=True),
        "functional, training=self.training": lambda: Call(lambda self, x: f(x, P, training=self.training)),
        "functional, training=False": lambda: Call(lambda _, x: f(x, P, False)),
        "functional, if self.training": lambda: Call(partial(only_in_training, function=f), p=P),
        f"torch.{plain.__name__}": lambda: Call(lambda self, x: plain(x, P, self.training)),
        f"torch.{in_place.__name__}": lambda: Call(lambda self, x: in_place(x, P, self.training)),
    }


def _built(noise: Callable[[], nn.Module], shape: tuple[int, ...]) -> nn.Module:
    return sandwich(noise(), shape)


CASES = {
    f"{name}: {form}": Case(partial(_built, build, kind.shape), sandwich_by_hand(noisy(name)), (rows(3),))
    for name, kind in KINDS.items()
    for form, build in forms(name).items()
}
