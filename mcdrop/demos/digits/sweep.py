"""The digit that the tutorial turns: which one it is, and what the nets say of it at every angle."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mcdrop.arguments import check_count
from mcdrop.datasets import Digits, rotate
from mcdrop.demos.averaged import average_weights
from mcdrop.errors import DataError, InputError
from mcdrop.predictive import ClassificationPredictive
from mcdrop.sampler import MCDropout

__all__ = ["ANGLES", "TITLES", "Sweep", "pick_digit"]

Floats = NDArray[np.floating]

ANGLES = np.arange(50, 130, 7)
"""Degrees by which the tutorial turns its digit."""

MIDDLE = (ANGLES > 70) & (ANGLES < 110)
"""The part of the sweep in which a turned 1 is no digit any more."""

LEAN = 30.0
"""Degrees to the right that the digit leans before it is turned."""

TITLES = {"mlp": "MLP 800-800", "lenet": "LeNet"}


class Sweep:
    """One digit at every angle, upright first, and what each net says of it."""

    def __init__(self, digits: Digits, index: int, seed: int, passes: int) -> None:
        self.seed, self.passes = seed, passes
        self.label = int(digits.test_labels[index])
        self.upright = digits.test_images[index]
        self.turned = rotate(self.upright, ANGLES).astype(np.float32)
        self.predictions: dict[str, ClassificationPredictive] = {}
        self.as_written_predictions: dict[str, ClassificationPredictive] = {}
        self.averaged: dict[str, Floats] = {}

    def add_net(self, name: str, net: nn.Module) -> None:
        """Run a net's passes on the turned digit and on the digit as written."""
        model = MCDropout(net, task="classification")
        self.predictions[name] = model.predict(self.turned, passes=self.passes, seed=self.seed, keep_samples=True)
        self.as_written_predictions[name] = model.predict(self.upright[None], passes=self.passes, seed=self.seed)
        self.averaged[name] = average_weights(net, self.turned)

    def numbers(self, name: str) -> dict[str, Any]:
        """Summarize one net: its answers along the sweep, its measures there and as written."""
        pred, upright = self.predictions[name], self.as_written_predictions[name]
        middle = float(pred.mutual_information[MIDDLE].mean())
        return {
            "labels_weight_averaging": self.averaged[name].argmax(axis=1).tolist(),
            "labels_mc_dropout": pred.labels.tolist(),
            "entropy": pred.entropy.tolist(),
            "mutual_information": pred.mutual_information.tolist(),
            "variation_ratio": pred.variation_ratio.tolist(),
            "as_written_label": int(upright.labels[0]),
            "as_written_mutual_information": float(upright.mutual_information[0]),
            "middle_mutual_information": middle,
        }

    def winners(self, name: str) -> list[int]:
        """Return the classes that win somewhere along the sweep, with MC dropout or without."""
        averaged = self.averaged[name].argmax(axis=1)
        return [int(k) for k in np.union1d(self.predictions[name].labels, averaged)]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything by the name it has in the HDF5 file."""
        arrays: dict[str, NDArray[Any]] = {"angle": ANGLES, "images": self.turned, "as_written": self.upright}
        for name, pred in self.predictions.items():
            arrays[f"{name}/averaged_probs"] = self.averaged[name]
            for key in ("probs", "probs_std", "logit_mean", "logit_std", "votes", "entropy", "expected_entropy"):
                arrays[f"{name}/{key}"] = getattr(pred, key)
            for key in ("mutual_information", "variation_ratio"):
                arrays[f"{name}/{key}"] = getattr(pred, key)
            if pred.samples is not None:
                arrays[f"{name}/logit_samples"] = pred.samples
        return arrays


def pick_digit(digits: Digits, wanted: int | None) -> int:
    """Return the number of the held-out digit to turn.

    Args:
        digits: The data.
        wanted: The number asked for, or None for the first "1" that leans to the right by `LEAN` degrees or more,
            else the one that leans most. The tutorial's digit leans so, and so the first turns bring it upright
            instead of laying it down.

    Raises:
        InputError: If there is no such digit.
        DataError: If there is no "1" at all.
    """
    if wanted is None:
        return _leaning_one(digits)
    count = len(digits.test_labels)
    check_count("digit", wanted, least=0, why="a number of a held-out digit")
    if wanted >= count:
        raise InputError(f"digit must be the number of a held-out digit, 0 to {count - 1}, got {wanted}")
    return wanted


def _leaning_one(digits: Digits) -> int:
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
