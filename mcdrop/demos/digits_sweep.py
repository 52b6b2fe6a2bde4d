"""What the digits demo's nets say of the turned digit and of the held-out ones, and its numbers."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcdrop.datasets import Digits, rotate
from mcdrop.predictive import ClassificationPredictive
from mcdrop.sampler import MCDropout

__all__ = ["ANGLES", "TITLES", "Sweep"]

Floats = NDArray[np.floating]

ANGLES = np.arange(50, 130, 7)
"""Degrees by which the tutorial turns its digit."""

MIDDLE = (ANGLES > 70) & (ANGLES < 110)
"""The part of the sweep in which a turned 1 is no digit any more."""

TITLES = {"mlp": "MLP 800-800", "lenet": "LeNet"}


class Sweep:
    """One digit at every angle, upright first, and what each net says of it."""

    def __init__(self, digits: Digits, index: int, seed: int, passes: int, tested_on: int | None) -> None:
        self.images, self.labels = digits.test_images[:tested_on], digits.test_labels[:tested_on]
        self.seed, self.passes = seed, passes
        self.label = int(digits.test_labels[index])
        self.upright = digits.test_images[index]
        self.turned = rotate(self.upright, ANGLES).astype(np.float32)
        self.predictions: dict[str, ClassificationPredictive] = {}
        self.as_written_predictions: dict[str, ClassificationPredictive] = {}
        self.averaged: dict[str, Floats] = {}
        self.accuracy: dict[str, dict[str, float]] = {}

    def add_net(self, name: str, net: nn.Module, progress: bool) -> None:
        """Run a net's passes on the turned digit, on the digit as written and on the held-out digits."""
        model = MCDropout(net, task="classification")
        self.predictions[name] = model.predict(self.turned, passes=self.passes, seed=self.seed, keep_samples=True)
        self.as_written_predictions[name] = model.predict(self.upright[None], passes=self.passes, seed=self.seed)
        self.averaged[name] = _softmax(net, self.turned)
        sampled = model.predict(
            self.images,
            passes=min(self.passes, 100),
            seed=self.seed,
            progress=progress and f"Testing the {TITLES[name]}",
        )
        self.accuracy[name] = {
            "weight_averaging": float((_softmax(net, self.images).argmax(axis=1) == self.labels).mean()),
            "mc_dropout": float((sampled.labels == self.labels).mean()),
        }

    def numbers(self, name: str) -> dict[str, Any]:
        """Summarize one net: its accuracy, its answers along the sweep, its measures there and as written."""
        pred, upright = self.predictions[name], self.as_written_predictions[name]
        middle = float(pred.mutual_information[MIDDLE].mean())
        return {
            "test_accuracy": self.accuracy[name],
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


def _softmax(net: nn.Module, images: Floats) -> Floats:
    """Return the probabilities of the weight-averaged net: one pass with dropout off."""
    device = next(net.parameters()).device
    with torch.no_grad():
        parts = [net(part.to(device)).softmax(dim=1) for part in torch.split(torch.as_tensor(images), 500)]
    return torch.cat(parts).double().cpu().numpy()
