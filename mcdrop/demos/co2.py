"""The tutorial's regression demo: MC dropout and a Gaussian process on the Mauna Loa CO2 series.

Trains a ReLU and a TanH net, runs T passes of each on the tutorial's grid, fits the squared-exponential GP, and
draws the tutorial's four panels and the same bands in ppm and years with the real later months over them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcdrop.arguments import check_count, check_device
from mcdrop.baselines import GPRegressor
from mcdrop.datasets import CO2, load_co2
from mcdrop.demos.artifacts import Artifacts
from mcdrop.demos.report import Check, Report, Table
from mcdrop.errors import InputError
from mcdrop.networks import co2_mlp
from mcdrop.plots import plot_band
from mcdrop.predictive import RegressionPredictive
from mcdrop.rng import check_seed
from mcdrop.sampler import MCDropout
from mcdrop.training import fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PRESETS", "Preset", "run_co2"]

Floats = NDArray[np.float64]

GRID = np.arange(-172, 351) / 100.0
"""The tutorial's test inputs: -1.72 to 3.5 in steps of 0.01, in standardized time."""

TAIL = np.arange(355, 500, 5) / 100.0
"""Further inputs, up to the last month of the record, for the figure in years."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one net is built and trained.

    Attributes:
        activation: "relu" or "tanh".
        hidden: Width of every hidden layer.
        p: Dropout rate after every hidden layer.
        slope: Scale of the first layer's weights.
        steps: Number of full-batch updates.
        lr: Highest learning rate.
        weight_decay: L2 penalty.
        schedule: Learning-rate schedule.
        warmup: Share of the steps over which the dropout rate rises to p.
        spread_kinks: Whether the first layer's kinks are spread over the data range.
    """

    activation: str
    hidden: tuple[int, ...]
    p: float
    slope: float
    steps: int
    lr: float
    weight_decay: float = 0.0
    schedule: str = "one-cycle"
    warmup: float = 0.4
    spread_kinks: bool = True


@dataclass(frozen=True, slots=True)
class Preset:
    """A pair of recipes, and how many passes to run unless told otherwise."""

    relu: Recipe
    tanh: Recipe
    passes: int

    @property
    def recipes(self) -> dict[str, Recipe]:
        """Both recipes by the name of the net."""
        return {"relu": self.relu, "tanh": self.tanh}


_RELU = Recipe("relu", (512, *(256,) * 5), p=0.05, slope=1.0, steps=3000, lr=3e-3)
_TANH = Recipe("tanh", (256, 256, 256, 256), p=0.05, slope=20.0, steps=3000, lr=5e-3)
_PAPER = Recipe(
    "relu",
    (1024,) * 5,
    p=0.2,
    slope=1.0,
    steps=1_000_000,
    lr=1e-4,
    weight_decay=1e-6,
    schedule="constant",
    warmup=0.0,
    spread_kinks=False,
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "default": Preset(_RELU, _TANH, passes=10_000),
        "paper": Preset(_PAPER, replace(_PAPER, activation="tanh"), passes=10_000),
        "tiny": Preset(
            replace(_RELU, hidden=(32, 32), steps=300), replace(_TANH, hidden=(32, 32), steps=300), passes=200
        ),
    }
)
"""default: two minutes on two cores; paper: the tutorial's nets and its million steps, hours even on a GPU; tiny:
seconds, to see that all works.

The default reaches in half a minute a net what takes the tutorial's plain training many hours: kinks spread over the
data (`networks.co2_mlp`), dropout that is ramped up, a one-cycle learning rate. The sixth layer of the ReLU net keeps
its mean from running off along the slope of the last month: it bends the line that fewer layers continue."""

_TITLES = {
    "relu": "MC dropout with ReLU non-linearities",
    "tanh": "MC dropout with TanH non-linearities",
    "gp": "Gaussian process with SE covariance function",
}
_NAMES = {"relu": "ReLU", "tanh": "TanH"}
_COLORS = {"relu": "#0072B2", "tanh": "#009E73", "gp": "#D55E00"}


