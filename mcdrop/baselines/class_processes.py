"""What a Gaussian-process classifier is fitted with and consists of, how it predicts, and how it is kept in a file."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.arguments import check_count
from mcdrop.baselines.dirichlet import as_regression, softmax_moments
from mcdrop.baselines.features import Features
from mcdrop.baselines.latents import Latents, Theta, condition, condition_sparse
from mcdrop.errors import InputError
from mcdrop.moments import ClassMoments
from mcdrop.predictive import ClassificationPredictive
from mcdrop.progress import Advance
from mcdrop.rng import check_seed
from mcdrop.storage import Archive, Variable

__all__ = [
    "HYPERPARAMETERS",
    "ClassProcesses",
    "Examples",
    "Inference",
    "Options",
    "as_predictive",
    "choose_anchors",
    "from_groups",
    "to_groups",
]

Floats = NDArray[np.float64]
Inference = Literal["exact", "variational"]

HYPERPARAMETERS = ("lengthscale", "amplitude", "mean")
"""Names of what is learned for each class, in the order of `Theta`."""

_CHUNK = 1024  # points predicted at once: bounds memory at N x 1,024


@dataclass(frozen=True, slots=True)
class Options:
    """How a classifier is fitted: the arguments of `GPClassifier`, checked and fixed.

    Raises:
        InputError: If an option is out of range.
    """

    components: int | None
    alpha_epsilon: float
    steps: int
    learning_rate: float
    max_exact: int
    inducing: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        """Check every option."""
        if self.components is not None:
            check_count("components", self.components, least=1, why="or None for all columns")
        # above 1, the classes that a label does not name would outweigh the one it names
        if not _is_number(self.alpha_epsilon) or not 0 < self.alpha_epsilon <= 1:
            raise InputError(
                f"alpha_epsilon must be a number above 0 and at most 1, got {self.alpha_epsilon!r}; try the default"
            )
        if not _is_number(self.learning_rate) or not 0 < self.learning_rate < np.inf:
            raise InputError(f"learning_rate must be a number above 0, got {self.learning_rate!r}; try the default")
        check_count("steps", self.steps, least=1, why="the hyperparameters are learned")
        check_count("max_exact", self.max_exact, least=0, why="0 for a variational fit whatever the data")
        check_count("inducing", self.inducing, least=1, why="they carry the posterior")
        check_count("batch_size", self.batch_size, least=1, why="a step needs data")
        plain = {
            "alpha_epsilon": float(self.alpha_epsilon),
            "learning_rate": float(self.learning_rate),
            "seed": check_seed(self.seed),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return the options by name."""
        return asdict(self)


def _is_number(value: object) -> bool:
    return isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool)


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
    """What fitting leaves behind: the options it ran with, the features, the examples, and the functions' posterior."""

    options: Options
    features: Features
    examples: Examples
    latents: Latents

    @property
    def inference(self) -> Inference:
        """How the posterior was found."""
        return "exact" if self.examples.chosen is None else "variational"

    def provenance(self) -> dict[str, Any]:
        """Return what every prediction says of its origin."""
        options = self.options
        about = {"model": "GPClassifier", "inference": self.inference, "kernel": "se", "fit_seed": options.seed}
        return about | {"components": options.components, "alpha_epsilon": options.alpha_epsilon}

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


def as_predictive(parts: list[ClassMoments], passes: int, provenance: dict[str, Any]) -> ClassificationPredictive:
    """Return the statistics of all chunks as one result."""

    def joined(name: str, moment: str) -> Floats:
        return np.concatenate([getattr(getattr(part, name), moment).numpy() for part in parts])

    return ClassificationPredictive(
        probs=joined("probs", "mean"),
        probs_std=joined("probs", "std"),
        logit_mean=joined("logits", "mean"),
        logit_std=joined("logits", "std"),
        votes=np.concatenate([part.votes.numpy() for part in parts]),
        expected_entropy=joined("entropy", "mean"),
        passes=passes,
        provenance=provenance,
    )


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


def from_groups(archive: Archive, options: Options) -> tuple[ClassProcesses, Floats]:
    """Return the fit and its losses, made again from a file.

    Args:
        archive: What the file holds.
        options: What it was fitted with.

    Raises:
        DataError: If something is missing from the file.
    """

    def constant(name: str) -> NDArray[np.generic]:
        return archive.variable("constant_data", name).values

    features = Features(
        np.asarray(constant("input_mean"), np.float64),
        None if options.components is None else np.asarray(constant("principal_directions"), np.float64),
        np.asarray(constant("feature_scale"), np.float64),
    )
    theta = Theta(*(torch.from_numpy(archive.variable("posterior", name).values[0, 0]) for name in HYPERPARAMETERS))
    sparse = archive.attributes["inference"] == "variational"
    examples = Examples(
        torch.from_numpy(constant("features")),
        np.asarray(archive.variable("observed_data", "label").values, np.int64),
        len(theta.mean),
        options.alpha_epsilon,
        torch.from_numpy(constant("inducing_rows")) if sparse else None,
    )
    losses = np.asarray(archive.variable("sample_stats", "loss").values[0, 0], np.float64)
    return ClassProcesses(options, features, examples, examples.condition(theta)), losses
