r"""Predictions of numbers: mean, spread and, if kept, the passes themselves.

References:
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model
    Uncertainty in Deep Learning. ICML. https://arxiv.org/abs/1506.02142 (predictive mean: eq. 6).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop import storage
from mcdrop.errors import DataError, InputError
from mcdrop.predictive.arrays import as_error, as_floats, as_passes, check_samples, per_point, refuse_outside
from mcdrop.predictive.axes import name_axes, pack_passes, stack_passes, unpack_passes, unstack_passes

__all__ = ["RegressionPredictive"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RegressionPredictive:
    """Mean and spread of a regression model at N points.

    Lists, tables and tensors become arrays; arrays of floats are taken as they are, without a copy.

    Attributes:
        mean: Predictive mean, shape (N, D) or whatever trailing shape the net gives, in units of y.
        std: Epistemic standard deviation (spread between passes), same shape and units.
            From the unbiased variance, for independent passes divided by T - 1; of fewer than 50 stratified passes,
            where it cannot be told what they owe each other, up to 2% too large.
        passes: Number of Monte Carlo passes T, one for all points or an array of shape (N,), or None for a closed form
            such as a Gaussian process.
        noise_std: Observation noise (a standard deviation) where the model knows it, broadcastable to `mean`: the
            aleatoric part. Of a heteroscedastic net, the root of the mean of the noise variances of the passes.
        samples: The passes themselves, shape (T, N, D), if they were kept.
        provenance: What made the prediction, as plain data: model, seed, kind of masks, dropout sites.
        mean_error: Monte Carlo standard error of the mean, in the shape and units of `mean`, where it is not that of
            independent passes; `mcse` gives it in any case.
    """

    mean: Floats
    std: Floats
    passes: int | NDArray[np.int64] | None = None
    noise_std: float | Floats | None = None
    samples: NDArray[np.floating] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    mean_error: Floats | None = None

    def __post_init__(self) -> None:
        """Refuse what is no mean and spread, or does not fit together."""
        mean, std = as_floats("mean", self.mean), as_floats("std", self.std)
        if mean.shape != std.shape:
            raise InputError(
                f"mean and std must have one shape, got {mean.shape} and {std.shape}; "
                "give one standard deviation per predicted value"
            )
        refuse_outside("mean", mean, "be finite", advice="leave out the points that the model cannot predict")
        refuse_outside("std", std, "be >= 0 and finite", least=0, advice="give standard deviations in units of y")
        passes = None if self.passes is None else as_passes(self.passes, len(mean) if mean.ndim else 1)
        samples = check_samples(self.samples, passes, reference="mean", shape=mean.shape)
        error = as_error("mean_error", self.mean_error, mean.shape)
        made = {"mean": mean, "std": std, "passes": passes, "samples": samples, "mean_error": error}
        for name, value in made.items():
            object.__setattr__(self, name, value)
        if self.noise_std is not None:
            _noise(self.noise_std, mean.shape)
            if not isinstance(self.noise_std, float | int):
                object.__setattr__(self, "noise_std", as_floats("noise_std", self.noise_std))

    def __len__(self) -> int:
        """Return the number of points N."""
        return len(self.mean)

    @property
    def mcse(self) -> Floats:
        r"""Monte Carlo standard error of the mean, in its shape and units; zero for a closed form.

        That is $\mathrm{std} / \sqrt{T}$ of independent passes. Stratified passes tell it by the spread of the means of
        their blocks of 25, so roughly where there are few: of 100 passes to within about 40% (three degrees of
        freedom), of 1000 to within 11%. Of less than 100 it is that of independent passes, an upper bound.
        """
        if self.mean_error is not None:
            return self.mean_error
        if self.passes is None:
            return np.zeros_like(self.std)
        return np.asarray(self.std / np.sqrt(per_point(self.passes, self.std.ndim)))

    def total_std(self, noise_std: ArrayLike | None = None) -> Floats:
        r"""Return the standard deviation of a new observation, $\sqrt{\mathrm{std}^2 + \sigma^2}$.

        Args:
            noise_std: Observation noise $\sigma$ in units of y, broadcastable to `mean`.
                Default: the model's own `noise_std`.

        Raises:
            InputError: If no noise is given and the model knows none, or it is negative or not finite.
        """
        noise = self.noise_std if noise_std is None else noise_std
        if noise is None:
            raise InputError(
                "total_std needs the observation noise and this model does not know it; "
                "pass noise_std=... in units of y (dropout itself gives the epistemic part only: `.std`)"
            )
        sigma = _noise(noise, self.std.shape)
        return np.asarray(np.hypot(self.std, sigma))  # squares of 1e200 would overflow

    def with_noise(self, noise_std: ArrayLike) -> Self:
        """Return a copy that knows its observation noise.

        Args:
            noise_std: Observation noise, a standard deviation in units of y, broadcastable to `mean`: for a
                dropout net what `mcdrop.precision` finds, or what is known of the instrument.

        Raises:
            InputError: If it is negative, not finite, or does not fit the shape of `mean`.

        Example:
            >>> import numpy as np
            >>> from mcdrop import RegressionPredictive
            >>> RegressionPredictive(np.zeros((2, 1)), np.full((2, 1), 3.0)).with_noise(4.0).total_std().tolist()
            [[5.0], [5.0]]
        """
        sigma = as_floats("noise_std", noise_std).astype(np.float64, copy=False)
        return replace(self, noise_std=sigma if sigma.ndim else float(sigma))

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
        level = as_floats("q", q).astype(np.float64)
        refuse_outside("q", level, "lie in [0, 1]", least=0, most=1, advice="for the median pass 0.5")
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

    def variables(self) -> dict[str, dict[str, storage.Variable]]:
        """Return what a file of this prediction holds, by group and name.

        The group `predictions` holds `mean` and `std`, `mean_error` if there is one, `total_std` where the noise is
        known, and, if kept, `samples` with the passes as the draws of one chain; `predictions_constant_data` the noise
        and the number of passes. What is there for each point has the axis "point".
        """
        axes = name_axes(self.mean.ndim, "output")
        predictions = {
            "mean": storage.Variable(axes, self.mean, "", "predictive mean"),
            "std": storage.Variable(axes, self.std, "", "epistemic standard deviation"),
        }
        if self.mean_error is not None:
            predictions["mean_error"] = storage.Variable(axes, self.mean_error, "", "Monte Carlo standard error")
        if self.samples is not None:
            predictions["samples"] = stack_passes(self.samples, axes, "", "passes")
        constants = {}
        if self.passes is not None:
            constants["passes"] = pack_passes(self.passes)
        if self.noise_std is not None:
            total = storage.Variable(axes, self.total_std(), "", "standard deviation of an observation")
            predictions["total_std"] = total  # for who reads the file elsewhere: it follows from the others
            noise = np.asarray(self.noise_std)
            own = zip(reversed(noise.shape), reversed(self.mean.shape), reversed(axes), strict=False)
            dims = [axis if size == full else f"shared_{axis}" for size, full, axis in own][::-1]
            constants["noise_std"] = storage.Variable(tuple(dims), noise, "", "observation noise")
        return {"predictions": predictions, "predictions_constant_data": constants}

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
        kind = RegressionPredictive.__name__  # a subclass's may be unknown where it is loaded
        return storage.write(path, kind, self.variables(), self.provenance)

    @classmethod
    def from_archive(cls, archive: storage.Archive) -> Self:
        """Make the prediction that was saved; `mcdrop.load` calls this.

        Raises:
            DataError: If something is missing or does not fit.
        """
        constants = archive.groups.get("predictions_constant_data", {})
        noise = constants["noise_std"].values if "noise_std" in constants else None
        error = archive.groups["predictions"].get("mean_error") if "predictions" in archive.groups else None
        try:
            return cls(
                mean=archive.variable("predictions", "mean").values,
                std=archive.variable("predictions", "std").values,
                passes=unpack_passes(constants["passes"]) if "passes" in constants else None,
                noise_std=float(noise) if noise is not None and noise.ndim == 0 else noise,
                samples=unstack_passes(archive),
                provenance=dict(archive.attributes),
                mean_error=None if error is None else error.values,
            )
        except InputError as error:
            raise DataError(f"{archive.path}: expected arrays that fit together, got others: {error}") from error


def _noise(noise_std: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Return observation noise in the shape of the mean, if it can be one."""
    sigma = as_floats("noise_std", noise_std).astype(np.float64, copy=False)
    refuse_outside("noise_std", sigma, "be >= 0 and finite", least=0, advice="give it in units of y")
    try:
        return np.broadcast_to(sigma, shape)
    except ValueError as error:
        raise InputError(
            f"noise_std must broadcast to the mean's shape {shape}, got shape {sigma.shape}; "
            "give one number, or one per predicted value"
        ) from error
