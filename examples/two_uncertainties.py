"""Two uncertainties in one figure: a net that predicts its own noise, trained on data whose noise grows along x."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from mcdrop import MCDropout
from mcdrop.plots import plot_band
from mcdrop.training import fit


def gaussian_nll(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the mean of -log N(y; mean, exp(log_variance)), up to a constant (Kendall and Gal 2017, eq. 8)."""
    mean, log_variance = outputs.chunk(2, dim=1)
    return 0.5 * ((y - mean).square() * torch.exp(-log_variance) + log_variance).mean()


def main(out: str = "two_uncertainties.png", steps: int = 1500, passes: int = 1000) -> None:
    """Train a net with two outputs, mean and log-variance; print and draw what it knows inside and outside the data."""
    mpl.use("agg")
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.5, 1.5, size=(600, 1)).astype(np.float32)
    noise = 0.05 + 0.15 * (x + 1.5)  # from 0.05 on the left to 0.5 on the right
    y = (np.sin(2 * x) + noise * rng.normal(size=x.shape)).astype(np.float32)

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(1, 128), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(128, 128), torch.nn.ReLU(),
        torch.nn.Dropout(0.1), torch.nn.Linear(128, 2),
    )  # fmt: skip
    fit(net, x, y, loss=gaussian_nll, steps=steps, lr=2e-3, schedule="one-cycle", progress=True)

    model = MCDropout(net, task="heteroscedastic")
    for place in (-2.0, -1.0, 1.0):
        pred = model.predict(torch.tensor([[place]]), passes=passes, seed=0)
        epistemic, aleatoric, total = pred.std.item(), np.asarray(pred.noise_std).item(), pred.total_std().item()
        print(f"x = {place:+.0f}: epistemic {epistemic:.2f}, aleatoric {aleatoric:.2f}, total {total:.2f}")

    grid = np.linspace(-2.2, 2.2, 221, dtype=np.float32)[:, None]
    pred = model.predict(grid, passes=passes, seed=0)
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), sharey=True, layout="constrained")
    plot_band(pred, grid, ax=axes[0], title="Epistemic: what the passes disagree on", xlabel="x", ylabel="y")
    axes[1].plot(grid[:, 0], pred.mean[:, 0])
    width = 2 * np.asarray(pred.noise_std)[:, 0]
    axes[1].fill_between(grid[:, 0], pred.mean[:, 0] - width, pred.mean[:, 0] + width, alpha=0.3, linewidth=0)
    axes[1].set(title="Aleatoric: the noise of the data", xlabel="x")
    plot_band(pred, grid, ax=axes[2], noise_std=pred.noise_std, title="Total: both", xlabel="x")
    for ax in axes:
        ax.scatter(x, y, s=4, color="0.35", linewidths=0, zorder=1.5)
    figure.savefig(Path(out))


if __name__ == "__main__":
    main()
