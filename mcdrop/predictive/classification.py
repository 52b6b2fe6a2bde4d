"""Predictions of classes: probabilities, votes, and how much the passes disagree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop import measures, storage
from mcdrop.errors import DataError, InputError
from mcdrop.predictive.arrays import as_array, as_error, as_floats, as_passes, check_samples, per_point, refuse_outside
from mcdrop.predictive.axes import name_axes, pack_passes, stack_passes, unpack_passes, unstack_passes

__all__ = ["ClassificationPredictive"]

Floats = NDArray[np.float64]

_SUM_ERROR = 1e-3  # how far a row of probabilities may be from 1: single precision over many classes is well within
_ROUNDING = 1e-6  # how far single precision may leave a range

_PER_CLASS = ("probs", "probs_std", "logit_mean", "logit_std")
_FROM_ZERO = {
    "probs_std": (0, "give standard deviations"),
    "votes": (0, "count the passes that each class won"),
    "expected_entropy": (-_ROUNDING, "give entropies in nats"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ClassificationPredictive:
    """Class probabilities of a classifier at N points, and how the passes disagree about them.

    Shapes are (N, K) for per-class and (N,) for per-point values; dense predictions have their extra
    axes between N and K. The measures are in nats. Lists, tables and tensors become arrays; arrays of floats are taken
    as they are, without a copy. A class that the net masks has logits of minus infinity, whose spread is NaN.

    Attributes:
        probs: Mean over passes of the softmax output, shape (N, K).
        probs_std: Standard deviation between passes of the softmax output, shape (N, K).
        logit_mean: Mean over passes of the softmax input, shape (N, K).
        logit_std: Standard deviation between passes of the softmax input, shape (N, K).
        votes: In how many passes each class had the highest probability, shape (N, K).
        expected_entropy: Mean over passes of each pass's entropy, in nats: the aleatoric part, shape (N,).
        passes: Number of Monte Carlo passes T, one for all points or an array of shape (N,).
        samples: The softmax inputs of every pass, shape (T, N, K), if they were kept.
        provenance: What made the prediction, as plain data: model, seed, kind of masks, dropout sites.
        probs_error: Monte Carlo standard error of `probs`, in its shape, where it is not that of independent passes;
            `mcse` gives it in any case.
    """

    probs: Floats
    probs_std: Floats
    logit_mean: Floats
    logit_std: Floats
    votes: NDArray[np.int64]
    expected_entropy: Floats
    passes: int | NDArray[np.int64]
    samples: NDArray[np.floating] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    probs_error: Floats | None = None

    def __post_init__(self) -> None:
        """Refuse what is no probability or spread, or does not fit together."""
        arrays = {name: as_floats(name, getattr(self, name)) for name in _PER_CLASS}
        arrays["votes"] = as_array("votes", self.votes)
        arrays["expected_entropy"] = as_floats("expected_entropy", self.expected_entropy)
        _refuse_misfits(arrays)
        _refuse_improbable(arrays["probs"])
        for name, (least, advice) in _FROM_ZERO.items():
            refuse_outside(name, arrays[name], "be >= 0 and finite", least=least, advice=advice)
        shape = arrays["probs"].shape
        passes = as_passes(self.passes, shape[0])
        samples = check_samples(self.samples, passes, reference="probs", shape=shape)
        error = as_error("probs_error", self.probs_error, shape)
        for name, value in (arrays | {"passes": passes, "samples": samples, "probs_error": error}).items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_probs(cls, probs: ArrayLike, *, provenance: Mapping[str, Any] | None = None) -> Self:
        """Return what a classifier without dropout says, as a prediction of one pass.

        To compare with: the passes cannot disagree, so the mutual information and the variation ratio are 0.

        Args:
            probs: The classifier's softmax output, shape (N, K); extra axes lie between N and K.
            provenance: What made the prediction, as plain data.

        Returns:
            `probs` as given (rounding beyond 0 and 1 is cut off), their logarithms as `logit_mean`, and one vote per
            point.

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
        r"""Monte Carlo standard error of `probs`, shape (N, K): $\mathrm{probs\_std} / \sqrt{T}$ of independent passes.

        Stratified passes tell it by the spread of the means of their blocks (see `RegressionPredictive.mcse`).
        """
        if self.probs_error is not None:
            return self.probs_error
        return np.asarray(self.probs_std / np.sqrt(per_point(self.passes, self.probs_std.ndim)))

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

    def variables(self) -> dict[str, dict[str, storage.Variable]]:
        """Return what a file of this prediction holds, by group and name.

        The group `predictions` holds the fields by name, the measures and the most probable class, and, if kept,
        `samples` with the passes as the draws of one chain; `predictions_constant_data` the number of passes. What is
        there for each point has the axis "point".
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
        predictions |= self._measures(axes[:-1])
        if self.probs_error is not None:
            predictions["probs_error"] = storage.Variable(axes, self.probs_error, "1", "Monte Carlo standard error")
        if self.samples is not None:
            predictions["samples"] = stack_passes(self.samples, axes, "1", "softmax inputs of the passes")
        return {"predictions": predictions, "predictions_constant_data": {"passes": pack_passes(self.passes)}}

    def _measures(self, axes: tuple[str, ...]) -> dict[str, storage.Variable]:
        """Return what follows from the fields, for who reads a file elsewhere."""
        measured = {
            "labels": storage.Variable(axes, self.labels, "1", "most probable class"),
            "entropy": storage.Variable(axes, self.entropy, "nat", "entropy of the mean probabilities"),
            "mutual_information": storage.Variable(axes, self.mutual_information, "nat", "mutual information"),
        }
        if (np.sum(self.votes, axis=-1) > 0).all():  # a model may give probabilities without votes
            ratio = storage.Variable(axes, self.variation_ratio, "1", "share of passes that voted otherwise")
            measured["variation_ratio"] = ratio
        return measured

    def save(self, path: str | Path) -> Path:
        """Write the prediction to an HDF5 file that `mcdrop.load` and `arviz.from_netcdf` open.

        It holds the `variables`. The provenance becomes attributes.

        Args:
            path: The file; an old one is replaced once the new one is whole.

        Returns:
            The path.

        Raises:
            InputError: If the provenance is no plain data.
            OutputError: If the file cannot be written.
        """
        kind = ClassificationPredictive.__name__  # a subclass's may be unknown where it is loaded
        return storage.write(path, kind, self.variables(), self.provenance)

    @classmethod
    def from_archive(cls, archive: storage.Archive) -> Self:
        """Make the prediction that was saved; `mcdrop.load` calls this.

        Raises:
            DataError: If something is missing or does not fit.
        """
        names = ("probs", "probs_std", "logit_mean", "logit_std", "votes", "expected_entropy")
        fields = {name: archive.variable("predictions", name).values for name in names}
        passes = archive.variable("predictions_constant_data", "passes")
        error = archive.groups["predictions"].get("probs_error")
        try:
            return cls(
                **fields,
                passes=unpack_passes(passes),
                samples=unstack_passes(archive),
                provenance=dict(archive.attributes),
                probs_error=None if error is None else error.values,
            )
        except InputError as error:
            raise DataError(f"{archive.path}: expected arrays that fit together, got others: {error}") from error


def _refuse_misfits(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse arrays that are not per point and class, the entropy per point."""
    shape = arrays["probs"].shape
    _refuse_flat(shape)
    for name in (*_PER_CLASS[1:], "votes"):
        if arrays[name].shape != shape:
            raise InputError(
                f"probs and {name} must have one shape, got {shape} and {arrays[name].shape}; "
                "give one value per point and class"
            )
    if arrays["expected_entropy"].shape != shape[:-1]:
        raise InputError(
            f"expected_entropy must have one value per point, shape {shape[:-1]}, got "
            f"{arrays['expected_entropy'].shape}; sum over the classes"
        )


def _refuse_flat(shape: tuple[int, ...]) -> None:
    if len(shape) < 2 or shape[-1] == 0:
        raise InputError(
            f"probs must have shape (N, K), one value per point and class, got {shape}; for two classes "
            "stack 1 - p and p on a last axis"
        )


def _refuse_improbable(probs: NDArray[Any]) -> None:
    advice = "pass softmax outputs, not logits"
    refuse_outside("probs", probs, "lie in [0, 1]", least=-1e-9, most=1 + _ROUNDING, advice=advice)


def _probabilities(probs: ArrayLike) -> Floats:
    """Return a copy of probabilities, if that is what they are."""
    given = as_floats("probs", probs).astype(np.float64)
    _refuse_flat(given.shape)
    _refuse_improbable(given)
    sums = given.sum(axis=-1)
    if not np.all(np.abs(sums - 1) <= _SUM_ERROR):
        worst = sums.flat[np.abs(sums - 1).argmax()]
        raise InputError(f"probs must sum to 1 over the classes (last axis), got a sum of {worst:g}; normalize them")
    return np.clip(given, 0, 1)
