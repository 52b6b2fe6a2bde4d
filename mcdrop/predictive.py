r"""The result types: what T passes say about N points.

References:
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model
    Uncertainty in Deep Learning. ICML. https://arxiv.org/abs/1506.02142 (predictive moments: eq. 6-7).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop import measures
from mcdrop.errors import InputError

__all__ = ["ClassificationPredictive", "RegressionPredictive"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RegressionPredictive:
    """Mean and spread of a regression model at N points.

    Attributes:
        mean: Predictive mean, shape (N, D) or whatever trailing shape the net gives, in units of y.
        std: Epistemic standard deviation (spread between passes), same shape and units.
            Unbiased variance, that is divided by T - 1.
        passes: Number of Monte Carlo passes T, or None for a closed form such as a Gaussian process.
        noise_std: Observation noise (a standard deviation) where the model knows it, broadcastable to `mean`.
        samples: The passes themselves, shape (T, N, D), if they were kept.
    """

    mean: Floats
    std: Floats
    passes: int | None = None
    noise_std: float | Floats | None = None
    samples: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        if self.mean.shape != self.std.shape:
            raise InputError(
                f"mean and std must have one shape, got {self.mean.shape} and {self.std.shape}; "
                "give one standard deviation per predicted value"
            )

    def __len__(self) -> int:
        """Return the number of points N."""
        return len(self.mean)

    @property
    def mcse(self) -> Floats:
        r"""Monte Carlo standard error of the mean, $\mathrm{std} / \sqrt{T}$; zero for a closed form."""
        return np.zeros_like(self.std) if self.passes is None else self.std / np.sqrt(self.passes)

    def total_std(self, noise_std: ArrayLike | None = None) -> Floats:
        r"""Return the standard deviation of a new observation, $\sqrt{\mathrm{std}^2 + \sigma^2}$.

        Args:
            noise_std: Observation noise $\sigma$ in units of y, broadcastable to `mean`.
                Default: the model's own `noise_std`.

        Raises:
            InputError: If no noise is given and the model knows none, or it is negative.
        """
        noise = self.noise_std if noise_std is None else noise_std
        if noise is None:
            raise InputError(
                "total_std needs the observation noise and this model does not know it; "
                "pass noise_std=... in units of y (dropout itself gives the epistemic part only: `.std`)"
            )
        sigma = _floats("noise_std", noise)
        if not np.all(sigma >= 0):
            raise InputError(f"noise_std must be >= 0, got {sigma.min():g} among its values; give it in units of y")
        try:
            sigma = np.broadcast_to(sigma, self.std.shape)
        except ValueError as error:
            raise InputError(
                f"noise_std must broadcast to the mean's shape {self.std.shape}, got shape {sigma.shape}; "
                "give one number, or one per predicted value"
            ) from error
        return np.sqrt(self.std**2 + sigma**2)

    def quantile(self, q: ArrayLike, *, noise_std: ArrayLike | None = None) -> Floats:
        """Return predictive quantiles.

        Of the passes themselves where they were kept and no noise is asked for; otherwise of the Gaussian
        with the predictive mean and standard deviation (moment matching, Gal & Ghahramani 2016, section 4).

        Args:
            q: Probability or probabilities in [0, 1].
            noise_std: Observation noise to include, in units of y. Default: none, the spread of the function.

        Returns:
            Shape `q.shape + mean.shape`, in units of y.

        Raises:
            InputError: If a probability lies outside [0, 1].
        """
        level = _floats("q", q)
        if not np.all((level >= 0) & (level <= 1)):
            raise InputError(f"q must lie in [0, 1], got {q!r}; for the median pass 0.5")
        if self.samples is not None and noise_std is None:
            return np.quantile(self.samples.astype(np.float64), level, axis=0)
        from scipy.special import ndtri

        std = self.std if noise_std is None else self.total_std(noise_std)
        z = ndtri(level).reshape(level.shape + (1,) * self.mean.ndim)
        return self.mean + np.where(std > 0, z, 0.0) * std  # 0 * inf at q = 0 or 1 would be NaN

    def interval(self, level: float = 0.95, *, noise_std: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """Return the central interval that holds `level` of the predictive mass.

        Like `quantile`: of the passes where they were kept, else of the Gaussian with their mean and spread.

        Args:
            level: Probability inside, in (0, 1).
            noise_std: Observation noise to include, in units of y (see `quantile`).

        Returns:
            Lower and upper ends, each in the shape and units of `mean`.

        Raises:
            InputError: If `level` lies outside (0, 1).
        """
        if not isinstance(level, float | int | np.number) or not 0 < level < 1:
            raise InputError(f"level must lie strictly between 0 and 1, got {level!r}; for 95% pass 0.95")
        lower, upper = self.quantile([(1 - level) / 2, (1 + level) / 2], noise_std=noise_std)
        return lower, upper


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
    """

    probs: Floats
    probs_std: Floats
    logit_mean: Floats
    logit_std: Floats
    votes: NDArray[np.int64]
    expected_entropy: Floats
    passes: int
    samples: NDArray[np.floating] | None = None

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


def _floats(name: str, values: ArrayLike) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number or an array of numbers, got {values!r}") from error
