"""Predictions of classes: probabilities, votes, and how much the passes disagree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop import measures, storage
from mcdrop.errors import DataError, InputError
from mcdrop.predictive.axes import name_axes, refuse_misfits, stack_passes

__all__ = ["ClassificationPredictive"]

Floats = NDArray[np.float64]

_SUM_ERROR = 1e-3  # how far a row of probabilities may be from 1: single precision over many classes is well within


@dataclass(frozen=True, slots=True, eq=False)
class ClassificationPredictive:
    """Class probabilities of a classifier at N points, and how the passes disagree about them.

    Shapes are (N, K) for per-class and (N,) for per-point values; dense predictions have their extra
    axes between N and K. The measures are in nats.

    Attributes:
        probs: Mean over passes of the softmax output, shape (N, K).
        probs_std: Standard deviation between passes of the softmax output, shape (N, K).
        logit_mean: Mean over passes of the softmax input, shape (N, K).
        logit_std: Standard deviation between passes of the softmax input, shape (N, K).
        votes: In how many passes each class had the highest probability, shape (N, K).
        expected_entropy: Mean over passes of each pass's entropy, in nats: the aleatoric part, shape (N,).
        passes: Number of Monte Carlo passes T.
        samples: The softmax inputs of every pass, shape (T, N, K), if they were kept.
        provenance: What made the prediction, as plain data: model, seed, kind of masks, dropout sites.
    """

    probs: Floats
    probs_std: Floats
    logit_mean: Floats
    logit_std: Floats
    votes: NDArray[np.int64]
    expected_entropy: Floats
    passes: int
    samples: NDArray[np.floating] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        shape = self.probs.shape
        for name in ("probs_std", "logit_mean", "logit_std", "votes"):
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"probs and {name} must have one shape, got {shape} and {getattr(self, name).shape}; "
                    "give one value per point and class"
                )
        if self.expected_entropy.shape != shape[:-1]:
            raise InputError(
                f"expected_entropy must have one value per point, shape {shape[:-1]}, got "
                f"{self.expected_entropy.shape}; sum over the classes"
            )
        refuse_misfits("probs", shape, self.samples)

    @classmethod
    def from_probs(cls, probs: ArrayLike, *, provenance: Mapping[str, Any] | None = None) -> Self:
        """Return what a classifier without dropout says, as a prediction of one pass.

        To compare with: the passes cannot disagree, so the mutual information and the variation ratio are 0.

        Args:
            probs: The classifier's softmax output, shape (N, K); extra axes lie between N and K.
            provenance: What made the prediction, as plain data.

        Returns:
            `probs` as given, their logarithms as `logit_mean`, and one vote per point.

        Raises:
            InputError: If these are no probabilities of at least one class.

        Example:
            >>> from mcdrop import ClassificationPredictive
            >>> softmax = ClassificationPredictive.from_probs([[0.9, 0.1], [0.4, 0.6]])
            >>> softmax.labels.tolist(), softmax.mutual_information.tolist()
            ([0, 1], [0.0, 0.0])
        """
        given = _probabilities(probs)
        return cls(
            probs=given,
            probs_std=np.zeros_like(given),
            logit_mean=np.log(np.maximum(given, np.finfo(np.float64).tiny)),  # a zero has no finite logarithm
            logit_std=np.zeros_like(given),
            votes=np.eye(given.shape[-1], dtype=np.int64)[given.argmax(axis=-1)],
            expected_entropy=measures.entropy(given),
            passes=1,
            provenance=dict(provenance or {}),
        )

    def __len__(self) -> int:
        """Return the number of points N."""
        return len(self.probs)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Most probable class, shape (N,)."""
        return np.asarray(self.probs.argmax(axis=-1), dtype=np.int64)

    @property
    def mcse(self) -> Floats:
        r"""Monte Carlo standard error of `probs`, $\mathrm{probs\_std} / \sqrt{T}$."""
        return np.asarray(self.probs_std / np.sqrt(self.passes))

    @property
    def entropy(self) -> Floats:
        """Entropy of the mean probabilities in nats: the total uncertainty, shape (N,)."""
        return measures.entropy(self.probs)

    @property
    def mutual_information(self) -> Floats:
        """Entropy minus expected entropy in nats: the epistemic part, shape (N,)."""
        return measures.mutual_information(self.probs, self.expected_entropy)

    @property
    def variation_ratio(self) -> Floats:
        """Share of passes that did not vote for the most voted class, shape (N,)."""
        return measures.variation_ratio(self.votes)

    @property
    def prob_samples(self) -> NDArray[np.floating] | None:
        """The softmax outputs of every pass, shape (T, N, K), if the passes were kept."""
        if self.samples is None:
            return None
        shifted = np.exp(self.samples - self.samples.max(axis=-1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))

    def save(self, path: str | Path) -> Path:
        """Write the prediction to an HDF5 file that `mcdrop.load` and `arviz.from_netcdf` open.

        The group `predictions` holds the fields by name, with the passes of `samples`, if kept, as the draws of one
        chain; `predictions_constant_data` the number of passes. The provenance becomes attributes.

        Args:
            path: The file; an old one is replaced once the new one is whole.

        Returns:
            The path.

        Raises:
            InputError: If the provenance is no plain data.
            OutputError: If the file cannot be written.
        """
        axes = name_axes(self.probs.ndim, "class")
        predictions = {
            "probs": storage.Variable(axes, self.probs, "1", "mean probability"),
            "probs_std": storage.Variable(axes, self.probs_std, "1", "standard deviation of the probability"),
            "logit_mean": storage.Variable(axes, self.logit_mean, "1", "mean softmax input"),
            "logit_std": storage.Variable(axes, self.logit_std, "1", "standard deviation of the softmax input"),
            "votes": storage.Variable(axes, self.votes, "1", "passes won"),
            "expected_entropy": storage.Variable(axes[:-1], self.expected_entropy, "nat", "mean entropy of a pass"),
        }
        if self.samples is not None:
            predictions["samples"] = stack_passes(self.samples, axes, "1", "softmax inputs of the passes")
        constants = {"passes": storage.Variable((), np.asarray(self.passes), "1", "number of passes")}
        groups = {"predictions": predictions, "predictions_constant_data": constants}
        return storage.write(path, type(self).__name__, groups, self.provenance)

    @classmethod
    def from_archive(cls, archive: storage.Archive) -> Self:
        """Make the prediction that was saved; `mcdrop.load` calls this.

        Raises:
            DataError: If something is missing or does not fit.
        """
        names = ("probs", "probs_std", "logit_mean", "logit_std", "votes", "expected_entropy")
        fields = {name: archive.variable("predictions", name).values for name in names}
        samples = archive.groups["predictions"].get("samples")
        passes = archive.variable("predictions_constant_data", "passes").values
        try:
            return cls(
                **fields,
                passes=int(passes),
                samples=None if samples is None else samples.values[0],
                provenance=dict(archive.attributes),
            )
        except InputError as error:
            raise DataError(f"{archive.path}: expected arrays that fit together, got others: {error}") from error


def _probabilities(probs: ArrayLike) -> Floats:
    try:
        given = np.array(probs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"probs must be an array of numbers of shape (N, K), got {probs!r}") from error
    if given.ndim < 2 or given.shape[-1] == 0:
        raise InputError(
            f"probs must have shape (N, K), one value per point and class, got {given.shape}; for two classes "
            "stack 1 - p and p on a last axis"
        )
    if not np.all((given >= -1e-9) & (given <= 1 + 1e-6)):  # NaN is neither
        raise InputError("probs must lie in [0, 1], got values outside or NaN; pass softmax outputs, not logits")
    sums = given.sum(axis=-1)
    if not np.all(np.abs(sums - 1) <= _SUM_ERROR):
        worst = sums.flat[np.abs(sums - 1).argmax()]
        raise InputError(f"probs must sum to 1 over the classes (last axis), got a sum of {worst:g}; normalize them")
    return given
