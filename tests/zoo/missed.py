"""What hides chance so well that saying so is enough."""

import random
import warnings
from collections.abc import Callable
from typing import Any

import torch
from laws import Call
from torch import Tensor, nn

from zoo.case import Case, P, rows
from zoo.references import in_training, one_by_one

__all__ = ["DECLARED", "NAMELESS"]


class Beside(nn.Module):
    """Chance in training mode alone, of some sort, beside a dropout that is plain to see."""

    def __init__(self, noise: nn.Module) -> None:
        super().__init__()
        self.first, self.noise, self.drop, self.last = nn.Linear(3, 6), noise, nn.Dropout(0.1), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.noise(self.first(x))))


def overwritten(self: Any, x: Tensor) -> Tensor:
    if not self.training:
        return x
    x = x.clone()
    x[torch.rand(x.shape) < self.drop_prob] = 0
    return x / (1 - self.drop_prob)


def tokens_left_out(self: Any, x: Tensor) -> Tensor:
    if not self.training:
        return x
    index = torch.rand(x.shape).topk(4, dim=1).indices
    return torch.zeros_like(x).scatter(1, index, x.gather(1, index)) * 1.5


class LayersLeftOut(nn.Module):
    """Layers skipped by draws made beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.layerdrop = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)]), 0.4

    def forward(self, x: Tensor) -> Tensor:
        draws = torch.empty(len(self.layers)).uniform_()
        for draw, layer in zip(draws, self.layers, strict=True):
            if not self.training or draw > self.layerdrop:
                x = layer(x).tanh()
        return x


class LearnedDropout(nn.Module):
    """A rate behind a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) > torch.sigmoid(self.logit)) if self.training else x


def plain_dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    return torch.dropout(x, rate, training)


with warnings.catch_warnings():  # torch would rather have other ways, and people keep their code
    warnings.simplefilter("ignore", DeprecationWarning)
    scripted_dropout = torch.jit.script(plain_dropout)


def _beside(noise: Callable[[], nn.Module], *, shared: bool = False) -> Case:
    reference = one_by_one if shared else in_training
    return Case(lambda: Beside(noise()), reference, (rows(3),), rowwise=not shared)


def hidden_in(function: Callable[..., Tensor], *, shared: bool = False, **members: Any) -> Case:
    return _beside(lambda: Call(function, **members), shared=shared)


def skipped(self: Any, x: Tensor) -> Tensor:
    return x if not self.training or random.random() > self.drop_rate else 2 * x


DECLARED: dict[str, Case] = {
    "masked by a draw": hidden_in(
        lambda self, x: (
            x.masked_fill(torch.rand_like(x) < self.drop_prob, 0.0) / (1 - self.drop_prob) if self.training else x
        ),
        drop_prob=P,
    ),
    "overwritten by index": hidden_in(overwritten, drop_prob=P),
    "one mask for all rows": hidden_in(
        lambda self, x: x * (torch.rand(1, 6) > self.dropout) if self.training else x, shared=True, dropout=P
    ),
    "layers left out": _beside(LayersLeftOut, shared=True),
    "learned rate": _beside(LearnedDropout),
    "python's generator": hidden_in(skipped, shared=True, drop_rate=0.5),
    "scripted function": hidden_in(lambda self, x: scripted_dropout(x, self.dropout, self.training), dropout=P),
    "a child's flag": hidden_in(lambda self, x: self.drop(x) if self.drop.training else x, drop=nn.Dropout(P)),
}
"""Nets that declare dropout and hide it so well that a sampler may miss it, as long as it warns."""

NAMELESS: dict[str, Case] = {
    "noise": hidden_in(lambda self, x: x + self.sigma * torch.randn_like(x) if self.training else x, sigma=1.0),
    "reparametrized": hidden_in(lambda self, x: x + torch.randn_like(x) * x.exp() if self.training else x),
    "tokens left out": hidden_in(tokens_left_out),
    "scripted function": hidden_in(lambda self, x: scripted_dropout(x, P, self.training)),
}
