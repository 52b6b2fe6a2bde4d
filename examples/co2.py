"""MC dropout beside a Gaussian process on the CO2 series, as one figure: the demo in its shortest form."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from mcdrop import MCDropout
from mcdrop.baselines import GPRegressor
from mcdrop.datasets import load_co2
from mcdrop.networks import co2_mlp
from mcdrop.plots import plot_band
from mcdrop.training import fit


def main(out: str = "co2_bands.png", steps: int = 6000, passes: int = 1000) -> None:
    """Train a ReLU net, fit the GP, and draw both bands."""
    mpl.use("agg")
    series = load_co2()
    grid = np.linspace(-1.72, 3.5, 523)[:, None]

    net = co2_mlp(hidden=(256,) * 4, p=0.1, kinks=(-1.73, 1.73))
    fit(net, series.x, series.y, loss="mse", steps=steps, lr=5e-3, warmup=0.4, schedule="one-cycle", progress=True)
    dropout = MCDropout(net, task="regression").predict(grid, passes=passes, seed=0)
    gp = GPRegressor("se").fit(series.x, series.y).predict(grid)

    figure, axes = plt.subplots(1, 2, figsize=(10, 3.5), sharey=True, layout="constrained")
    plot_band(dropout, grid, ax=axes[0], title="MC dropout, ReLU", xlabel="time (standardized)")
    plot_band(gp, grid, ax=axes[1], noise_std=gp.noise_std, title="Gaussian process", xlabel="time (standardized)")
    for ax in axes:
        ax.plot(series.x, series.y, color="0.35", linewidth=0.8, zorder=1.5)
    axes[0].set_ylabel("CO$_2$, detrended (standard deviations)")
    figure.savefig(Path(out))


if __name__ == "__main__":
    main()
