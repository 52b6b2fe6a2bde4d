"""What the layers' noise comes to: exact means and variances, and draws compared with them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from laws import LIMIT, randn
from scipy.integrate import quad
from torch import Tensor, nn

from mcdrop.layers import (
    ConcreteDropout,
    DropConnect,
    GaussianDropout,
    InvertedDropout,
    VanillaDropout,
    VariationalDropout,
    VariationalRNN,
    add_dropout,
)


def check_moments(draws: Tensor, mean: Tensor, variance: Tensor) -> None:
    """Compare T draws, on axis 0, with the exact mean and variance, within `LIMIT` standard errors."""
    draws, mean, variance = draws.double(), mean.double(), variance.double()
    rounding = 1e-6 * (1 + mean.square() + variance)
    off = draws - mean
    assert ((off.mean(0)).abs() <= LIMIT * (variance / len(draws)).sqrt() + rounding).all()
    spread = ((off**4).mean(0) - off.square().mean(0).square()).clamp(min=0)
    assert ((off.square().mean(0) - variance).abs() <= LIMIT * (spread / len(draws)).sqrt() + rounding).all()


def relaxed(p: float, temperature: float) -> tuple[float, float]:
    """Return mean and variance of (1 - z) / (1 - p) for the concrete relaxation z, by quadrature over log-odds of u."""
    logit = math.log(p / (1 - p))

    def moment(power: int) -> float:
        def density(noise: float) -> float:
            kept = 0.5 - 0.5 * math.tanh((logit + noise) / temperature / 2)
            return kept**power / (4 * math.cosh(noise / 2) ** 2)

        return quad(density, -60, 60, points=[-logit, 0], limit=500)[0] / (1 - p) ** power

    return moment(1), moment(2) - moment(1) ** 2


def linear(inputs: int = 3, outputs: int = 2) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.copy_(randn(outputs, inputs, seed=11))
        layer.bias.copy_(randn(outputs, seed=12))
    return layer


def positive_rnn(**options) -> nn.RNN:
    """Return an RNN that is linear on inputs above 0: nothing is ever below 0 in it."""
    rnn = nn.RNN(3, 2, nonlinearity="relu", batch_first=True, **options)
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.copy_(parameter.abs())
    return rnn


class LastState(nn.Module):
    """A recurrent layer's output at the last step."""

    def __init__(self, rnn: nn.Module):
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0][:, -1]


@dataclass(frozen=True)
class Case:
    """A net of one noisy layer, its inputs, and the exact mean and variance of what it returns in a pass."""

    net: nn.Module
    x: Tensor
    mean: Tensor
    variance: Tensor
    site: str = "0"
    rows_differ: bool = True


def unit_case(layer: nn.Module, p: float) -> Case:
    x = randn(4, 3, seed=1)
    return Case(nn.Sequential(layer), x, x if p < 1 else 0 * x, x.square() * (p / (1 - p) if p < 1 else 0))


def inverted(p: float) -> Case:
    return unit_case(InvertedDropout(p), p)


def vanilla(p: float) -> Case:
    x = randn(4, 3, seed=1)
    return Case(nn.Sequential(VanillaDropout(p)), x, x * (1 - p), x.square() * p * (1 - p))


def gaussian(p: float) -> Case:
    return unit_case(GaussianDropout(p), p)


@torch.no_grad()
def concrete(p: float) -> Case:
    layer, x = linear(), randn(4, 3, seed=1)
    mean, variance = relaxed(p, 0.1)
    net = nn.Sequential(ConcreteDropout(layer, p=p))
    expected = x @ layer.weight.T * mean + layer.bias
    return Case(net, x, expected, x.square() @ layer.weight.square().T * variance)


@torch.no_grad()
def concrete_channels(p: float) -> Case:
    conv, x = nn.Conv2d(3, 2, 2), randn(4, 3, 3, 3, seed=1)
    mean, variance = relaxed(p, 0.1)
    parts = torch.stack([nn.functional.conv2d(x[:, [c]], conv.weight[:, [c]]) for c in range(3)])
    net = nn.Sequential(ConcreteDropout(conv, p=p, channels=True))
    expected = parts.sum(0) * mean + conv.bias[:, None, None]
    return Case(net, x, expected, parts.square().sum(0) * variance)


@torch.no_grad()
def weights(p: float) -> Case:
    layer, x = linear(), randn(4, 3, seed=1)
    variance = x.square() @ layer.weight.square().T * (p / (1 - p))
    return Case(nn.Sequential(DropConnect(layer, p)), x, layer(x), variance, rows_differ=False)


def locked(p: float) -> Case:
    """Sum over time steps, so that masks of their own at every step would give another variance."""
    x = randn(4, 5, 3, seed=1)
    net = nn.Sequential(VariationalDropout(p), SumOverTime())
    return Case(net, x, x.sum(1), x.sum(1).square() * p / (1 - p))


class SumOverTime(nn.Module):
    """The sum of a sequence."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1)


@torch.no_grad()
def recurrent_inputs(p: float) -> Case:
    """Every step's input goes through one mask: the last state is linear in the mask."""
    rnn, x = positive_rnn(), randn(4, 3, 3, seed=1).abs()
    w, u = rnn.weight_ih_l0, rnn.weight_hh_l0
    paths = u @ u @ w, u @ w, w
    slopes = sum(path * x[:, t, None, :] for t, path in enumerate(paths))  # (rows, states, inputs)
    net = LastState(VariationalRNN(rnn, p_input=p, p_hidden=0))
    return Case(net, x, rnn(x)[0][:, -1], slopes.square().sum(2) * p / (1 - p), site="rnn")


@torch.no_grad()
def recurrent_states(p: float) -> Case:
    rnn, x = positive_rnn(), randn(4, 2, 3, seed=1).abs()
    states = rnn(x)[0]
    variance = states[:, 0].square() @ rnn.weight_hh_l0.square().T * p / (1 - p)
    return Case(LastState(VariationalRNN(rnn, p_input=0, p_hidden=p)), x, states[:, -1], variance, site="rnn")


@torch.no_grad()
def inserted(p: float) -> Case:
    layer, x = linear(), randn(4, 3, seed=1)
    net = add_dropout(nn.Sequential(nn.Identity(), layer), p, where="1")
    variance = x.square() @ layer.weight.square().T * (p / (1 - p))
    return Case(net, x, layer(x), variance, site="1")


CASES: dict[str, Callable[[float], Case]] = {
    "InvertedDropout": inverted,
    "VanillaDropout": vanilla,
    "GaussianDropout": gaussian,
    "ConcreteDropout": concrete,
    "ConcreteDropout of channels": concrete_channels,
    "DropConnect": weights,
    "VariationalDropout": locked,
    "VariationalRNN, inputs": recurrent_inputs,
    "VariationalRNN, states": recurrent_states,
    "add_dropout": inserted,
}
