"""The tutorial's classification demo: MC dropout on a digit that is turned step by step.

Trains the 800-800 perceptron and the LeNet, turns a held-out "1" by 50 to 127 degrees, runs T passes of each net,
and draws the softmax inputs and outputs, the class probabilities with and without MC dropout, and the measures.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcdrop.arguments import check_count
from mcdrop.datasets import Digits, load_digits
from mcdrop.demos.artifacts import Artifacts
from mcdrop.demos.digits_figures import draw_softmax, draw_strip, draw_uncertainty
from mcdrop.demos.digits_sweep import ANGLES, TITLES, Sweep
from mcdrop.demos.report import Check, Report, Table
from mcdrop.demos.setup import set_up
from mcdrop.errors import DataError, InputError
from mcdrop.networks import lenet, mlp
from mcdrop.training import fit

__all__ = ["PRESETS", "Preset", "Recipe", "run_digits"]

Floats = NDArray[np.floating]

LEAN = 30.0
"""Degrees to the right that the digit leans before it is turned."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one net is trained; its architecture is the tutorial's.

    Attributes:
        epochs: Passes over the training digits.
        lr: Highest learning rate.
        optimizer: "adam", "adamw" or "sgd".
        schedule: Learning-rate schedule.
        batch_size: Digits per step.
        weight_decay: L2 penalty.
    """

    epochs: int
    lr: float
    optimizer: str = "adam"
    schedule: str = "one-cycle"
    batch_size: int = 128
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True)
class Preset:
    """A pair of recipes, how many passes to run unless told otherwise, and how many digits to use (None: all)."""

    mlp: Recipe
    lenet: Recipe
    passes: int
    trained_on: int | None = None
    tested_on: int | None = None

    @property
    def recipes(self) -> dict[str, Recipe]:
        """Both recipes by the name of the net."""
        return {"mlp": self.mlp, "lenet": self.lenet}


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "default": Preset(Recipe(20, 2e-3), Recipe(10, 2e-3, batch_size=64), passes=1000),
        "paper": Preset(
            Recipe(1500, 0.1, optimizer="sgd", schedule="constant"),
            Recipe(1500, 0.01, optimizer="sgd", schedule="constant"),
            passes=1000,
        ),
        "tiny": Preset(Recipe(2, 2e-3), Recipe(1, 2e-3), passes=50, trained_on=1000, tested_on=200),
    }
)
"""default: two to four minutes on two cores; paper: the tutorial's SGD and 1,500 epochs, for a GPU; tiny: seconds,
to see that it works."""


def run_digits(
    out: str | Path = "runs/digits",
    *,
    preset: str = "default",
    seed: int = 0,
    passes: int | None = None,
    data: str | Path | None = None,
    digit: int | None = None,
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
        data: Folder with the four MNIST files to read instead of the bundled digits.
        digit: Number of the held-out digit to turn; default: the first "1" that leans to the
            right by 30 degrees or more, as the tutorial's does (9978 of the full test set).
        reuse: Load weights that an earlier run with the same settings wrote, instead of training.
        device: Where to train and predict, for example "cuda".
        progress: Whether to show progress bars.

    Returns:
        The report; its numbers are in `summary.json` too.

    Raises:
        InputError: If the preset, the digit or the device is unknown, the folder has no name or the number of
            passes is below 2.
        DataError: If the data files are unusable.
        OutputError: If the folder cannot be written to, or reused weights cannot be read.
        TrainingError: If training diverges or is interrupted.
    """
    setup = set_up(PRESETS, preset, seed=seed, passes=passes, device=device)
    artifacts = Artifacts.at(out)
    digits = load_digits(data)
    index = _pick(digits, digit)
    artifacts.check()
    sweep = Sweep(digits, index, setup.seed, setup.passes, setup.preset.tested_on)
    for name, recipe in setup.preset.recipes.items():
        net = _trained(
            name, recipe, digits, setup.preset.trained_on, setup.seed, artifacts, reuse, setup.device, progress
        )
        sweep.add_net(name, net, progress)
    return _write(sweep, setup.settings(data) | {"digit": index}, artifacts)


def _pick(digits: Digits, wanted: int | None) -> int:
    """Return the number of the held-out digit to turn."""
    if wanted is None:
        return _leaning_one(digits)
    count = len(digits.test_labels)
    check_count("digit", wanted, least=0, why="a number of a held-out digit")
    if wanted >= count:
        raise InputError(f"digit must be the number of a held-out digit, 0 to {count - 1}, got {wanted}")
    return wanted


