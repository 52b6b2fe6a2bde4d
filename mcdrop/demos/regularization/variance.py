r"""The variance of a hidden layer's activations, with dropout off and on.

For a layer of units $h_j(x)$ this is $\frac{1}{J} \sum_j \mathrm{Var}_x[h_j(x)]$ over the held-out digits. With
dropout on, each digit meets masks of its own, and inverted dropout after the layer makes it
$\frac{1}{J} \sum_j \left( \frac{E[h_j^2]}{1 - p} - E[h_j]^2 \right)$, which is larger.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop.rng import seeded

__all__ = ["LAYERS", "measure_variance"]

LAYERS = {"relu1": "dropout_hidden", "relu2": "dropout_final"}
"""The hidden layers of a `TwoLayers` net, and the dropout behind each."""


def measure_variance(net: nn.Module, images: NDArray[np.float32]) -> dict[str, float]:
    """Return the variance of every hidden layer of a `TwoLayers` net that drops units or weights.

    Args:
        net: The net, in eval mode.
        images: Shape (N, 1, 28, 28).

    Returns:
        By the names "relu1", "relu2" with dropout off, and "relu1/on", "relu2/on" behind the dropout in training
        mode; where there is no such dropout, the layer itself is measured.
    """
    device = next(net.parameters()).device
    inputs = torch.as_tensor(images).to(device)
    with torch.no_grad(), seeded(0, device=device):
        off = _pass(net, inputs)
        net.train()
        try:
            on = _pass(net, inputs)
        finally:
            net.eval()
    return {name: _variance(off[name]) for name in LAYERS} | {
        f"{name}/on": _variance(on.get(dropout, on[name])) for name, dropout in LAYERS.items()
    }


def _pass(net: nn.Module, h: Tensor) -> dict[str, Tensor]:
    """Return what each child of a sequence of layers gives."""
    seen = {}
    for name, layer in net.named_children():
        seen[name] = h = layer(h)
    return seen


def _variance(h: Tensor) -> float:
    return float(h.double().var(dim=0, correction=0).mean())
