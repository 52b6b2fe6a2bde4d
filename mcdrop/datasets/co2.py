r"""The tutorial's carbon dioxide record, with its trend and scales taken out so that they can be put back.

It is modeled the way Gal & Ghahramani do: a quadratic trend is taken out and both axes are standardized. With $t$ the
time in years and $c$ the concentration in ppm,

$$x = \frac{t - m}{s}, \qquad y = \frac{c - (a + b x + d x^2)}{r},$$

where all six constants come from the training months alone, so nothing leaks back from the future.

References:
    Keeling, C.D. and Whorf, T.P. (2004). Atmospheric CO2 concentrations derived from flask air samples at
    sites in the SIO network. In Trends: A Compendium of Data on Global Change. CDIAC, Oak Ridge.
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model
    Uncertainty in Deep Learning. ICML. https://arxiv.org/abs/1506.02142 (section 5.1).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.datasets.files import bundled, read_hdf5
from mcdrop.errors import DataError, InputError

__all__ = ["CO2", "Standardizer", "load_co2"]

Floats = NDArray[np.float64]

CO2_KEYS = ("decimal_year", "co2_ppm", "interpolated")
SEED_KEYS = ("data", "label")


@dataclass(frozen=True, slots=True)
class Standardizer:
    r"""The way from years and ppm to standardized x and y, and back.

    Attributes:
        year_mean: Mean training time $m$, in decimal years.
        year_std: Standard deviation of training time $s$, in years.
        trend: Coefficients $(a, b, d)$ of the quadratic trend in x, in ppm.
        ppm_std: Standard deviation $r$ of the training residuals around the trend, in ppm.
    """

    year_mean: float
    year_std: float
    trend: tuple[float, float, float]
    ppm_std: float

    @classmethod
    def fit(cls, year: ArrayLike, ppm: ArrayLike) -> "Standardizer":
        """Fit trend and scales by least squares.

        Args:
            year: Training times in decimal years, any shape.
            ppm: Training concentrations in ppm, same shape.

        Raises:
            InputError: If there are fewer than 4 distinct times, or nothing is left once the trend is out.
        """
        years, values = np.ravel(np.asarray(year, np.float64)), np.ravel(np.asarray(ppm, np.float64))
        if years.shape != values.shape or len(np.unique(years)) < 4:
            raise InputError(
                f"a quadratic trend and a spread need 4 distinct times with one value each, got "
                f"{len(np.unique(years))} times and {values.size} values; give more training months"
            )
        mean, std = float(years.mean()), float(years.std())
        powers = np.vander((years - mean) / std, 3, increasing=True)
        trend = np.linalg.lstsq(powers, values, rcond=None)[0]
        spread = float((values - powers @ trend).std())
        if not spread > 1e-9 * float(np.abs(values).max()):
            raise InputError(
                f"expected values that vary around their trend, got a residual spread of {spread:.1e} ppm; "
                "check that ppm holds the measured concentrations"
            )
        return cls(mean, std, (float(trend[0]), float(trend[1]), float(trend[2])), spread)

    def to_x(self, year: ArrayLike) -> Floats:
        """Turn decimal years into standardized time."""
        return np.asarray((np.asarray(year, np.float64) - self.year_mean) / self.year_std)

    def to_year(self, x: ArrayLike) -> Floats:
        """Turn standardized time into decimal years."""
        return np.asarray(np.asarray(x, np.float64) * self.year_std + self.year_mean)

    def trend_ppm(self, x: ArrayLike) -> Floats:
        """Return the quadratic trend at standardized times, in ppm."""
        time = np.asarray(x, np.float64)
        constant, slope, curvature = self.trend
        return np.asarray(constant + time * (slope + time * curvature))

    def to_y(self, x: ArrayLike, ppm: ArrayLike) -> Floats:
        """Turn concentrations in ppm at standardized times into standardized values."""
        return np.asarray((np.asarray(ppm, np.float64) - self.trend_ppm(x)) / self.ppm_std)

    def to_ppm(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Turn standardized values at standardized times into concentrations in ppm.

        A stack of passes, shape (T, N, 1), is undone in one call: x broadcasts against y.
        """
        return np.asarray(np.asarray(y, np.float64) * self.ppm_std + self.trend_ppm(x))

    def std_to_ppm(self, std: ArrayLike) -> Floats:
        """Turn standard deviations of y into ppm: the scale alone, since the trend is known."""
        return np.asarray(np.asarray(std, np.float64) * self.ppm_std)