def run_co2(
    out: str | Path = "runs/co2",
    *,
    preset: str = "default",
    seed: int = 0,
    passes: int | None = None,
    data: str | Path | None = None,
    reuse: bool = False,
    device: str = "cpu",
    progress: bool = False,
) -> Report:
    """Run the demo and write its files.

    Args:
        out: Folder for figures, arrays, weights and the summary.
        preset: "default", "paper" or "tiny" (see `PRESETS`).
        seed: Of initial weights, training noise and masks.
        passes: Number of passes T; default: the preset's.
        data: HDF5 file to read instead of the bundled series, in its format or the tutorial's.
        reuse: Load weights that an earlier run with the same settings wrote, instead of training.
        device: Where to train and predict, for example "cuda".
        progress: Whether to show progress bars.

    Returns:
        The report; its numbers are in `summary.json` too.

    Raises:
        InputError: If the preset or the device is unknown or the number of passes is below 2.
        DataError: If the data file is unusable.
        OutputError: If the folder cannot be written to, or reused weights cannot be read.
        TrainingError: If training diverges or is interrupted.
    """
    if preset not in PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    chosen = PRESETS[preset]
    passes = chosen.passes if passes is None else passes
    check_count("passes", passes, least=2, why="a spread needs two draws")
    check_seed(seed)
    place = check_device(device)
    series = load_co2(data)
    artifacts = Artifacts(Path(out))
    artifacts.check()
    results = _Results(series, seed, passes)
    for name, recipe in chosen.recipes.items():
        results.add_net(name, _trained(name, recipe, series, seed, artifacts, reuse, place, progress), progress)
    results.add_gp(progress)
    settings = {"preset": preset, "seed": seed, "passes": passes, "recipes": _plain(chosen)}
    return _write(results, settings, artifacts)


def _plain(preset: Preset) -> dict[str, Any]:
    return {name: asdict(recipe) | {"hidden": list(recipe.hidden)} for name, recipe in preset.recipes.items()}


def _trained(
    name: str,
    recipe: Recipe,
    series: CO2,
    seed: int,
    artifacts: Artifacts,
    reuse: bool,
    place: torch.device,
    progress: bool,
) -> nn.Module:
    """Build a net and train it, or load the weights that the same training gave before."""
    ends = (float(series.x.min()), float(series.x.max()))
    net = co2_mlp(
        hidden=recipe.hidden,
        p=recipe.p,
        activation=recipe.activation,  # type: ignore[arg-type]
        kinks=ends if recipe.spread_kinks else None,
        slope=recipe.slope,
        seed=seed,
    ).to(place)
    made_by = asdict(recipe) | {"seed": seed, "data": _fingerprint(series)}
    if reuse and artifacts.load_weights(f"net_{name}", net, made_by):
        return net
    fit(
        net,
        series.x,
        series.y,
        loss="mse",
        steps=recipe.steps,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        schedule=recipe.schedule,  # type: ignore[arg-type]
        warmup=recipe.warmup,
        seed=seed,
        progress=progress and f"Training the {_NAMES[name]} net",
    )
    artifacts.weights(f"net_{name}", net, made_by)
    return net


def _fingerprint(series: CO2) -> list[float]:
    """Tell one training set from another."""
    return [float(len(series.x)), float(series.x.sum()), float(series.y.sum()), float((series.x * series.y).sum())]


