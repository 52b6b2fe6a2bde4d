"""Milliseconds a pass: the engine against the loop over `net.train()`, in one run, as medians and ratios.

python benchmarks/passes.py
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mcdrop import MCDropout
from mcdrop.networks import co2_mlp, lenet, mlp

REPEATS = 7


def train_loop(net: nn.Module, x: Tensor, passes: int) -> None:
    """Do what people do: switch the whole net to train mode and call it T times."""
    net.train()
    with torch.no_grad():
        torch.stack([net(x) for _ in range(passes)])
    net.eval()


def head_only() -> nn.Sequential:
    """Return a convolutional net whose only dropout stands before its last layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 10)).eval()


def milliseconds(run: Callable[[], object], passes: int) -> float:
    """Time one call."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) / passes * 1e3


def compare(name: str, net: nn.Module, x: Tensor, passes: int) -> None:
    """Print one row; the contestants take turns, so that a drifting machine slows all of them alike."""
    model = MCDropout(net, task="regression")
    runs: dict[str, Callable[[], object]] = {
        "train() loop": lambda: train_loop(net, x, passes),
        "loop": lambda: model.predict(x, passes=passes, execution="loop"),
        "auto": lambda: model.predict(x, passes=passes),
        "thinned": lambda: model.predict(x, passes=passes, execution="thinned"),
    }
    times: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(REPEATS + 1):
        for label, run in runs.items():
            times[label].append(milliseconds(run, passes))
    medians = {label: statistics.median(values[1:]) for label, values in times.items()}
    ratios = [median_ratio(times, label) for label in ("auto", "thinned")]
    cells = "  ".join(f"{medians[label]:12.2f}" for label in runs)
    print(f"{name:32s}  {cells}  " + "  ".join(f"{ratio:11.1f}x" for ratio in ratios), flush=True)


def median_ratio(times: dict[str, list[float]], label: str) -> float:
    """Return the median of the ratios, turn by turn, of the naive loop's time to another's."""
    return statistics.median(a / b for a, b in zip(times["train() loop"][1:], times[label][1:], strict=True))


def main() -> None:
    """Print the table."""
    labels = ("train() loop", "loop", "auto", "thinned", "auto is", "thinned is")
    print(f"{'case':32s}  " + "  ".join(f"{label:>12s}" for label in labels))
    grid = torch.linspace(-1.72, 3.5, 523)[:, None]
    images = torch.rand(12, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    many = torch.rand(1000, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    photos = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    compare("CO2 net 5x1024, N=523", co2_mlp(), grid, 20)
    compare("CO2 net 5x1024, p=0.5", co2_mlp(p=0.5), grid, 20)
    compare("CO2 net 4x256, N=523", co2_mlp(hidden=(256,) * 4, p=0.1), grid, 200)
    compare("MLP 800-800, N=12", mlp(), images, 200)
    compare("LeNet, N=12", lenet(), images, 100)
    compare("LeNet, N=1000", lenet(), many, 5)
    compare("conv net, dropout in head, N=64", head_only(), photos, 50)


if __name__ == "__main__":
    main()
