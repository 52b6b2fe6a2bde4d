"""What the last layer in closed form gains: the variance of estimates from T passes, over seeds, and what they cost.

python benchmarks/last_layer.py

For every net the variance of the mean and of the standard deviation over seeds, sampled over exact, averaged over
points; the time of an exact prediction over that of a sampled one, the contestants taking turns; and the gain at equal
cost, the first ratio over the last.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop import MCDropout
from mcdrop.execution import LastLayer
from mcdrop.training import fit

PASSES = 20


def wave(rows: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return inputs and noisy values of a wave."""
    generator = torch.Generator().manual_seed(seed)
    x = 4 * torch.rand(rows, 1, generator=generator) - 2
    return x, torch.sin(3 * x) + 0.1 * torch.randn(rows, 1, generator=generator)


def perceptron(hidden: Sequence[int], p: float) -> nn.Sequential:
    """Return a net with dropout after every hidden layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([1, *hidden]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(p)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 1))


def trained(net: nn.Module, epochs: int) -> nn.Module:
    """Return a net trained on the wave."""
    x, y = wave(200)
    fit(net, x, y, loss="mse", epochs=epochs, seed=0)
    return net.eval()


def nets(epochs: int) -> dict[str, nn.Module]:
    """Return the nets: dropout after one hidden layer, after each of several, and at several rates."""
    torch.manual_seed(0)
    made = {f"mlp 4x256, p={p:g}": perceptron([256] * 4, p) for p in (0.05, 0.1, 0.2, 0.5)}
    made["mlp 2x100, p=0.1"] = perceptron([100, 100], 0.1)
    made["mlp 1x256, p=0.1 (one site)"] = perceptron([256], 0.1)
    layers = list(perceptron([256] * 4, 0.1))
    kept = [layer for layer in layers[:-2] if not isinstance(layer, nn.Dropout)]
    made["mlp 4x256, p=0.1 (one site)"] = nn.Sequential(*kept, *layers[-2:])
    return {name: trained(net, epochs) for name, net in made.items()}


def measure(net: nn.Module, x: Tensor, seeds: int) -> dict[LastLayer, tuple[NDArray[np.float64], ...]]:
    """Return estimates of mean and standard deviation of every seed, and the seconds each took."""
    model = MCDropout(net)
    found: dict[LastLayer, list[tuple[NDArray[np.float64], NDArray[np.float64], float]]] = {"sampled": [], "exact": []}
    for seed in range(seeds):
        for last_layer, runs in found.items():
            start = time.perf_counter()
            pred = model.predict(x, passes=PASSES, seed=seed, last_layer=last_layer)
            runs.append((pred.mean, pred.std, time.perf_counter() - start))
    return {key: tuple(np.array(part) for part in zip(*runs, strict=True)) for key, runs in found.items()}


def ratio(sampled: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """Return how many times as large the variance over seeds is; infinite where the exact one is that of rounding."""
    before, after = sampled.var(axis=0).mean(), exact.var(axis=0).mean()
    return float(before / after) if after > 1e-12 * before else float("inf")


def main() -> None:
    """Print one row for every net."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=200, help="predictions of either kind for every net")
    parser.add_argument("--epochs", type=int, default=300, help="epochs of training")
    given = parser.parse_args()
    x = torch.linspace(-2.5, 2.5, 50)[:, None]
    print(f"{'T = ' + str(PASSES):30s}  {'mean':>8s}  {'std':>8s}  {'time':>6s}  {'mean at equal cost':>18s}")
    for name, net in nets(given.epochs).items():
        found = measure(net, x, given.seeds)
        means, stds = (ratio(found["sampled"][part], found["exact"][part]) for part in (0, 1))
        pairs = zip(found["exact"][2], found["sampled"][2], strict=True)
        cost = statistics.median(exact / sampled for exact, sampled in pairs)
        print(f"{name:30s}  {means:7.2f}x  {stds:7.2f}x  {cost:6.2f}  {means / cost:17.2f}x", flush=True)


if __name__ == "__main__":
    main()
