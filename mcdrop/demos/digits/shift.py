"""The shift protocol: every held-out digit turned by 0 to 180 degrees, and what each model says of it.

Models that learned from upright digits are asked about digits that are turned further and further. The right answer
stays that of the digit as written. That is the protocol's definition: a 6 turned by 180 degrees looks like a 9, while
a 0, a 1 or an 8 looks like itself again.

References:
    Ovadia, Y. et al. (2019). Can You Trust Your Model's Uncertainty? Evaluating Predictive Uncertainty Under Dataset
    Shift. NeurIPS. https://arxiv.org/abs/1906.02530 (rotated MNIST: section 4.1).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mcdrop.baselines import GPClassifier
from mcdrop.datasets import rotate
from mcdrop.demos.averaged import average_weights
from mcdrop.demos.digits.sweep import TITLES
from mcdrop.predictive import ClassificationPredictive, at_points
from mcdrop.sampler import MCDropout

__all__ = ["MODELS", "SHIFT_ANGLES", "Shift", "describe_gp", "fit_gp", "turn_all"]

SHIFT_ANGLES = np.arange(0, 181, 15)
"""Degrees by which the protocol turns the digits."""

MODELS = {
    "softmax_mlp": f"softmax, {TITLES['mlp']}",
    "mc_dropout_mlp": f"MC dropout, {TITLES['mlp']}",
    "softmax_lenet": f"softmax, {TITLES['lenet']}",
    "mc_dropout_lenet": f"MC dropout, {TITLES['lenet']}",
    "gp": "GP",
}
"""The models by their keys in files, in the order of the tables."""

_CLASSES = 10

_BATCH = 250  # digits whose convolutions stay in a processor's cache: a third faster than thousands at once


class Shift:
    """N digits at each of A angles, upright first, and what each model says of them.

    Attributes:
        labels: The right answers, shape (N,), the same at every angle.
        images: All digits at the first angle, then all at the next one, shape (A N, 1, 28, 28).
        passes: Number of passes T.
        predictions: Name of a model -> its prediction for `images`.
    """

    def __init__(self, images: NDArray[np.float32], labels: NDArray[np.int64], *, seed: int, passes: int) -> None:
        self.labels, self.images = labels, turn_all(images)
        self.seed, self.passes = seed, passes
        self.predictions: dict[str, ClassificationPredictive] = {}

    def add_net(self, name: str, net: nn.Module, *, progress: bool) -> None:
        """Ask a net with its dropout off, and run its passes: two models."""
        softmax, sampled = MODELS[f"softmax_{name}"], MODELS[f"mc_dropout_{name}"]
        self.predictions[softmax] = ClassificationPredictive.from_probs(average_weights(net, self.images))
        self.predictions[sampled] = MCDropout(net, task="classification").predict(
            self.images,
            passes=self.passes,
            seed=self.seed,
            batch_size=_BATCH,
            progress=progress and f"Turned digits: {sampled}",
        )

    def add_gp(self, gp: GPClassifier, *, progress: bool) -> None:
        """Ask the Gaussian process, with as many draws as the nets have passes."""
        title = progress and f"Turned digits: {MODELS['gp']}"
        pred = gp.predict(self.images, passes=self.passes, seed=self.seed, progress=title)
        self.predictions[MODELS["gp"]] = pred

    def at(self, *places: int) -> dict[str, ClassificationPredictive]:
        """Return what every model says of the digits at these angles, numbered from 0, one after the other."""
        count = len(self.labels)
        rows = np.concatenate([np.arange(k * count, (k + 1) * count) for k in places])
        return {name: at_points(pred, rows) for name, pred in self.predictions.items()}

    def answers(self, count: int) -> NDArray[np.int64]:
        """Return the right answers to the digits at so many angles, one after the other."""
        return np.tile(self.labels, count)

    def upright_accuracy(self, name: str) -> dict[str, float]:
        """Return a net's accuracy on the digits as written, with dropout off and by its passes."""
        upright = self.at(0)
        keys = {"weight_averaging": f"softmax_{name}", "mc_dropout": f"mc_dropout_{name}"}
        return {what: float((upright[MODELS[key]].labels == self.labels).mean()) for what, key in keys.items()}


def turn_all(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return all images at the first angle of the protocol, then all at the next one, in one array.

    Args:
        images: Digits as written, shape (N, 1, 28, 28).

    Returns:
        Shape (A N, 1, 28, 28); at 0 degrees the digits are left exactly as they are.
    """
    turned = rotate(images, SHIFT_ANGLES[1:]).astype(np.float32, copy=False)
    return np.concatenate([images[None], turned]).reshape(-1, *images.shape[1:])


def fit_gp(images: NDArray[np.float32], labels: NDArray[np.int64], *, seed: int, progress: bool) -> GPClassifier:
    """Fit the Gaussian process.

    Args:
        images: Digits to learn from, shape (N, 1, 28, 28); the time grows with the cube of N.
        labels: What they are, shape (N,).
        seed: Of whatever the fit draws.
        progress: Whether to show a progress bar.
    """
    title = progress and f"Fitting the {MODELS['gp']} to {len(labels):,} digits"
    return GPClassifier(seed=seed).fit(images, labels, classes=_CLASSES, progress=title)


def describe_gp(gp: GPClassifier, trained_on: int) -> dict[str, Any]:
    """Return what the Gaussian process learned, from how many digits, and how long it took, as plain data."""
    return {
        "trained_on": trained_on,
        "inference": gp.inference_,
        "fit_seconds": gp.fit_seconds_,
        "predict_seconds": gp.predict_seconds_,
        "hyperparameters": {name: float(value) for name, value in gp.hyperparameters_.items()},
        "units": dict(gp.units_),
    }
