"""Chance drawn directly: stochastic depth in every spelling, Gaussian noise."""

from collections.abc import Callable
from functools import partial

import torch
from laws import Call
from torch import Tensor, nn

from zoo.case import Case, P, Reference, rows
from zoo.references import by_hand, dropped

__all__ = ["CASES"]


class DropPath(nn.Module):
    """Stochastic depth with one draw a row, in the spelling that `draw` has."""

    def __init__(self, draw: Callable[[Tensor, float], Tensor], rate: float = P) -> None:
        super().__init__()
        self.draw, self.drop_prob = draw, rate

    def forward(self, x: Tensor) -> Tensor:
        if self.drop_prob == 0.0 or not self.training:
            return x
        return x * self.draw(x, 1 - self.drop_prob)


def filled_in_place(x: Tensor, stay: float) -> Tensor:
    mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(stay)
    if stay > 0.0:
        mask.div_(stay)
    return mask


def floor_of_uniform(x: Tensor, stay: float) -> Tensor:
    mask = stay + torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device)
    mask.floor_()
    return mask / stay


def filled_empty(x: Tensor, stay: float, *, mode: str) -> Tensor:
    size = [x.shape[0]] + [1] * (x.ndim - 1) if mode == "row" else [1] * x.ndim
    mask = torch.empty(size, dtype=x.dtype, device=x.device)
    return mask.bernoulli_(stay).div_(stay)


def of_probabilities(x: Tensor, stay: float) -> Tensor:
    return torch.bernoulli(torch.full_like(x[:, :1], stay)) / stay


def compared(x: Tensor, stay: float) -> Tensor:
    return (torch.rand(len(x), 1) < stay).to(x.dtype) / stay


class Block(nn.Module):
    """A residual branch that a row may skip."""

    def __init__(self, noise: nn.Module) -> None:
        super().__init__()
        self.first, self.branch, self.last, self.noise = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2), noise

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(h + self.noise(self.branch(h).tanh()))


def block_by_hand(noise: Callable[[torch.Generator, Tensor], Tensor]) -> Reference:
    def forward(net: Block, generator: torch.Generator, x: Tensor) -> Tensor:
        h = net.first(x)
        return net.last(h + noise(generator, net.branch(h).tanh()))

    return by_hand(forward)


def gaussian(generator: torch.Generator, x: Tensor) -> Tensor:
    return x * (1 + P * torch.randn(x.shape, generator=generator))


class GaussianDropout(nn.Module):
    """Multiplicative Gaussian noise, in training alone."""

    def __init__(self, draw: Callable[[Tensor], Tensor] = torch.randn_like) -> None:
        super().__init__()
        self.p, self.draw = P, draw

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.p > 0:
            x = x * (1 + self.p * self.draw(x))
        return x


def chance_cases() -> dict[str, Case]:
    by_row = block_by_hand(partial(dropped, channels=1))
    draws: dict[str, Callable[..., Tensor]] = {
        "bernoulli_ on new_empty": filled_in_place,
        "floor of rand": floor_of_uniform,
        "bernoulli_ on empty, row": partial(filled_empty, mode="row"),
        "bernoulli of probabilities": of_probabilities,
        "rand below": compared,
    }
    noises: dict[str, Callable[[Tensor], Tensor]] = {
        "randn_like": torch.randn_like,
        "randn": lambda x: torch.randn(x.shape),
        "normal": lambda x: torch.normal(0.0, 1.0, x.shape),
        "normal of tensors": lambda x: torch.normal(torch.zeros_like(x), torch.ones_like(x)),
        "normal_": lambda x: torch.empty_like(x).normal_(),
    }
    return {
        **{f"depth: {name}": Case(partial(_block, draw), by_row, (rows(3),)) for name, draw in draws.items()},
        "depth: bernoulli_ on empty, batch": Case(
            partial(_block, partial(filled_empty, mode="batch")), by_row, (rows(3),), tiled=False, rowwise=False
        ),
        **{
            f"gaussian: {name}": Case(partial(_noisy_block, draw), block_by_hand(gaussian), (rows(3),))
            for name, draw in noises.items()
        },
        "rand in eval mode too": Case(
            lambda: Block(Call(lambda _, x: x * (torch.rand_like(x) > P) / (1 - P))), block_by_hand(dropped), (rows(3),)
        ),
    }


def _block(draw: Callable[..., Tensor]) -> nn.Module:
    return Block(DropPath(draw))


def _noisy_block(draw: Callable[..., Tensor]) -> nn.Module:
    return Block(GaussianDropout(draw))


CASES = chance_cases()