@dataclass(frozen=True, slots=True)
class CO2:
    """Monthly carbon dioxide at Mauna Loa: a training part, and the truth to extrapolate to.

    Attributes:
        x: Standardized training times, shape (N, 1): mean 0, standard deviation 1.
        y: Standardized detrended training concentrations, shape (N, 1): mean 0, standard deviation 1.
        x_future: Times after training in the units of x, shape (M, 1).
        y_future: Concentrations after training in the units of y, shape (M, 1).
        interpolated: True for the training months that were never measured, shape (N,).
        interpolated_future: The same for the months after training, shape (M,).
        standardizer: The way back to years and ppm; None for a file that came standardized already.
    """

    x: Floats
    y: Floats
    x_future: Floats
    y_future: Floats
    interpolated: NDArray[np.bool_]
    interpolated_future: NDArray[np.bool_]
    standardizer: Standardizer | None

    @property
    def scale(self) -> Standardizer:
        """The standardizer.

        Raises:
            InputError: If the file came standardized, so that years and ppm are not known.
        """
        if self.standardizer is None:
            raise InputError(
                "years and ppm need a record with a calendar, got a file of standardized `data` and `label`; "
                "stay in standardized units, or load a file with decimal_year and co2_ppm"
            )
        return self.standardizer

    @property
    def year(self) -> Floats:
        """Training times in decimal years, shape (N, 1); InputError where there is no calendar."""
        return self.scale.to_year(self.x)

    @property
    def ppm(self) -> Floats:
        """Training concentrations in ppm, shape (N, 1); InputError where there is no calendar."""
        return self.scale.to_ppm(self.x, self.y)

    @property
    def year_future(self) -> Floats:
        """Times after training in decimal years, shape (M, 1); InputError where there is no calendar."""
        return self.scale.to_year(self.x_future)

    @property
    def ppm_future(self) -> Floats:
        """Concentrations after training in ppm, shape (M, 1); InputError where there is no calendar."""
        return self.scale.to_ppm(self.x_future, self.y_future)


def load_co2(path: str | Path | None = None, *, train_months: int = 272) -> CO2:
    """Load the carbon dioxide record, detrended and standardized on its training months.

    Args:
        path: An HDF5 file. Either with `decimal_year`, `co2_ppm` and `interpolated`, each of shape (M,),
            or in the tutorial's format: `data` and `label`, each of shape (N, 1), standardized already,
            all of it for training. Default: the record that comes with mcdrop, March 1958 to December 2001.
        train_months: How many months to train on; the rest is the future. Ignored in the tutorial's format.

    Returns:
        Training data and future truth. By default 272 and 254 months; x spans -1.73 to 1.73, then up to 4.96.

    Raises:
        DataError: If the file is missing, damaged, wrongly keyed or wrongly shaped, or in the tutorial's format and
            not standardized.
        InputError: If `train_months` is below 4 or above the number of months.

    Example:
        >>> data = load_co2()
        >>> data.x.shape, data.x_future.shape
        ((272, 1), (254, 1))
        >>> round(float(data.ppm[0, 0]), 1)
        316.1
    """
    file = bundled("co2.h5") if path is None else Path(path)
    arrays = read_hdf5(file, CO2_KEYS, SEED_KEYS)
    for key, array in arrays.items():
        _check_column(file, key, array)
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{key}: {len(array)}" for key, array in arrays.items())
        raise DataError(f"{file}: expected columns of one length, got {lengths}; write the file again")
    if "label" in arrays:
        x, y = (arrays[key].astype(np.float64) for key in SEED_KEYS)
        _check_standardized(file, x, y)
        none = np.empty((0, 1))
        return CO2(x, y, none, none, np.zeros(len(x), bool), np.zeros(0, bool), None)
    year, ppm = (arrays[key].astype(np.float64)[:, None] for key in CO2_KEYS[:2])
    return _split_co2(file, year, ppm, arrays["interpolated"].astype(bool), train_months)


def _split_co2(file: Path, year: Floats, ppm: Floats, filled: NDArray[np.bool_], months: int) -> CO2:
    """Standardize a record on its first months and call the rest the future."""
    if not np.all(np.diff(year[:, 0]) > 0):
        raise DataError(f"{file}: expected decimal_year to grow from row to row, got a step back; sort the rows")
    if not isinstance(months, int | np.integer) or not 4 <= months <= len(year):
        raise InputError(
            f"train_months must be 4 to {len(year)}, the months in {file.name}, got {months!r}; "
            "leave some for the future"
        )
    try:
        scale = Standardizer.fit(year[:months], ppm[:months])
    except InputError as error:  # the caller gave a file, not these arrays
        raise DataError(f"{file}: {error}") from error
    x = scale.to_x(year)
    y = scale.to_y(x, ppm)
    return CO2(x[:months], y[:months], x[months:], y[months:], filled[:months], filled[months:], scale)


def _check_standardized(path: Path, x: Floats, y: Floats) -> None:
    """Refuse a training set in the tutorial's format that the tutorial's grid and priors cannot serve."""
    if (count := len(np.unique(x))) < 4:
        raise DataError(f"{path}: expected at least 4 distinct values in data, got {count}; give more training months")
    if x.min() < -3 or x.max() > 3.5:
        raise DataError(
            f"{path}: expected standardized data (mean 0, standard deviation 1, within -3 to 3.5), "
            f"got {x.min():g} to {x.max():g}; standardize it"
        )
    if np.ptp(y) == 0:
        raise DataError(f"{path}: expected label to vary, got {y.flat[0]:g} throughout; check the values")
    if np.abs(y).max() > 1e6:
        raise DataError(
            f"{path}: expected standardized label (mean 0, standard deviation 1), got values up to "
            f"{np.abs(y).max():g}; standardize it"
        )


def _check_column(path: Path, key: str, array: NDArray[Any]) -> None:
    """Refuse a column that is empty, not finite numbers, or of another shape."""
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path}: expected numbers in {key}, got {array.dtype}; write the column as numbers")
    axes, wanted = (2, "(N, 1)") if key in SEED_KEYS else (1, "(N,)")
    if array.ndim != axes or array.size == 0 or array.size != len(array):
        raise DataError(f"{path}: expected {key} of shape {wanted}, got {array.shape}; write it in that shape")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise DataError(f"{path}: expected finite numbers in {key}, got {bad} NaN or infinite; fill or drop them")
