"""What stratified passes gain over independent ones: variances of the estimates over many seeds, and the time.

python benchmarks/variance.py [seeds]

A gain is a variance of independent passes over that of as many stratified ones, summed over points and outputs; "at
equal cost" divides it by the ratio of the times. "bias" is the difference of the averages over all seeds, in standard
errors: the root of its mean square over points and outputs, about 1 if there is none. "error" is the mean square of the
Monte Carlo errors that the predictions tell, over the variance that their means have: 1 if they are right.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop import MCDropout
from mcdrop.datasets import load_co2, load_digits
from mcdrop.networks import co2_mlp, lenet, mlp
from mcdrop.training import fit

PASSES = (100, 1000)
Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """A trained net and points to predict.

    Attributes:
        name: For the table.
        model: The net.
        x: The points.
    """

    name: str
    model: MCDropout[Any]
    x: Tensor


def regression(p: float, activation: str = "relu") -> Case:
    """Train a net of four layers of 256 units on the CO2 series."""
    series = load_co2()
    net = co2_mlp(hidden=(256,) * 4, p=p, activation=activation)
    fit(net, series.x, series.y, loss="mse", steps=600, lr=1e-3)
    grid = torch.linspace(float(series.x.min()), float(series.x.max()) + 1.0, 24)[:, None]
    return Case(f"4x256 {activation}, CO2, p={p:g}", MCDropout(net), grid)


def digits(name: str, net: nn.Module) -> Case:
    """Train a net on the digits."""
    data = load_digits()
    fit(net, data.train_images, data.train_labels, loss="cross_entropy", epochs=3, batch_size=100, lr=1e-3)
    return Case(name, MCDropout(net, task="classification"), torch.as_tensor(data.test_images[:24]))


CASES: tuple[Callable[[], Case], ...] = (
    lambda: regression(0.05),
    lambda: regression(0.1),
    lambda: regression(0.1, "tanh"),
    lambda: regression(0.2),
    lambda: regression(0.5),
    lambda: digits("MLP 200-200, digits, p=0.2, 0.5", mlp(hidden=(200, 200), activation="relu")),
    lambda: digits("LeNet 8-16, digits, p=0.5", lenet(channels=(8, 16), hidden=(100,))),
)


def estimates(case: Case, passes: int, seeds: range, sampling: Any) -> Arrays:
    """Return means, spreads and squared errors of all seeds."""
    found = []
    for seed in seeds:
        pred = case.model.predict(case.x, passes=passes, seed=seed, sampling=sampling)
        mean, std = (pred.mean, pred.std) if hasattr(pred, "mean") else (pred.probs, pred.probs_std)
        found.append((mean, std, pred.mcse**2))
    means, stds, squares = (np.stack(values).astype(np.float64) for values in zip(*found, strict=True))
    return means, stds, squares


def slowdown(case: Case, passes: int) -> float:
    """Return how much longer stratified passes take, as the median over turns."""
    ratios = []
    for turn in range(8):
        times = []
        for sampling in ("iid", "stratified"):
            start = time.perf_counter()
            case.model.predict(case.x, passes=passes, seed=turn, sampling=sampling)
            times.append(time.perf_counter() - start)
        ratios.append(times[1] / times[0])
    return statistics.median(ratios[1:])


def gain(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Return the ratio of the variances over seeds."""
    return float(theirs.var(0, ddof=1).sum() / ours.var(0, ddof=1).sum())


def bias(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Return the root mean square of the differences in standard errors."""
    error = np.sqrt(ours.var(0, ddof=1) / len(ours) + theirs.var(0, ddof=1) / len(theirs))
    z = (ours.mean(0) - theirs.mean(0))[error > 0] / error[error > 0]
    return float(np.sqrt((z**2).mean()))


def report(case: Case, passes: int, seeds: int) -> None:
    """Print one row."""
    mean, std, square = estimates(case, passes, range(seeds), "stratified")
    plain_mean, plain_std, _ = estimates(case, passes, range(seeds, 2 * seeds), "iid")
    slower = slowdown(case, passes)
    gains = gain(mean, plain_mean), gain(std, plain_std)
    cells = (*gains, slower, gains[0] / slower, bias(mean, plain_mean), bias(std, plain_std))
    told = square.mean(0).sum() / mean.var(0, ddof=1).sum()
    print(f"{case.name:34s} {passes:6d}  " + "  ".join(f"{cell:8.2f}" for cell in (*cells, told)), flush=True)


def main(seeds: int) -> None:
    """Print the table."""
    titles = ("mean", "std", "time", "at cost", "bias", "bias std", "error")
    print(f"{'case':34s} {'passes':>6s}  " + "  ".join(f"{title:>8s}" for title in titles))
    for make in CASES:
        case = make()
        for passes in PASSES:
            report(case, passes, max(20, seeds * PASSES[0] // passes * (1 + (passes > PASSES[0]) * 2)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
