"""One training of one net with one seed: its curves, and what the trained net gets wrong."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mcdrop.datasets import Digits, load_digits
from mcdrop.demos.averaged import average_weights
from mcdrop.demos.recipe import Recipe, rates_of, train_classifier
from mcdrop.demos.regularization.nets import Net, TwoLayers
from mcdrop.demos.regularization.variance import measure_variance
from mcdrop.demos.workers import INTERRUPTED, Tick
from mcdrop.errors import DataError, InputError, TrainingError
from mcdrop.training import History

__all__ = ["Job", "Run", "Source", "load_net", "train"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the digits come from, and how many are used.

    Attributes:
        data: Folder of MNIST files or HDF5 file; None for the digits that come with mcdrop.
        trained_on: How many digits the nets learn from (None: all).
        tested_on: How many held-out digits are used (None: all).
    """

    data: str | None = None
    trained_on: int | None = None
    tested_on: int | None = None

    def load(self) -> Digits:
        """Return the digits."""
        digits = load_digits(self.data)
        train, test = slice(self.trained_on), slice(self.tested_on)
        return Digits(
            digits.train_images[train], digits.train_labels[train], digits.test_images[test], digits.test_labels[test]
        )


@dataclass(frozen=True, slots=True)
class Job:
    """One training.

    Attributes:
        name: What the net is called.
        net: What it is made from.
        recipe: How it is trained.
        source: The digits.
        seed: Of initial weights, batches and dropout noise.
        folder: Where its checkpoint is.
        resume: Whether to go on from the checkpoint, if there is one.
        device: Where to train.
    """

    name: str
    net: Net
    recipe: Recipe
    source: Source
    seed: int
    folder: Path
    resume: bool
    device: str

    @property
    def checkpoint(self) -> Path:
        """The file from which the training can go on."""
        return self.folder / f"{self.name}_seed{self.seed}.safetensors"

    def describe(self) -> dict[str, Any]:
        """Return what is written beside the weights: how they came about."""
        rates = rates_of(self.net.build(self.seed))
        return asdict(self.recipe) | {"net": self.name, "rates": rates, "seed": self.seed} | asdict(self.source)


@dataclass(frozen=True, slots=True)
class Run:
    """What came out of one training over E epochs, on N held-out digits.

    Attributes:
        error: Share of held-out digits that the weight-averaged net gets wrong after every epoch, shape (E,).
        nll: Its mean negative log-likelihood there, in nats, shape (E,).
        loss: Mean loss on the training batches of every epoch, with dropout noise, in nats, shape (E,).
        variance: Variance of a layer's activations after every epoch, by the layer's name, each of shape (E,).
        wrong: Which held-out digits the trained net gets wrong, shape (N,).
        seconds: Time of training.
    """

    error: NDArray[np.float64]
    nll: NDArray[np.float64]
    loss: NDArray[np.float64]
    variance: Mapping[str, NDArray[np.float64]]
    wrong: NDArray[np.bool_]
    seconds: float


def train(job: Job, tick: Tick) -> Run:
    """Train a net, or go on where its training stopped.

    Args:
        job: The training.
        tick: Told of every epoch, also of those that an earlier training did.
    """
    digits, told = job.source.load(), 0

    def tell() -> None:
        nonlocal told
        told += 1
        tick()

    try:
        net, history = _fit(job, digits, tell)
    except (InputError, DataError, TrainingError) as error:
        raise _reworded(error) from error
    while told < job.recipe.epochs:
        tell()
    wrong = average_weights(net, digits.test_images).argmax(axis=1) != digits.test_labels
    return Run(
        error=1.0 - history.validation_accuracy,
        nll=history.validation_loss,
        loss=history.loss.reshape(job.recipe.epochs, -1).mean(axis=1),
        variance=history.monitored,
        wrong=wrong,
        seconds=history.seconds,
    )


def _reworded(error: InputError | DataError | TrainingError) -> Exception:
    """Return an error of `fit` with advice for whoever runs the demo."""
    if isinstance(error, TrainingError):
        return TrainingError(INTERRUPTED) if isinstance(error.__cause__, KeyboardInterrupt) else error
    if "checkpoint" not in str(error):
        return error
    what = str(error).rpartition(";")[0]
    return type(error)(f"{what}; leave out --resume to train anew, or choose another folder with --out")


def load_net(job: Job) -> nn.Module:
    """Return the net of a finished training, in eval mode."""
    return _fit(replace(job, resume=True), job.source.load(), lambda: None)[0]


def _fit(job: Job, digits: Digits, tell: Callable[[], None]) -> tuple[nn.Module, History]:
    net = job.net.build(job.seed).to(job.device)
    rows = len(digits.train_labels)

    def monitor(net: nn.Module) -> Mapping[str, float]:
        tell()
        return measure_variance(net, digits.test_images) if isinstance(job.net, TwoLayers) else {}

    history = train_classifier(
        net,
        digits.train_images,
        digits.train_labels,
        job.recipe,
        seed=job.seed,
        validation=(digits.test_images, digits.test_labels),
        validate_every=-(-rows // min(job.recipe.batch_size, rows)),
        monitor=monitor,
        checkpoint=job.checkpoint,
        resume=job.resume,
    )
    return net, history