class _Results:
    """Predictions of every model on the grid and on the training months."""

    def __init__(self, series: CO2, seed: int, passes: int) -> None:
        self.series, self.seed, self.passes = series, seed, passes
        self.grid = np.concatenate([GRID, TAIL])[:, None]
        self.on_grid: dict[str, RegressionPredictive] = {}
        self.on_data: dict[str, RegressionPredictive] = {}
        self.averaged: dict[str, Floats] = {}
        self.gp: dict[str, float] = {}

    def add_net(self, name: str, net: nn.Module, progress: bool) -> None:
        model = MCDropout(net, task="regression")
        title = progress and f"Running the {_NAMES[name]} net's passes"
        self.on_grid[name] = model.predict(self.grid, passes=self.passes, seed=self.seed, progress=title)
        self.on_data[name] = model.predict(self.series.x, passes=min(self.passes, 1000), seed=self.seed)
        with torch.no_grad():
            averaged = net(torch.as_tensor(self.grid, dtype=torch.float32, device=next(net.parameters()).device))
        self.averaged[name] = averaged.cpu().numpy().astype(np.float64)

    def add_gp(self, progress: bool) -> None:
        gp = GPRegressor("se", inference="map").fit(self.series.x, self.series.y, progress=progress)
        self.on_grid["gp"] = gp.predict(self.grid)
        self.on_data["gp"] = gp.predict(self.series.x)
        self.gp = {name: float(value) for name, value in gp.hyperparameters_.items()}

    def numbers(self, name: str) -> dict[str, float]:
        """Summarize one model: its error at the training months, its spread inside the data and at x = 3.5."""
        on_grid, on_data = self.on_grid[name], self.on_data[name]
        std = (on_grid.std if on_grid.noise_std is None else on_grid.total_std()).ravel()
        inside = (self.grid.ravel() >= self.series.x.min()) & (self.grid.ravel() <= self.series.x.max())
        median = float(np.median(std[inside]))
        far = float(std[int(np.argmin(np.abs(self.grid.ravel() - 3.5)))])
        return {
            "rmse_inside": float(np.sqrt(np.mean((on_data.mean - self.series.y) ** 2))),
            "std_median_inside": median,
            "std_smallest_inside": float(std[inside].min()),
            "std_largest_inside": float(std[inside].max()),
            "std_at_3.5": far,
            "ratio": far / median,
            "largest_mcse": float(on_grid.mcse.max()),
        }


def _write(results: _Results, settings: dict[str, Any], artifacts: Artifacts) -> Report:
    artifacts.figure("panels", _draw_panels(results))
    if results.series.standardizer is not None:
        artifacts.figure("ppm", _draw_ppm(results))
    artifacts.arrays("arrays", _arrays(results), units={"x": "standardized time", "year": "year"} | _UNITS)
    numbers = {name: results.numbers(name) for name in results.on_grid}
    checks = (
        Check("ReLU: std at x = 3.5 over its median inside the data", numbers["relu"]["ratio"], 5.0, at_least=True),
        Check("TanH: std at x = 3.5 over its median inside the data", numbers["tanh"]["ratio"], 2.5, at_least=False),
        Check("ReLU: RMSE of the MC mean inside the data", numbers["relu"]["rmse_inside"], 0.3, at_least=False),
        Check("TanH: RMSE of the MC mean inside the data", numbers["tanh"]["rmse_inside"], 0.3, at_least=False),
    )
    report = Report(
        demo="co2",
        settings=settings,
        results=numbers | {"gp_hyperparameters": results.gp},
        checks=checks,
        tables=(_table(numbers),),
    )
    artifacts.summary(report.as_dict())
    return replace(report, files=tuple(artifacts.written))


_UNITS = dict.fromkeys(("y", "mean", "std", "averaged", "noise_std"), "standardized CO2 residual")


def _table(numbers: Mapping[str, Mapping[str, float]]) -> Table:
    names = {"relu": "MC dropout, ReLU", "tanh": "MC dropout, TanH", "gp": "GP, SE kernel (with noise)"}
    keys = ("rmse_inside", "std_median_inside", "std_at_3.5", "ratio")
    rows = tuple((names[name], *(f"{values[key]:.3g}" for key in keys)) for name, values in numbers.items())
    return Table(
        title="Spread inside the data and far from it (in standard deviations of the detrended series)",
        columns=("model", "RMSE inside", "median std inside", "std at x = 3.5", "ratio"),
        rows=rows,
    )


def _arrays(results: _Results) -> dict[str, Floats]:
    arrays: dict[str, Floats] = {"x": results.grid, "train/x": results.series.x, "train/y": results.series.y}
    for name, pred in results.on_grid.items():
        arrays[f"{name}/mean"], arrays[f"{name}/std"] = pred.mean, pred.std
        if pred.noise_std is not None:
            arrays[f"{name}/noise_std"] = np.asarray(pred.noise_std, dtype=np.float64)
    for name, values in results.averaged.items():
        arrays[f"{name}/averaged"] = values
    return arrays


