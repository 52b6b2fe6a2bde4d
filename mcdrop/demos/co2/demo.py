"""The tutorial's regression demo: MC dropout and a Gaussian process on the Mauna Loa CO2 series.

Trains a ReLU and a TanH net, runs T passes of each on the tutorial's grid, fits Gaussian processes with three
kernels, draws the tutorial's four panels and the same bands in ppm and years with the real later months over them,
and scores every model inside the data and 1, 5 and 20 years after it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcdrop.arguments import check_choice
from mcdrop.baselines import GPRegressor
from mcdrop.baselines.kernels import KernelName
from mcdrop.datasets import CO2, load_co2
from mcdrop.demos.artifacts import Artifacts
from mcdrop.demos.co2.figures import draw_coverage, draw_crps, draw_panels, draw_ppm
from mcdrop.demos.co2.months import Split
from mcdrop.demos.co2.report import make_report
from mcdrop.demos.co2.results import NAMES, Results
from mcdrop.demos.co2.scores import score_windows
from mcdrop.demos.report import Report
from mcdrop.demos.setup import Setup, set_up
from mcdrop.networks import co2_mlp
from mcdrop.plots import plot_autocorrelation, plot_forest, plot_trace
from mcdrop.training import fit

__all__ = ["GP", "PRESETS", "Preset", "run_co2"]

Floats = NDArray[np.float64]

GP = Literal["none", "map", "nuts"]
"""How the hyperparameters of the Gaussian processes are found, if they are to run at all."""


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
"""default: two to four minutes on two cores; paper: the tutorial's nets and its million steps, hours even on a GPU;
tiny: seconds, to see that all works.

The default reaches in half a minute a net what takes the tutorial's plain training many hours: kinks spread over the
data (`networks.co2_mlp`), dropout that is ramped up, a one-cycle learning rate. Over seeds 0 to 4 the mean at x = 3.5
lies 6 to 33 standard deviations below zero, along a straight line; nets with fewer layers ran off further."""


def run_co2(
    out: str | Path = "runs/co2",
    *,
    preset: str = "default",
    seed: int = 0,
    passes: int | None = None,
    gp: str = "map",
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
        gp: How the hyperparameters of the Gaussian processes are found: "map", "nuts" (many minutes, most of them for
            the structured kernel), or "none" to leave the processes out.
        data: HDF5 file to read instead of the bundled series, in its format or the tutorial's.
        reuse: Load weights that an earlier run with the same settings wrote, instead of training.
        device: Where to train and predict, for example "cuda".
        progress: Whether to show progress bars.

    Returns:
        The report; its numbers are in `summary.json` too.

    Raises:
        InputError: If the preset, the device or `gp` is unknown, the folder has no name or the number of passes is
            below 2.
        DataError: If the data file is unusable.
        DependencyError: If `gp` is "nuts" and nutpie is not installed.
        OutputError: If the folder cannot be written to, or reused weights cannot be read.
        TrainingError: If training diverges or is interrupted.
    """
    setup = set_up(PRESETS, preset, seed=seed, passes=passes, device=device)
    check_choice("gp", gp, GP)
    artifacts = Artifacts.at(out)
    series = load_co2(data)
    results = Results(series, setup.seed, setup.passes)
    processes = {} if gp == "none" else _processes(series, gp, setup)
    if processes:  # the first may refuse the data, and takes a second
        results.add_gp("gp_se", processes.pop("gp_se"), progress)
    artifacts.check()
    for name, recipe in setup.preset.recipes.items():
        net = _trained(name, recipe, results.split, setup.seed, artifacts, reuse, setup.device, progress)
        results.add_net(name, net, progress)
    for name, process in processes.items():
        results.add_gp(name, process, progress)
    return _write(results, setup.settings(data) | {"gp": gp}, artifacts)


def _processes(series: CO2, inference: str, setup: Setup[Preset]) -> dict[str, GPRegressor]:
    """Return the Gaussian processes to fit."""
    options: dict[str, Any] = {"inference": inference, "seed": setup.seed}
    if setup.name == "tiny":
        options |= {"chains": 2, "draws": 50, "tune": 50}
    return {name: GPRegressor(kernel, period=period, **options) for name, (kernel, period) in _kernels(series).items()}


def _kernels(series: CO2) -> dict[str, tuple[KernelName, float | None]]:
    """Return kernel and period by model; the structured one needs a calendar for its season."""
    kernels: dict[str, tuple[KernelName, float | None]] = {"gp_se": ("se", None), "gp_arccos": ("arccos", None)}
    if series.standardizer is not None:
        kernels["gp_structured"] = ("structured", 1 / series.scale.year_std)
    return kernels


def _trained(
    name: str,
    recipe: Recipe,
    split: Split,
    seed: int,
    artifacts: Artifacts,
    reuse: bool,
    place: torch.device,
    progress: bool,
) -> nn.Module:
    """Build a net and train it, or load the weights that the same training gave before."""
    x, y = split.train.x, split.train.y
    ends = (float(x.min()), float(x.max()))
    net = co2_mlp(
        hidden=recipe.hidden,
        p=recipe.p,
        activation=recipe.activation,  # type: ignore[arg-type]
        kinks=ends if recipe.spread_kinks else None,
        slope=recipe.slope,
        seed=seed,
    ).to(place)
    made_by = asdict(recipe) | {"seed": seed, "data": _fingerprint(x, y)}
    if reuse and artifacts.load_weights(f"net_{name}", net, made_by):
        return net
    fit(
        net,
        x,
        y,
        loss="mse",
        steps=recipe.steps,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        schedule=recipe.schedule,  # type: ignore[arg-type]
        warmup=recipe.warmup,
        seed=seed,
        progress=progress and f"Training for {NAMES[name]}",
    )
    artifacts.weights(f"net_{name}", net, made_by)
    return net


def _fingerprint(x: Floats, y: Floats) -> list[float]:
    """Tell one training set from another."""
    return [float(len(x)), float(x.sum()), float(y.sum()), float((x * y).sum())]


def _write(results: Results, settings: dict[str, Any], artifacts: Artifacts) -> Report:
    windows = score_windows(results)
    report = make_report(results, windows, settings)
    artifacts.figure("panels", draw_panels(results))
    artifacts.figure("coverage", draw_coverage(windows))
    if results.series.standardizer is not None:
        artifacts.figure("ppm", draw_ppm(results))
    if len(results.split.windows()):
        artifacts.figure("crps", draw_crps(results, windows[-1]))
    for name, gp in results.gps.items():
        artifacts.saved(f"{name}.nc", gp.save)
        if gp.inference == "nuts":
            artifacts.figure(f"{name}_trace", plot_trace(gp.to_arviz()))
            artifacts.figure(f"{name}_autocorrelation", plot_autocorrelation(gp.to_arviz()))
            artifacts.figure(f"{name}_forest", plot_forest(gp.to_arviz()))
    units = dict.fromkeys(("y", "mean", "std", "averaged", "noise_std"), "standardized CO2 residual")
    artifacts.arrays(
        "arrays", results.arrays(), units={"x": "standardized time"} | units, attributes=report.attributes()
    )
    artifacts.summary(report.as_dict())
    return replace(report, files=tuple(artifacts.written))
