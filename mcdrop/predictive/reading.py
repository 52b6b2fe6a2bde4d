"""From what a net returns to a prediction: what is taken of a pass, what streams over the passes, what it becomes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from mcdrop.errors import InputError
from mcdrop.moments import BLOCKS_TO_STOP, ClassMoments, GaussianMoments, Moments, Statistics, joined
from mcdrop.outputs import (
    GaussianReader,
    LogitReader,
    Selection,
    check_finite,
    check_log_variances,
    is_model_output,
    put_classes_last,
    require_floating,
    require_real,
)
from mcdrop.precision import LogLikelihood
from mcdrop.predictive.classification import ClassificationPredictive
from mcdrop.predictive.regression import RegressionPredictive

__all__ = ["ClassificationReading", "HeteroscedasticReading", "Known", "Reading", "RegressionReading", "largest_share"]

Known: TypeAlias = Mapping[str, Any]
"""What a predictive holds beside its statistics: the number of passes and the provenance."""


State = TypeVar("State", bound=Statistics)
Result = TypeVar("Result", covariant=True)


class _Estimated(Protocol):
    """Statistics of values that know the error of their mean."""

    @property
    def std(self) -> Tensor: ...

    def error_of(self, blocks: int) -> Tensor: ...


class Reading(ABC, Generic[State, Result]):
    """How the net's return is read for one task, in one run.

    Attributes:
        task: What the task is called; several have no name.
        tolerance: How large a Monte Carlo error of the mean may be unless the user says it.
    """

    task: ClassVar[str] = ""
    tolerance: ClassVar[float] = 0.05

    @abstractmethod
    def take(self, output: Any) -> Tensor:
        """Return the part of the net's return that is sampled, rows first, as the net gives it."""

    def choose(self, output: Any) -> Tensor:
        """Return the part of the net's return that is summarized, shape (n, ...)."""
        return self.take(output)

    @abstractmethod
    def summarize(self, passes: Tensor, *, block: int = 1) -> tuple[State, tuple[Tensor, ...]]:
        """Return the statistics of chosen passes and what of them may be kept as samples.

        Args:
            passes: Shape (C, n, ...).
            block: Number of passes in a block of stratified passes, as for `Moments.of`.
        """

    def excess(self, state: State, tolerance: float | None) -> Tensor:
        """Return how many times the tolerance the Monte Carlo error of the mean is.

        Args:
            state: The statistics of n rows.
            tolerance: The largest error that a row may have, or None for the task's own.

        Returns:
            Shape (n,): of the row's outputs the largest; NaN counts as none.

        Raises:
            InputError: If nothing says how large it is.
        """
        raise InputError(f"passes='auto' needs a Monte Carlo error to go by, got {type(self).__name__}; give a number")

    @abstractmethod
    def likelihood(self, passes: Tensor, y: Tensor, tau: float | None) -> LogLikelihood:
        """Return how likely the truth is under chosen passes; tau is None where the net knows its own noise."""

    def judge(self) -> None:
        """Say what the outputs of a whole run tell about the task; nothing by default.

        Raises:
            NetError: If they are not what they were said to be.
        """
        return None

    @abstractmethod
    def predictive(self, states: Sequence[State], samples: Sequence[Tensor] | None, known: Known) -> Result:
        """Return the prediction that the statistics of all batches make, once they have been judged.

        Raises:
            NetError: If the net's outputs are not finite, or not what they were said to be.
        """


@dataclass(frozen=True, slots=True)
class RegressionReading(Reading[Moments, RegressionPredictive]):
    """Values, whose spread between passes is all that is known of their uncertainty.

    Attributes:
        selection: Which part of the net's return to look at.
    """

    task: ClassVar[str] = "regression"
    selection: Selection

    def take(self, output: Any) -> Tensor:
        """Return the chosen tensor."""
        return require_real(self.selection(output))

    def summarize(self, passes: Tensor, *, block: int = 1) -> tuple[Moments, tuple[Tensor, ...]]:
        """Return the moments of the values; they may be kept."""
        return Moments.of(passes, block=block), (passes,)

    def excess(self, state: Moments, tolerance: float | None) -> Tensor:
        """Return the largest error of a row's means, each as a share of its spread, over the tolerance."""
        return largest_share(state) / (tolerance or self.tolerance)

    def likelihood(self, passes: Tensor, y: Tensor, tau: float | None) -> LogLikelihood:
        """Return the Gaussian likelihood with the noise that tau says."""
        assert tau is not None, "asked for before the passes run"
        return LogLikelihood.of(passes, y, tau)

    def predictive(
        self, states: Sequence[Moments], samples: Sequence[Tensor] | None, known: Known
    ) -> RegressionPredictive:
        """Return mean and spread."""
        mean, std = joined([s.mean for s in states]), joined([s.std for s in states])
        check_finite(mean + std)
        return RegressionPredictive(mean=mean, std=std, samples=_only(samples), mean_error=_error(states), **known)


