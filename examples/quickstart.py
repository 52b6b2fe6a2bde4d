"""Uncertainty for a net of your own, in ten lines: train, wrap, predict."""

import torch

from mcdrop import MCDropout
from mcdrop.training import fit


def main(steps: int = 1000, passes: int = 1000) -> None:
    """Fit a noisy sine on [-2, 2] and ask for predictions inside and outside that range."""
    x = torch.linspace(-2, 2, 200)[:, None]
    y = torch.sin(2 * x) + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    net = torch.nn.Sequential(
        torch.nn.Linear(1, 128), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(128, 1)
    )  # any trained torch.nn.Module
    fit(net, x, y, loss="mse", steps=steps, lr=1e-2, warmup=0.4, schedule="one-cycle")

    model = MCDropout(net, task="regression")
    print(model.sites(x))
    for place in (0.0, 2.0, 4.0):
        pred = model.predict(torch.tensor([[place]]), passes=passes, seed=0)
        print(f"x = {place:.0f}: {pred.mean.item():.2f} ± {pred.std.item():.2f} (MC error {pred.mcse.item():.2f})")


if __name__ == "__main__":
    main()
