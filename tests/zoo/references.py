"""Passes made without mcdrop: by hand with explicit masks, or in train mode with norms and weights kept still."""

import math
from collections.abc import Callable

import torch
from laws import ALPHA_PRIME
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from zoo.case import Inputs, P, Reference

__all__ = ["alpha_dropped", "by_hand", "dropped", "in_training", "one_by_one", "tiled"]


def tiled(x: Inputs, copies: int) -> Inputs:
    return tuple(value.repeat_interleave(copies, 0) for value in x)


def untiled(outputs: Tensor, copies: int) -> Tensor:
    return outputs.unflatten(0, (-1, copies)).transpose(0, 1)


def by_hand(forward: Callable[..., Tensor]) -> Reference:
    """Draw passes with a forward (net, generator, *inputs) that gives every row masks of its own."""

    def draws(net: nn.Module, x: Inputs, passes: int) -> Tensor:
        return untiled(forward(net, torch.Generator().manual_seed(11), *tiled(x, passes)), passes)

    return draws


FROZEN = (
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    parametrize.ParametrizationList,
    parametrizations._SpectralNorm,
)


def training_mode(net: nn.Module) -> nn.Module:
    """Switch to train mode all but what keeps statistics or iterates on weights there."""
    net.train()
    for module in net.modules():
        if isinstance(module, FROZEN) or hasattr(module, "weight_u"):
            module.training = False
    return net


def in_training(net: nn.Module, x: Inputs, passes: int) -> Tensor:
    return untiled(training_mode(net)(*tiled(x, passes)), passes)


def one_by_one(net: nn.Module, x: Inputs, passes: int) -> Tensor:
    """Draw passes one at a time, for noise that a batch shares; the first row alone decides nothing."""
    net = training_mode(net)
    return torch.stack([net(*x) for _ in range(passes)])


def keep(generator: torch.Generator, like: Tensor, p: float, *, channels: int | None = None) -> Tensor:
    """Return which units stay: one draw an element, or one for each entry of the first so many axes."""
    shape = like.shape if channels is None else (*like.shape[:channels], *[1] * (like.dim() - channels))
    return torch.rand(shape, generator=generator, dtype=torch.float64) >= p


def dropped(generator: torch.Generator, x: Tensor, p: float = P, *, channels: int | None = None) -> Tensor:
    return (x * keep(generator, x, p, channels=channels) / (1 - p)).to(x.dtype)


def alpha_dropped(generator: torch.Generator, x: Tensor, p: float = P, *, channels: int | None = None) -> Tensor:
    a = 1 / math.sqrt((1 - p) * (1 + p * ALPHA_PRIME**2))
    return a * torch.where(keep(generator, x, p, channels=channels), x, ALPHA_PRIME) - a * p * ALPHA_PRIME
