"""The tutorial's regression demo: MC dropout and a Gaussian process on the Mauna Loa CO2 series.

Trains a ReLU and a TanH net, runs T passes of each on the tutorial's grid, fits the squared-exponential GP, and
draws the tutorial's four panels and the same bands in ppm and years with the real later months over them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from mcdrop.datasets import CO2, load_co2
from mcdrop.demos.artifacts import Artifacts
from mcdrop.demos.co2_figures import draw_panels, draw_ppm
from mcdrop.demos.co2_results import NAMES, Results
from mcdrop.demos.report import Check, Report, Table
from mcdrop.demos.setup import set_up
from mcdrop.networks import co2_mlp
from mcdrop.training import fit

__all__ = ["PRESETS", "Preset", "run_co2"]


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
        InputError: If the preset or the device is unknown, the folder has no name or the number of passes is below 2.
        DataError: If the data file is unusable.
        OutputError: If the folder cannot be written to, or reused weights cannot be read.
        TrainingError: If training diverges or is interrupted.
    """
    setup = set_up(PRESETS, preset, seed=seed, passes=passes, device=device)
    artifacts = Artifacts.at(out)
    series = load_co2(data)
    results = Results(series, setup.seed, setup.passes)
    results.add_gp(progress)  # first: it takes a second and may refuse the data
    artifacts.check()
    for name, recipe in setup.preset.recipes.items():
        net = _trained(name, recipe, series, setup.seed, artifacts, reuse, setup.device, progress)
        results.add_net(name, net, progress)
    return _write(results, setup.settings(data), artifacts)


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
        progress=progress and f"Training the {NAMES[name]} net",
    )
    artifacts.weights(f"net_{name}", net, made_by)
    return net


def _fingerprint(series: CO2) -> list[float]:
    """Tell one training set from another."""
    return [float(len(series.x)), float(series.x.sum()), float(series.y.sum()), float((series.x * series.y).sum())]


def _write(results: Results, settings: dict[str, Any], artifacts: Artifacts) -> Report:
    numbers = {name: results.numbers(name) for name in (*NAMES, "gp")}
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
    artifacts.figure("panels", draw_panels(results))
    if results.series.standardizer is not None:
        artifacts.figure("ppm", draw_ppm(results))
    artifacts.arrays(
        "arrays",
        results.arrays(),
        units={"x": "standardized time", "year": "year"} | _UNITS,
        attributes=report.attributes(),
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
