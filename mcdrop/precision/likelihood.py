r"""The log-likelihood of observations under the passes, streamed: the state does not grow with T.

Given the model precision tau, an observation of D outputs is, under T passes $\hat y_t$, from an even mixture of T
Gaussians:

$$\log p(y | x) \approx \operatorname{logsumexp}_t\left(-\tfrac\tau2 \|y - \hat y_t\|^2\right)
  - \log T - \tfrac D2 \log 2\pi + \tfrac D2 \log\tau.$$

For a classifier it is the log of the mean over passes of the probability of the true class. Where every pass gives the
log-variance $s_t$ of each output too, its Gaussian has that variance, and there is no tau.

References:
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep
    Learning. ICML. https://arxiv.org/abs/1506.02142 (eq. 8).
    Kendall, A. and Gal, Y. (2017). What Uncertainties Do We Need in Bayesian Deep Learning for Computer Vision?
    NeurIPS. https://arxiv.org/abs/1703.04977 (the Gaussian of a pass: eq. 8).
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mcdrop.errors import InputError
from mcdrop.precision.noise import check_tau

__all__ = ["LARGEST", "LogLikelihood", "SquaredErrors", "predictive_log_likelihood"]

Floats = NDArray[np.float64]

LARGEST = 1e100
"""Numbers up to here have squares and sums that are finite."""


def predictive_log_likelihood(samples: ArrayLike | Tensor, y: ArrayLike | Tensor, *, tau: float) -> Floats:
    """Return the log-likelihood of every observation under the mixture of the passes.

    For passes that are at hand; `MCDropout.log_likelihood` gives the same without keeping them.

    Args:
        samples: Outputs of the passes, shape (T, N, D) or (T, N), in units of y.
        y: Observations, shape (N, D) or (N,).
        tau: Model precision in units of 1/y².

    Returns:
        Shape (N,), in nats: the density of a point's D outputs together.

    Raises:
        InputError: If the shapes do not fit, values are not finite, tau is not above 0, or the result has no finite
            logarithm.

    Example:
        >>> predictive_log_likelihood([[0.0], [2.0]], [0.0], tau=1.0).round(4)  # of two passes, at one point
        array([-1.4852])
    """
    check_tau(tau)
    passes, truth = _tensor("samples", samples), _tensor("y", y)
    if passes.dim() < 2 or 0 in passes.shape:
        raise InputError(
            "samples must hold passes, points and maybe outputs, shape (T, N) or (T, N, D), got "
            f"{tuple(passes.shape)}; "
            "predict with keep_samples=True to have them"
        )
    values = np.asarray(LogLikelihood.of(passes, truth, tau).value.numpy())
    if not np.isfinite(values).all():
        raise InputError(f"tau must fit the units of y, got {tau:g}, for which the log-likelihood is not finite")
    return values


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """How likely the truth is under the passes seen so far, at every point, and for every tau asked about.

    Attributes:
        count: Number of passes.
        log_sum: Log of the sum over passes of the likelihood, shape (n,), or (G, n) for G taus, float64.
    """

    count: int
    log_sum: Tensor

    @classmethod
    def of(cls, outputs: Tensor, y: Tensor, tau: float | Floats) -> Self:
        """Return the Gaussian log-likelihood under several passes.

        Args:
            outputs: The passes, shape (C, n, ...).
            y: The truth at these points, shape (n, ...).
            tau: Model precision, one or a grid of shape (G,), in units of 1/y².

        Raises:
            InputError: If y has not the shape of the outputs.
        """
        errors, dimensions = _squared_errors(outputs, y)
        taus = torch.as_tensor(tau, dtype=torch.float64)
        least = errors.amin(dim=0)
        excess = errors - least  # so that the nearest pass adds exp(0) = 1, and no sum underflows
        sums = [  # one tau after the other, so that memory is that of the errors and not G times as much
            (excess * (-0.5 * t)).exp_().sum(dim=0).log()
            - 0.5 * t * least
            + 0.5 * dimensions * (math.log(t) - math.log(2 * math.pi))  # t / 2 pi may be 0
            for t in taus.flatten().tolist()
        ]
        return cls(len(errors), torch.stack(sums).reshape(*taus.shape, errors.shape[1]))

    @classmethod
    def of_gaussians(cls, outputs: Tensor, y: Tensor) -> Self:
        """Return the log-likelihood under several passes that each know their own noise.

        Args:
            outputs: The passes, shape (C, n, 2, ...), mean and log-variance on axis 2.
            y: The truth at these points, shape (n, ...).

        Raises:
            InputError: If y has not the shape of the means.
        """
        mean, log_variance = outputs.detach().to("cpu", torch.float64).unbind(2)
        standard = (mean - _aligned(y, mean.shape[1:])) * (-0.5 * log_variance).exp()  # a square root underflows later
        log_density = -0.5 * (standard.square() + log_variance + math.log(2 * math.pi))
        sums = log_density.reshape(*mean.shape[:2], -1).sum(dim=2)
        finite = (mean.isfinite() & log_variance.isfinite()).reshape(*mean.shape[:2], -1).all(dim=2)
        return cls(len(mean), torch.logsumexp(torch.where(finite, sums, math.nan), dim=0))

    @classmethod
    def of_labels(cls, logits: Tensor, labels: Tensor) -> Self:
        """Return the log-likelihood of the true classes under several passes.

        Args:
            logits: Softmax inputs of the passes, shape (C, n, ..., K).
            labels: The true classes, whole numbers from 0 to K - 1, shape (n, ...).

        Raises:
            InputError: If there is no label for each prediction, or no class with such a number.
        """
        wide = logits.detach().to("cpu", torch.float64)
        truth, classes = _aligned(labels, wide.shape[1:-1]), wide.shape[-1]
        unknown = truth[(truth < 0) | (truth >= classes)]
        if len(unknown):
            raise InputError(
                f"y must hold class numbers from 0 to {classes - 1}, got {unknown[0]}; "
                "number the classes in the order of the net's outputs"
            )
        log_probs = wide.log_softmax(dim=-1)
        index = truth.expand(log_probs.shape[:-1]).unsqueeze(-1)
        return cls(len(wide), torch.logsumexp(log_probs.gather(-1, index).squeeze(-1), dim=0))

    def merge(self, other: Self) -> Self:
        """Return the log-likelihood under the passes of both parts."""
        return type(self)(self.count + other.count, torch.logaddexp(self.log_sum, other.log_sum))

    @property
    def value(self) -> Tensor:
        """Log of the mean likelihood over the passes, in nats, in the shape of `log_sum`."""
        return self.log_sum - math.log(self.count)


@dataclass(frozen=True, slots=True)
class SquaredErrors:
    """Squared distances between the truth and the passes seen so far.

    Attributes:
        count: Number of passes.
        total: Their sum over passes, shape (n,), float64, in units of y².
        least: The smallest of them, shape (n,).
        outputs: Number of outputs D that a distance goes over.
    """

    count: int
    total: Tensor
    least: Tensor
    outputs: int

    @classmethod
    def of(cls, outputs: Tensor, y: Tensor) -> Self:
        """Return the squared errors of passes of shape (C, n, ...) against the truth, shape (n, ...).

        Raises:
            InputError: If y has not the shape of the outputs.
        """
        errors, dimensions = _squared_errors(outputs, y)
        return cls(len(errors), errors.sum(dim=0), errors.amin(dim=0), dimensions)

    def merge(self, other: Self) -> Self:
        """Return the squared errors of both parts together."""
        least = torch.minimum(self.least, other.least)
        return type(self)(self.count + other.count, self.total + other.total, least, self.outputs)


def _squared_errors(outputs: Tensor, y: Tensor) -> tuple[Tensor, int]:
    """Return the squared distances, shape (C, n), NaN where an output is not finite, and the number of outputs D."""
    wide = outputs.detach().to("cpu", torch.float64)
    truth = _aligned(y, wide.shape[1:])
    errors = (wide - truth).square().reshape(*wide.shape[:2], -1)
    total = errors.sum(dim=2)
    return torch.where(total.isfinite(), total, math.nan), errors.shape[2]


def _aligned(y: Tensor, shape: torch.Size) -> Tensor:
    """Return the truth in the shape of the predictions; (n,) and (n, 1) are the same."""
    if {y.shape[1:], shape[1:]} <= {torch.Size([]), torch.Size([1])} and y.shape[:1] == shape[:1]:
        return y.reshape(shape)
    if y.shape != shape:
        raise InputError(
            f"y must have the predictions' shape, {tuple(shape)} for these rows, got {tuple(y.shape)}; "
            "give one value per output, or one class number per prediction"
        )
    return y


def _tensor(name: str, values: ArrayLike | Tensor) -> Tensor:
    try:
        given = values
        if isinstance(given, Tensor):  # NumPy does not know every floating type of torch
            floating = given.is_floating_point()
            given = given.detach().to("cpu", torch.float64 if floating else given.dtype).numpy()
        plain = np.asarray(given)
        if plain.dtype.kind not in "biuf":
            raise TypeError(f"dtype {plain.dtype}; convert it with numpy.asarray({name}, dtype=float)")
        array = np.require(plain, np.float64, "W")  # torch warns about arrays that are read-only
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers, got {type(values).__name__}: {error}") from error
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite, got NaN or infinity; drop or fill these points")
    if array.size and np.abs(array).max() > LARGEST:
        raise InputError(f"{name} must lie within {LARGEST:g} of 0, got {array.min():g} to {array.max():g}; rescale it")
    return torch.from_numpy(array)
