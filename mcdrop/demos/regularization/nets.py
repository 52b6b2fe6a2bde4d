"""The nets that are trained: the tutorial's five, and the small perceptron of the exercises."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

import torch
from torch import nn

from mcdrop.layers import DropConnect
from mcdrop.networks import lenet, mlp
from mcdrop.rng import seeded

__all__ = ["FAMILIES", "NETS", "PUBLISHED", "SPOKEN", "TITLES", "LeNet", "Net", "Perceptron", "TwoLayers"]


class Net(Protocol):
    """What a net is made from; the same seed makes the same weights, whatever its dropout."""

    def build(self, seed: int) -> nn.Module:
        """Return the net on the CPU, in eval mode."""


@dataclass(frozen=True, slots=True)
class Perceptron:
    """The tutorial's 800-800 TanH perceptron (section 4.1).

    Attributes:
        p: Dropout rate between the hidden layers.
        input_p: Dropout rate of the pixels.
    """

    p: float
    input_p: float

    def build(self, seed: int) -> nn.Module:
        """Return the net."""
        return mlp(p=self.p, input_p=self.input_p, seed=seed)


@dataclass(frozen=True, slots=True)
class LeNet:
    """The tutorial's LeNet (section 4.2).

    Attributes:
        p: Dropout rate of channels and of hidden units.
    """

    p: float

    def build(self, seed: int) -> nn.Module:
        """Return the net."""
        return lenet(p=self.p, conv_p=self.p, seed=seed)


@dataclass(frozen=True, slots=True)
class TwoLayers:
    """The 256-256 ReLU perceptron of Dive into Deep Learning's section on dropout: dropout after both hidden layers.

    Its weights start as torch makes them, not from N(0, 0.01²).

    Attributes:
        rates: Dropout rate after the first and after the second hidden layer.
        drops: Whether whole units are dropped, or single weights of the layer that the units feed.
    """

    rates: tuple[float, float]
    drops: Literal["units", "weights"] = "units"

    def build(self, seed: int) -> nn.Module:
        """Return the net."""
        first, second = self.rates
        net = nn.Sequential()
        with seeded(seed), torch.device("cpu"):
            net.add_module("flatten", nn.Flatten())
            net.add_module("input", nn.Linear(28 * 28, 256))
            net.add_module("relu1", nn.ReLU())
            self._add(net, "hidden", nn.Linear(256, 256), first)
            net.add_module("relu2", nn.ReLU())
            self._add(net, "final", nn.Linear(256, 10), second)
        return net.eval()

    def _add(self, net: nn.Sequential, name: str, layer: nn.Linear, rate: float) -> None:
        if self.drops == "units":
            net.add_module(f"dropout_{name}", nn.Dropout(rate))
        net.add_module(name, layer if self.drops == "units" else DropConnect(layer, rate))


NETS: Mapping[str, Net] = MappingProxyType(
    {
        "mlp_none": Perceptron(p=0.0, input_p=0.0),
        "mlp_hidden": Perceptron(p=0.5, input_p=0.0),
        "mlp": Perceptron(p=0.5, input_p=0.2),
        "lenet_none": LeNet(p=0.0),
        "lenet": LeNet(p=0.5),
    }
)
"""The tutorial's five nets. Those with all their dropout bear the names under which `demo digits` loads them."""

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "mlp_none": "MLP, no dropout",
        "mlp_hidden": "MLP, 50% hidden",
        "mlp": "MLP, 50% hidden + 20% input",
        "lenet_none": "LeNet, no dropout",
        "lenet": "LeNet, 50%",
    }
)
"""What the nets are called in figures and tables."""

SPOKEN: Mapping[str, str] = MappingProxyType(
    {
        "mlp_none": "the MLP without dropout",
        "mlp_hidden": "the MLP with 50% hidden dropout",
        "mlp": "the MLP with 50% hidden and 20% input dropout",
        "lenet_none": "the LeNet without dropout",
        "lenet": "the LeNet with 50% dropout",
    }
)
"""What they are called in sentences."""

FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"MLP": ("mlp_none", "mlp_hidden", "mlp"), "LeNet": ("lenet_none", "lenet")}
)
"""Each family of nets, from no dropout to the most."""

PUBLISHED: Mapping[str, int] = MappingProxyType(
    {"mlp_none": 187, "mlp_hidden": 169, "mlp": 114, "lenet_none": 109, "lenet": 72}
)
"""Errors on the 10,000 test digits of MNIST that the tutorial found after 1,500 epochs on 60,000 digits."""
