"""Two regressors of scikit-learn's kind side by side: a dropout net and a Gaussian process, and their bands."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import GridSearchCV, KFold

from mcdrop.sklearn import MCDropoutRegressor


def log_density(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Return how likely the data are, which takes the uncertainties to account, as R² does not."""
    mean, std = model.predict(x, return_std=True)
    return float(norm.logpdf(y, mean, std).mean())


def main(out: str = "scikit_learn.png", steps: int = 1000, passes: int = 400) -> None:
    """Fit both to a noisy sine with a gap, choose the net's dropout rate by a search, and draw what they say."""
    mpl.use("agg")
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-3, -0.5, (60, 1)), rng.uniform(1, 3, (60, 1))])
    y = np.sin(2 * x[:, 0]) + 0.2 * rng.normal(size=len(x))

    net = MCDropoutRegressor(noise_std="fit", steps=steps, passes=passes)
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(net, {"dropout": [0.1, 0.2]}, scoring=log_density, cv=folds).fit(x, y)
    kernel = ConstantKernel() * RBF() + WhiteKernel(0.1)
    fitted = {
        f"MC dropout, rate {search.best_params_['dropout']}": search.best_estimator_,
        "Gaussian process": GaussianProcessRegressor(kernel, random_state=0).fit(x, y),
    }

    places = [[-1.5], [0.25], [4.5]]
    grid = np.linspace(-4.5, 4.5, 241)[:, None]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True, layout="constrained")
    for ax, (name, model) in zip(axes, fitted.items(), strict=True):
        mean, std = model.predict(grid, return_std=True)
        ax.plot(grid[:, 0], mean, label="mean")
        ax.fill_between(grid[:, 0], mean - 2 * std, mean + 2 * std, alpha=0.3, linewidth=0, label="±2 std")
        ax.plot(grid[:, 0], np.sin(2 * grid[:, 0]), "--", color="0.5", label="truth")
        ax.scatter(x, y, s=6, color="0.3", linewidths=0, zorder=3, label="data")
        ax.set(title=name, xlabel="x")
        stds = dict(zip(("at data", "in the gap", "beyond"), model.predict(places, return_std=True)[1], strict=True))
        print(
            f"{name}: R² {model.score(x, y):.2f}; std", ", ".join(f"{std:.2f} {where}" for where, std in stds.items())
        )
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(Path(out))


if __name__ == "__main__":
    main()