@dataclass(frozen=True, slots=True)
class HeteroscedasticReading(Reading[GaussianMoments, RegressionPredictive]):
    """Values and the log-variance of their noise, side by side on the axis after the rows; the means may be kept.

    Attributes:
        reader: Finds the two in the net's return.
    """

    task: ClassVar[str] = "heteroscedastic"
    reader: GaussianReader

    def take(self, output: Any) -> Tensor:
        """Return mean and log-variance, shape (n, 2, ...)."""
        return self.reader(output)

    def summarize(self, passes: Tensor, *, block: int = 1) -> tuple[GaussianMoments, tuple[Tensor, ...]]:
        """Return the moments of means and variances; the means may be kept."""
        return GaussianMoments.of(passes, block=block), (passes[:, :, 0],)

    def excess(self, state: GaussianMoments, tolerance: float | None) -> Tensor:
        """Return the largest error of a row's means, each as a share of its spread, over the tolerance."""
        return largest_share(state.means) / (tolerance or self.tolerance)

    def likelihood(self, passes: Tensor, y: Tensor, tau: float | None) -> LogLikelihood:
        """Return the Gaussian likelihood with the noise of each pass."""
        return LogLikelihood.of_gaussians(passes, y)

    def predictive(
        self, states: Sequence[GaussianMoments], samples: Sequence[Tensor] | None, known: Known
    ) -> RegressionPredictive:
        """Return mean, spread and noise."""
        mean, std = joined([s.means.mean for s in states]), joined([s.means.std for s in states])
        check_finite(mean + std)
        log_variance = torch.cat([s.log_variance for s in states])
        check_log_variances(log_variance)
        noise = np.asarray((0.5 * log_variance).exp().numpy())
        error = _error([s.means for s in states])
        return RegressionPredictive(
            mean=mean, std=std, noise_std=noise, samples=_only(samples), mean_error=error, **known
        )


@dataclass(frozen=True, slots=True)
class ClassificationReading(Reading[ClassMoments, ClassificationPredictive]):
    """Logits or probabilities of classes; logits may be kept.

    Attributes:
        selection: Which part of the net's return to look at.
        logits: What it holds.
        class_axis: Which of its axes holds the classes, rows being axis 0. None: 1, but -1 for the three axes (rows,
            tokens, classes) of an object with `logits`; three axes of anything else are refused.
    """

    task: ClassVar[str] = "classification"
    tolerance: ClassVar[float] = 0.005
    selection: Selection
    logits: LogitReader = field(default_factory=LogitReader)
    class_axis: int | None = None

    def take(self, output: Any) -> Tensor:
        """Return the chosen tensor, the classes where the net has them."""
        return require_floating(self.selection(output))

    def choose(self, output: Any) -> Tensor:
        """Return it with the classes last.

        Raises:
            InputError: If it has three axes and nothing says which of them holds the classes.
        """
        tensor = self.take(output)
        return put_classes_last(
            tensor, self._usual_axis(tensor, output) if self.class_axis is None else self.class_axis
        )

    def _usual_axis(self, tensor: Tensor, output: Any) -> int:
        if tensor.dim() != 3:
            return 1
        if is_model_output(self.selection.holder(output)):
            return -1
        raise InputError(
            f"the classes of outputs of shape {tuple(tensor.shape)} may lie on axis 1, as in torch's cross-entropy, or "
            "on the last one, as in per-token logits; say class_axis=1 or class_axis=-1"
        )

    def summarize(self, passes: Tensor, *, block: int = 1) -> tuple[ClassMoments, tuple[Tensor, ...]]:
        """Return the statistics of the classes; the softmax inputs may be kept."""
        values = self.logits(passes)
        return ClassMoments.of(values, block=block), (values,)

    def excess(self, state: ClassMoments, tolerance: float | None) -> Tensor:
        """Return the largest error of a row's probabilities over the tolerance."""
        return _largest(state.probs.error_of(BLOCKS_TO_STOP) / (tolerance or self.tolerance))

    def likelihood(self, passes: Tensor, y: Tensor, tau: float | None) -> LogLikelihood:
        """Return the probability of the true classes."""
        return LogLikelihood.of_labels(self.logits(passes), y)

    def judge(self) -> None:
        """Refuse logits that look like probabilities, all of them."""
        self.logits.judge()

    def predictive(
        self, states: Sequence[ClassMoments], samples: Sequence[Tensor] | None, known: Known
    ) -> ClassificationPredictive:
        """Return probabilities, votes and entropies."""
        self.judge()
        probs = joined([s.probs.mean for s in states])
        check_finite(probs)
        return ClassificationPredictive(
            probs=probs,
            probs_std=joined([s.probs.std for s in states]),
            logit_mean=joined([s.logits.mean for s in states]),
            logit_std=joined([s.logits.std for s in states]),
            votes=torch.cat([s.votes for s in states]).numpy(),
            expected_entropy=joined([s.entropy.mean for s in states]),
            samples=_only(samples),
            probs_error=_error([s.probs for s in states]),
            **known,
        )


def _only(samples: Sequence[Tensor] | None) -> Any:
    return None if samples is None else samples[0].numpy()


def _error(states: Sequence[Moments]) -> Any:
    """Return the Monte Carlo error of the means where it is not that of independent passes."""
    return joined([state.error for state in states]) if any(state.block > 1 for state in states) else None


def largest_share(state: _Estimated) -> Tensor:
    """Return the largest error of a row's means, each as a share of its spread; without spread there is none."""
    return _largest(torch.where(state.std > 0, state.error_of(BLOCKS_TO_STOP) / state.std, 0.0))


def _largest(values: Tensor) -> Tensor:
    """Return the largest value of each row; NaN counts as none, and is refused when the prediction is made."""
    flat = values.reshape(len(values), -1).nan_to_num(nan=0.0)
    return flat.amax(dim=1) if flat.shape[1] else flat.new_zeros(len(flat))