def _band(results: _Results, name: str, count: int) -> tuple[RegressionPredictive, float | Floats | None]:
    """Return the first points of a model's prediction, and the noise its band shall include."""
    pred = results.on_grid[name]
    cut = RegressionPredictive(pred.mean[:count], pred.std[:count], passes=pred.passes, noise_std=pred.noise_std)
    return cut, pred.noise_std


def _draw_panels(results: _Results) -> "Figure":
    """Draw the tutorial's four panels: mean and two standard deviations on the standardized series."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 6.5), sharex=True, sharey=True, layout="constrained")
    axes[0, 0].plot(GRID, results.averaged["tanh"][: len(GRID), 0], color="#000000", linewidth=1.2)
    axes[0, 0].set_title("Standard dropout with weight averaging (TanH)")
    for ax, name in zip((axes[0, 1], axes[1, 0], axes[1, 1]), ("gp", "relu", "tanh"), strict=True):
        pred, noise = _band(results, name, len(GRID))
        plot_band(pred, GRID, ax=ax, noise_std=noise, color=_COLORS[name], title=_TITLES[name])
    for ax in axes.flat:
        ax.plot(results.series.x, results.series.y, color="0.35", linewidth=0.8, zorder=1.5)
        ax.axvline(float(results.series.x.max()), color="0.35", linestyle="--", linewidth=1)
        ax.set_xlim(GRID[0], GRID[-1])
    edges = [_edge(results, name, sign)[: len(GRID)] for name in results.on_grid for sign in (-1, 1)]
    axes[0, 0].set_ylim(min(edge.min() for edge in edges) - 1, max(edge.max() for edge in edges) + 1)
    for ax in axes[1]:
        ax.set_xlabel("time (standard deviations of the training months)")
    for ax in axes[:, 0]:
        ax.set_ylabel("CO$_2$, detrended (standard deviations)")
    figure.legend(handles=_key(axes[0, 0]), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _edge(results: _Results, name: str, sign: int) -> Floats:
    pred = results.on_grid[name]
    std = pred.std if pred.noise_std is None else pred.total_std()
    return pred.mean + sign * 2 * std


def _key(ax: "Axes") -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color="0.35", linewidth=0.8, label="training months"),
        Line2D([], [], color="0.35", linestyle="--", linewidth=1, label="end of the training data"),
        Line2D([], [], color="0.1", linewidth=1.5, label="prediction (colored)"),
        Patch(facecolor="0.1", alpha=0.3, label="± 2 standard deviations"),
    ]


def _draw_ppm(results: _Results) -> "Figure":
    """Draw each model's band in ppm over the years, with the months it never saw."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    series, scale = results.series, results.series.scale
    years = scale.to_year(results.grid).ravel()
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), sharex=True, sharey=True, layout="constrained")
    for ax, name in zip(axes, ("gp", "relu", "tanh"), strict=True):
        pred = results.on_grid[name]
        std = pred.std if pred.noise_std is None else pred.total_std()
        in_ppm = RegressionPredictive(scale.to_ppm(results.grid, pred.mean), scale.std_to_ppm(std))
        plot_band(in_ppm, years, ax=ax, color=_COLORS[name], title=_TITLES[name], xlabel="year")
        ax.plot(series.year, series.ppm, color="0.35", linewidth=0.8, zorder=1.5)
        ax.plot(series.year_future, series.ppm_future, color="#000000", linewidth=0.8, zorder=2.5)
        ax.axvline(float(series.year.max()), color="0.35", linestyle="--", linewidth=1)
        ax.set_xlim(years[0], years[-1])
    axes[0].set_ylabel("CO$_2$ at Mauna Loa (ppm)")
    handles = _key(axes[0])
    handles.insert(1, Line2D([], [], color="#000000", linewidth=0.8, label="later months, never seen"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    return figure
