"""How much the digits demo computes: its presets, and the training of its nets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mcdrop.datasets import Digits
from mcdrop.demos.artifacts import Artifacts
from mcdrop.demos.digits.brought import BUILDERS
from mcdrop.demos.digits.sweep import TITLES
from mcdrop.demos.recipe import Recipe, train_classifier
from mcdrop.demos.setup import Setup
from mcdrop.weights import load_weights

__all__ = ["PRESETS", "Preset", "get_net"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A pair of recipes, and how much is computed.

    Attributes:
        mlp: How the perceptron is trained.
        lenet: How the LeNet is trained.
        passes: How many passes to run unless told otherwise.
        trained_on: How many digits the nets learn from (None: all).
        tested_on: How many held-out digits are used (None: all).
        gp_trained_on: How many of the nets' digits the Gaussian process learns from.
        shift_passes: How many passes the shift protocol runs at most, and how often the Gaussian process draws. On
            100 digits, 40 passes of the LeNet leave accuracy, Brier score, ECE and AUROC within 0.005 of what 120
            give (by variation ratio 0.02) and the NLL 3% above.
        resamples: Number of bootstrap resamples behind its standard errors.
    """

    mlp: Recipe
    lenet: Recipe
    passes: int
    trained_on: int | None = None
    tested_on: int | None = None
    gp_trained_on: int = 1500
    shift_passes: int = 40
    resamples: int = 1000

    @property
    def recipes(self) -> dict[str, Recipe]:
        """Both recipes by the name of the net."""
        return {"mlp": self.mlp, "lenet": self.lenet}

    def digits_of_nets(self, digits: Digits) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return images and labels that the nets learn from."""
        return digits.train_images[: self.trained_on], digits.train_labels[: self.trained_on]

    def digits_of_gp(self, digits: Digits) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return images and labels that the Gaussian process learns from: spread evenly over those of the nets."""
        images, labels = self.digits_of_nets(digits)
        rows = np.linspace(0, len(labels) - 1, min(self.gp_trained_on, len(labels))).round().astype(np.int64)
        return images[rows], labels[rows]

    def sizes(self, digits: Digits, *, gp: bool) -> dict[str, int | None]:
        """Return how many digits the nets and the Gaussian process, if there is one, learn from."""
        nets, process = self.digits_of_nets(digits)[1], self.digits_of_gp(digits)[1]
        return {"trained_on": len(nets), "gp_trained_on": len(process) if gp else None}


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "default": Preset(Recipe(20, 2e-3), Recipe(10, 2e-3, batch_size=64), passes=1000),
        "paper": Preset(
            Recipe(1500, 0.1, optimizer="sgd", schedule="constant"),
            Recipe(1500, 0.01, optimizer="sgd", schedule="constant"),
            passes=1000,
        ),
        "tiny": Preset(
            Recipe(2, 2e-3),
            Recipe(1, 2e-3),
            passes=50,
            trained_on=1000,
            tested_on=100,
            gp_trained_on=200,
            shift_passes=5,
            resamples=100,
        ),
    }
)
"""default: three minutes on two cores; paper: the tutorial's SGD and 1,500 epochs, for a GPU; tiny: seconds,
to see that it works."""


def get_net(
    name: str,
    digits: Digits,
    setup: Setup[Preset],
    artifacts: Artifacts,
    *,
    brought: Path | None,
    reuse: bool,
    progress: bool,
) -> nn.Module:
    """Build a net and train it, or load the weights that were brought or that the same training gave before.

    Args:
        name: "mlp" or "lenet".
        digits: The data.
        setup: The demo's options.
        artifacts: Where the weights go, or come from.
        brought: File of weights to take in place of any training.
        reuse: Whether to load weights that are there.
        progress: Whether to show a progress bar.
    """
    recipe, seed = setup.preset.recipes[name], setup.seed
    net = BUILDERS[name](seed=seed).to(setup.device)
    if brought is not None:
        load_weights(net, brought)
        return net
    images, labels = setup.preset.digits_of_nets(digits)
    made_by = asdict(recipe) | {"seed": seed, "data": [len(labels), int(labels.sum()), float(images.sum(dtype=float))]}
    if reuse and artifacts.load_weights(f"net_{name}", net, made_by):
        return net
    title = progress and f"Training the {TITLES[name]}"
    train_classifier(net, images, labels, recipe, seed=seed, progress=title)
    artifacts.weights(f"net_{name}", net, made_by)
    return net
