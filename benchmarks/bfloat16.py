"""What products in bfloat16 move: predictions of trained nets against the same passes in float32.

python benchmarks/bfloat16.py
"""

import numpy as np
import torch

from mcdrop import MCDropout
from mcdrop.datasets import load_co2, load_digits
from mcdrop.networks import co2_mlp, lenet
from mcdrop.training import fit


def regression() -> None:
    """Print what moves on the CO2 series, in standard deviations."""
    series = load_co2()
    net = co2_mlp(hidden=(256,) * 4, p=0.1)
    fit(net, series.x, series.y, loss="mse", steps=400, lr=1e-3)
    grid = torch.linspace(float(series.x.min()), float(series.x.max()) + 1, 200)[:, None]
    exact, short = (MCDropout(net).predict(grid, passes=200, dtype=dtype) for dtype in (None, torch.bfloat16))
    moved, stretched = (short.mean - exact.mean) / np.median(exact.std), np.abs(short.std / exact.std - 1)
    print(f"CO2, 4x256: means by {np.sqrt(np.mean(moved**2)):.2g} std (rms), {np.abs(moved).max():.2g} at most;")
    print(f"  stds by {np.median(stretched):.2%} in the median, {stretched.max():.2%} at most")


def classification() -> None:
    """Print what moves on the digits, in probability."""
    data, net = load_digits(), lenet()
    fit(net, data.train_images, data.train_labels, loss="cross_entropy", epochs=2, batch_size=100, lr=1e-3)
    model, images = MCDropout(net, task="classification"), data.test_images[:200]
    exact, short = (model.predict(images, passes=100, dtype=dtype) for dtype in (None, torch.bfloat16))
    moved = short.probs - exact.probs
    print(f"digits, LeNet: probabilities by {np.sqrt(np.mean(moved**2)):.2g} (rms), {np.abs(moved).max():.2g} at most")


if __name__ == "__main__":
    torch.manual_seed(0)
    regression()
    classification()
