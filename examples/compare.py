"""Is the dropout net's uncertainty any good? Noise by likelihood, a Gaussian process beside it, one table of scores."""

import numpy as np
import torch

import mcdrop
from mcdrop import MCDropout
from mcdrop.baselines import GPRegressor
from mcdrop.training import fit


def main(out: str = "dropout.nc", steps: int = 2000, passes: int = 500) -> None:
    """Train a net on a noisy sine, choose its noise on held-out points, and compare it with a GP on others."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.7, 1.7, size=(300, 1))
    y = np.sin(3 * x) + 0.2 * rng.normal(size=x.shape)
    train, held, test = slice(0, 150), slice(150, 200), slice(200, 300)

    net = torch.nn.Sequential(
        torch.nn.Linear(1, 128), torch.nn.Tanh(), torch.nn.Linear(128, 128), torch.nn.Tanh(), torch.nn.Dropout(0.05),
        torch.nn.Linear(128, 1),
    )  # fmt: skip
    fit(net, x[train], y[train], loss="mse", steps=steps, lr=3e-3, schedule="one-cycle", progress=True)

    model = MCDropout(net, task="regression")
    noise = model.fit_precision(x[held], y[held], passes=passes).noise_std  # the true one is 0.2
    dropout = model.predict(x[test], passes=passes).with_noise(noise)
    gp = GPRegressor("se").fit(x[train], y[train])
    print(gp.summary())

    predictions = {"MC dropout": dropout, "GP": gp.predict(x[test])}
    table = mcdrop.compare(predictions, y[test], scores=["RMSE", "CRPS", "NLL", "coverage 95%"])
    print(table)
    print(*table.verdict(), sep="\n")

    dropout.save(out)  # mcdrop.load(out) gives it back; arviz.from_netcdf opens it, too


if __name__ == "__main__":
    main()
