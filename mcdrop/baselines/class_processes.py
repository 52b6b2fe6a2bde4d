"""What a fitted Gaussian-process classifier consists of, how it predicts, and how it goes to a file and back."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.baselines.dirichlet import as_regression, softmax_moments
from mcdrop.baselines.features import Features
from mcdrop.baselines.latents import Latents, Theta, condition, condition_sparse
from mcdrop.moments import ClassMoments
from mcdrop.progress import Advance
from mcdrop.storage import Archive, Variable

__all__ = ["HYPERPARAMETERS", "ClassProcesses", "Examples", "choose_anchors", "from_groups", "to_groups"]

Floats = NDArray[np.float64]

HYPERPARAMETERS = ("lengthscale", "amplitude", "mean")
"""Names of what is learned for each class, in the order of `Theta`."""

_CHUNK = 1024  # points predicted at once: bounds memory at N x 1,024


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What the processes are conditioned on.

    Attributes:
        points: Features of the training inputs, shape (N, C).
        labels: Their classes, shape (N,).
        classes: Number of classes K.
        alpha_epsilon: Dirichlet concentration of the classes that a label does not name.
        chosen: Rows of the inducing points, shape (M,), or None where the posterior is exact.
    """

    points: Tensor
    labels: NDArray[np.int64]
    classes: int
    alpha_epsilon: float
    chosen: Tensor | None

    def regression(self) -> tuple[Tensor, Tensor]:
        """Return targets and noise variances, each of shape (K, N)."""
        return as_regression(self.labels, self.classes, alpha_epsilon=self.alpha_epsilon)

    def condition(self, theta: Theta) -> Latents:
        """Return the posterior of the functions."""
        if self.chosen is None:
            return condition(theta, self.points, *self.regression())
        return condition_sparse(theta, self.points[self.chosen], self.points, *self.regression())


@dataclass(frozen=True, slots=True, eq=False)
class ClassProcesses:
    """What fitting leaves behind: the features, the examples, and the posterior of the functions."""

    features: Features
    examples: Examples
    latents: Latents

    def units(self) -> dict[str, str]:
        """Return the unit of each hyperparameter."""
        return {"lengthscale": self.features.unit, "amplitude": "log concentration", "mean": "log concentration"}

    def moments(self, x: Floats, normals: Tensor, advance: Advance) -> Iterator[ClassMoments]:
        """Yield the statistics of one chunk of points after the other.

        Args:
            x: Inputs, shape (N, D), in the units of the training inputs.
            normals: The normal numbers of the draws, shape (T, K).
            advance: Told of every point done.
        """
        for start in range(0, len(x), _CHUNK):
            part = torch.from_numpy(np.ascontiguousarray(self.features.of(x[start : start + _CHUNK])))
            yield softmax_moments(*self.latents.moments(part), normals)
            advance(len(part))


def choose_anchors(points: Tensor, count: int, *, seed: int) -> Tensor:
    """Return the rows of the inducing points: drawn at random, no two of them alike."""
    _, first = np.unique(points.numpy(), axis=0, return_index=True)
    order = np.random.default_rng(seed).permutation(np.sort(first))
    return torch.from_numpy(np.sort(order[:count]))


def to_groups(fit: ClassProcesses, losses: Floats) -> dict[str, dict[str, Variable]]:
    """Return what a file needs to make the fit again: all but the factors, which follow from the rest."""
    features, examples = fit.features, fit.examples
    constant = {
        "input_mean": Variable(("input",), features.mean, "units of x"),
        "feature_scale": Variable(("feature",), features.scale, "units of x"),
        "features": Variable(("point", "feature"), examples.points.numpy(), features.unit),
    }
    if features.components is not None:
        constant["principal_directions"] = Variable(("feature", "input"), features.components)
    if examples.chosen is not None:
        constant["inducing_rows"] = Variable(("inducing_point",), examples.chosen.numpy())
    posterior = {
        name: Variable(("chain", "draw", "class"), getattr(fit.latents.theta, name).numpy()[None, None], unit)
        for name, unit in fit.units().items()
    }
    return {
        "posterior": posterior,
        "sample_stats": {"loss": Variable(("chain", "draw", "step"), losses[None, None], "nats per point")},
        "constant_data": constant,
        "observed_data": {"label": Variable(("point",), examples.labels)},
    }


def from_groups(archive: Archive, *, alpha_epsilon: float) -> tuple[ClassProcesses, Floats]:
    """Return the fit and its losses, made again from a file.

    Args:
        archive: What the file holds.
        alpha_epsilon: Dirichlet concentration of the classes that a label does not name.

    Raises:
        DataError: If something is missing from the file.
    """

    def constant(name: str) -> NDArray[np.generic]:
        return archive.variable("constant_data", name).values

    features = Features(
        np.asarray(constant("input_mean"), np.float64),
        None if archive.attributes["components"] is None else np.asarray(constant("principal_directions"), np.float64),
        np.asarray(constant("feature_scale"), np.float64),
    )
    theta = Theta(*(torch.from_numpy(archive.variable("posterior", name).values[0, 0]) for name in HYPERPARAMETERS))
    sparse = archive.attributes["inference"] == "variational"
    examples = Examples(
        torch.from_numpy(constant("features")),
        np.asarray(archive.variable("observed_data", "label").values, np.int64),
        len(theta.mean),
        alpha_epsilon,
        torch.from_numpy(constant("inducing_rows")) if sparse else None,
    )
    losses = np.asarray(archive.variable("sample_stats", "loss").values[0, 0], np.float64)
    return ClassProcesses(features, examples, examples.condition(theta)), losses
