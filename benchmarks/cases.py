"""What is timed: nets, inputs and numbers of passes, and how many products a pass of each takes at the least."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from mcdrop.networks import co2_mlp, lenet, mlp

__all__ = ["CASES", "Case", "Sweep", "Work"]

Sweep = Literal["passes", "rows", "rate"]
"""What a series of cases varies; the cases of the suite proper are of none."""


@dataclass(frozen=True, slots=True)
class Work:
    """The multiply-adds that thinned networks need for all rows of a case.

    Only products of live units are counted, at their expected number: a layer between two sites of rates p and q costs
    (1 - p)(1 - q) of itself. What comes before the first site is the same in all passes.

    Attributes:
        once: For what comes before the first site.
        each: For the rest, in every pass.
    """

    once: float
    each: float


@dataclass(frozen=True, slots=True)
class Case:
    """One contest.

    Attributes:
        name: Unique, for tables.
        build: Makes the net, in eval mode.
        inputs: Makes the rows, N on the first axis.
        passes: Number of passes T.
        task: What `MCDropout` is told of the net.
        count: Counts the products of the net on the rows.
        series: Which line of a sweep the case is a point of; "" in the suite.
        sweep: What that sweep varies.
        at: The value it has here.
        least: The least number of turns that the contestants take.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    passes: int
    task: Literal["regression", "classification"]
    count: Callable[[nn.Module, Tensor], Work]
    series: str = ""
    sweep: Sweep | None = None
    at: float = 0.0
    least: int = 5


def count_sequential(net: nn.Module, x: Tensor) -> Work:
    """Count the products of a net that runs its children in order, each either linear, dropout or per unit."""
    children = list(net.children())
    once = each = 0.0
    live, noisy = 1.0, False  # the share of units that reach the next layer, and whether any site came before
    for place, child in enumerate(children):
        x = child(x)
        rate = _rate(child)
        if rate is not None:
            live, noisy = 1 - rate, noisy or rate > 0
        elif isinstance(child, nn.Linear | nn.Conv2d):
            products = x.numel() * child.weight[0].numel()
            if noisy:
                each += products * live * _kept_after(children[place + 1 :])
            else:
                once += products
            live = 1.0
    return Work(once, each)


def _rate(child: nn.Module) -> float | None:
    return child.p if isinstance(child, nn.Dropout | nn.Dropout2d) else None


def _kept_after(rest: list[nn.Module]) -> float:
    """Return the share of a layer's units that the next site keeps, before another layer reads them."""
    for child in rest:
        rate = _rate(child)
        if rate is not None:
            return 1 - rate
        if isinstance(child, nn.Linear | nn.Conv2d):
            return 1.0
    return 1.0


def head_only() -> nn.Sequential:
    """Return a convolutional net whose only dropout stands before its last layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 10)).eval()


class Block(nn.Module):
    """A pre-norm transformer block with dropout in its attention and its perceptron."""

    def __init__(self, width: int, heads: int, p: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=p, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(p), nn.Linear(4 * width, width), nn.Dropout(p)
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class VisionTransformer(nn.Module):
    """Patches, positions, blocks, and a linear layer on the mean of the tokens."""

    def __init__(self, *, side: int = 64, patch: int = 8, width: int = 128, heads: int = 4, blocks: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (side // patch) ** 2, width))
        self.blocks = nn.Sequential(*(Block(width, heads, 0.1) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return logits


def vit() -> nn.Module:
    """Return a small vision transformer."""
    return VisionTransformer().eval()


def count_vit(net: nn.Module, x: Tensor) -> Work:
    """Count the products of a `VisionTransformer`.

    Attention weights are dropped one by one, not by units, so that no row or column of their product can be left out.
    """
    assert isinstance(net, VisionTransformer)
    rows, tokens, width = len(x), net.positions.shape[1], net.positions.shape[2]
    linear, mixing = rows * tokens * width**2, rows * tokens**2 * width
    keep = 0.9
    block = 4 * linear + 2 * mixing + 4 * linear * keep + 4 * linear * keep**2
    before = 3 * linear + mixing  # queries, keys, values and scores of the first block meet no dropout
    patches = rows * tokens * net.patches.weight.numel()
    return Work(patches + before, len(net.blocks) * block - before + rows * net.head.weight.numel())


def _grid() -> Tensor:
    """Return the CO2 demo's grid of times, 523 points."""
    return torch.linspace(-1.72, 3.5, 523)[:, None]


def _images(rows: int, *, channels: int = 1, side: int = 28) -> Tensor:
    return torch.rand(rows, channels, side, side, generator=torch.Generator().manual_seed(0))


def _suite() -> Iterator[Case]:
    regression = partial(Case, inputs=_grid, task="regression", count=count_sequential)
    classification = partial(Case, task="classification", count=count_sequential)
    photos = partial(_images, 64, channels=3, side=32)
    yield regression("CO2 net 5x1024, p=0.2, N=523", co2_mlp, passes=50)
    yield regression("CO2 net 5x1024, p=0.5, N=523", partial(co2_mlp, p=0.5), passes=50)
    yield classification("LeNet, p=0.5, N=1000", lenet, partial(_images, 1000), 20)
    yield classification("LeNet, p=0.5, N=12", lenet, partial(_images, 12), 100)
    yield classification("conv net, dropout in head, N=64, T=50", head_only, photos, 50)
    yield classification("conv net, dropout in head, N=64, T=100", head_only, photos, 100)
    images = partial(_images, 16, channels=3, side=64)
    yield Case("small ViT, p=0.1, N=16", vit, images, 50, "classification", count_vit)
    yield regression("CO2 net 4x256, p=0.1, N=523", _small_co2, passes=200)
    yield classification("MLP 800-800, p=0.5, N=12", mlp, partial(_images, 12), 200)


def _small_co2() -> nn.Sequential:
    return co2_mlp(hidden=(256,) * 4, p=0.1)


def _sweeps() -> Iterator[Case]:
    point = partial(Case, count=count_sequential, least=1)
    by_passes, by_rows, by_rate = (partial(point, sweep=sweep) for sweep in ("passes", "rows", "rate"))
    for passes in (10, 100, 1000, 10_000):
        series = "MLP 800-800, N=12"
        twelve = partial(_images, 12)
        name = f"{series}, T={passes}, sweep"
        yield by_passes(name, mlp, twelve, passes, "classification", series=series, at=passes)
    for passes in (10, 100, 1000, 10_000):
        series = "CO2 net 4x256, N=523"
        name = f"{series}, T={passes}, sweep"
        yield by_passes(name, _small_co2, _grid, passes, "regression", series=series, at=passes)
    for rows, passes in ((1, 100), (3, 100), (10, 100), (30, 50), (100, 20), (300, 10), (1000, 10)):
        series = "LeNet, p=0.5"
        images = partial(_images, rows)
        name = f"{series}, N={rows}, sweep"
        yield by_rows(name, lenet, images, passes, "classification", series=series, at=rows)
    for rate in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9):
        series = "CO2 net 5x1024, N=523"
        net = partial(co2_mlp, p=rate)
        yield by_rate(f"{series}, p={rate}, sweep", net, _grid, 20, "regression", series=series, at=rate)


CASES = (*_suite(), *_sweeps())
"""The suite, then the sweeps."""