def _leaning_one(digits: Digits) -> int:
    """Return the first held-out "1" that leans to the right by `LEAN` degrees or more, else the one that leans most.

    The tutorial's digit leans so, and so the first turns bring it upright instead of laying it down.
    """
    ones = np.flatnonzero(digits.test_labels == 1)
    if len(ones) == 0:
        raise DataError("the held-out digits must hold a 1 to turn, got none; check the label files or name a --digit")
    leans = np.array([_lean(digits.test_images[i, 0]) for i in ones])
    return int(ones[np.argmax(leans >= LEAN) if (leans >= LEAN).any() else leans.argmax()])


def _lean(image: Floats) -> float:
    """Return by how many degrees the main axis of the ink leans from the vertical to the right."""
    rows, columns = np.indices(image.shape)
    ink = image / max(float(image.sum()), 1e-12)
    y, x = rows - (ink * rows).sum(), columns - (ink * columns).sum()
    xx, yy, xy = (ink * x * x).sum(), (ink * y * y).sum(), (ink * x * y).sum()
    return float(np.degrees(0.5 * np.arctan2(-2 * xy, yy - xx)))  # y grows downward


def _trained(
    name: str,
    recipe: Recipe,
    digits: Digits,
    limit: int | None,
    seed: int,
    artifacts: Artifacts,
    reuse: bool,
    place: torch.device,
    progress: bool,
) -> nn.Module:
    """Build a net and train it, or load the weights that the same training gave before."""
    net = (mlp(seed=seed) if name == "mlp" else lenet(seed=seed)).to(place)
    images, labels = digits.train_images[:limit], digits.train_labels[:limit]
    made_by = asdict(recipe) | {"seed": seed, "data": [len(labels), int(labels.sum()), float(images.sum(dtype=float))]}
    if reuse and artifacts.load_weights(f"net_{name}", net, made_by):
        return net
    fit(
        net,
        images,
        labels,
        loss="cross_entropy",
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        optimizer=recipe.optimizer,  # type: ignore[arg-type]
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        schedule=recipe.schedule,  # type: ignore[arg-type]
        seed=seed,
        progress=progress and f"Training the {TITLES[name]}",
    )
    artifacts.weights(f"net_{name}", net, made_by)
    return net


def _write(sweep: Sweep, settings: dict[str, Any], artifacts: Artifacts) -> Report:
    numbers = {name: sweep.numbers(name) for name in sweep.predictions}
    report = Report(
        demo="digits",
        settings=settings,
        results={"label": sweep.label, "angles": ANGLES.tolist()} | numbers,
        checks=_checks(numbers),
        tables=(_accuracy_table(numbers), *(_sweep_table(name, values) for name, values in numbers.items())),
    )
    for name in sweep.predictions:
        artifacts.figure(f"softmax_{name}", draw_softmax(sweep, name))
        artifacts.figure(f"uncertainty_{name}", draw_uncertainty(sweep, name))
    artifacts.figure("strip", draw_strip(sweep))
    artifacts.arrays("arrays", sweep.arrays(), units=_UNITS, attributes=report.attributes())
    artifacts.summary(report.as_dict())
    return replace(report, files=tuple(artifacts.written))


_UNITS = {"angle": "degree", "entropy": "nat", "expected_entropy": "nat", "mutual_information": "nat"}


def _checks(numbers: Mapping[str, Mapping[str, Any]]) -> tuple[Check, ...]:
    checks = []
    for name, bound in (("lenet", 0.965), ("mlp", 0.92)):
        accuracy = numbers[name]["test_accuracy"]["weight_averaging"]
        checks.append(Check(f"{TITLES[name]}: test accuracy", accuracy, bound, at_least=True))
    for name, values in numbers.items():
        gain = values["middle_mutual_information"] - values["as_written_mutual_information"]
        title = f"{TITLES[name]}: mutual information in mid-sweep minus unturned (nats)"
        checks.append(Check(title, gain, 0.1, at_least=True))
    return tuple(checks)


def _accuracy_table(numbers: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = tuple(
        (
            TITLES[name],
            f"{values['test_accuracy']['weight_averaging']:.1%}",
            f"{values['test_accuracy']['mc_dropout']:.1%}",
        )
        for name, values in numbers.items()
    )
    return Table("Accuracy on the held-out digits", ("net", "weight averaging", "MC dropout"), rows)


def _sweep_table(name: str, values: Mapping[str, Any]) -> Table:
    columns = ("angle", "label", "MC label", "entropy", "mutual information", "variation ratio")
    keys = ("entropy", "mutual_information", "variation_ratio")
    rows = tuple(
        (
            f"{angle}°",
            str(values["labels_weight_averaging"][i]),
            str(values["labels_mc_dropout"][i]),
            *(f"{values[key][i]:.2f}" for key in keys),
        )
        for i, angle in enumerate(ANGLES)
    )
    return Table(f"{TITLES[name]} on the turned digit (measures in nats)", columns, rows)
