r"""The tutorial's two data sets, and the rotation it applies to digits.

The carbon dioxide record is modeled the way Gal & Ghahramani do: a quadratic trend is taken out and both
axes are standardized. With $t$ the time in years and $c$ the concentration in ppm,

$$x = \frac{t - m}{s}, \qquad y = \frac{c - (a + b x + d x^2)}{r},$$

where all six constants come from the training months alone, so nothing leaks back from the future.

References:
    Keeling, C.D. and Whorf, T.P. (2004). Atmospheric CO2 concentrations derived from flask air samples at
    sites in the SIO network. In Trends: A Compendium of Data on Global Change. CDIAC, Oak Ridge.
    LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to document
    recognition. Proceedings of the IEEE 86(11). https://doi.org/10.1109/5.726791
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model
    Uncertainty in Deep Learning. ICML. https://arxiv.org/abs/1506.02142 (section 5.1).
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.errors import DataError, InputError

__all__ = ["CO2", "Digits", "Standardizer", "load_co2", "load_digits", "rotate"]

Floats = NDArray[np.float64]

CO2_KEYS = ("decimal_year", "co2_ppm", "interpolated")
SEED_KEYS = ("data", "label")
DIGIT_KEYS = ("train/images", "train/labels", "test/images", "test/labels")
IDX_MAGIC = {1: 0x0801, 3: 0x0803}  # 08 is unsigned byte, the last byte counts the dimensions


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


@dataclass(frozen=True, slots=True)
class Digits:
    """Handwritten digits with a fixed split.

    Attributes:
        train_images: Ink from 0 (none) to 1, float32, shape (N, 1, 28, 28).
        train_labels: The digit drawn, int64, shape (N,).
        test_images: As `train_images`, shape (M, 1, 28, 28).
        test_labels: As `train_labels`, shape (M,).
    """

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]


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
        DataError: If the file is missing, damaged, wrongly keyed or wrongly shaped.
        InputError: If `train_months` is below 4 or above the number of months.

    Example:
        >>> data = load_co2()
        >>> data.x.shape, data.x_future.shape
        ((272, 1), (254, 1))
        >>> round(float(data.ppm[0, 0]), 1)
        316.1
    """
    file = _bundled("co2.h5") if path is None else Path(path)
    arrays = _read_hdf5(file, CO2_KEYS, SEED_KEYS)
    for key, array in arrays.items():
        _check_column(file, key, array)
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{key}: {len(array)}" for key, array in arrays.items())
        raise DataError(f"{file}: expected columns of one length, got {lengths}; write the file again")
    if "label" in arrays:
        x, y = (arrays[key].astype(np.float64) for key in SEED_KEYS)
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


def load_digits(root: str | Path | None = None) -> Digits:
    """Load handwritten digits, scaled to [0, 1].

    Args:
        root: A folder with the four original MNIST files (`train-images-idx3-ubyte`,
            `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`), plain or
            gzipped; or an HDF5 file laid out like the one that comes with mcdrop, which is the default:
            4,000 training and 1,000 test digits, the same number of each class.

    Returns:
        Images as float32 of shape (N, 1, 28, 28) and labels as int64 of shape (N,), for both parts.

    Raises:
        DataError: If a file is missing, damaged, wrongly keyed or wrongly shaped, or a label is not 0 to 9.

    Example:
        >>> digits = load_digits()
        >>> digits.train_images.shape, digits.test_images.shape
        ((4000, 1, 28, 28), (1000, 1, 28, 28))
    """
    place = _bundled("digits.h5") if root is None else Path(root)
    if not place.exists():
        raise DataError(f"{place}: expected a folder of MNIST files or an HDF5 file, got nothing there; check the path")
    if place.is_dir():
        names = ((stem, part, dims) for stem in ("train", "t10k") for part, dims in (("images", 3), ("labels", 1)))
        paths = [_find_idx(place, *name) for name in names]
        arrays = dict(zip(DIGIT_KEYS, [_read_idx(path) for path in paths], strict=True))
    else:
        arrays = _read_hdf5(place, DIGIT_KEYS)
    train = _check_digits(place, "train", arrays["train/images"], arrays["train/labels"])
    return Digits(*train, *_check_digits(place, "test", arrays["test/images"], arrays["test/labels"]))


def rotate(image: ArrayLike, degrees: ArrayLike) -> NDArray[np.floating]:
    """Rotate images counterclockwise about their center, keeping their size: `scipy.ndimage.rotate`.

    Cubic splines fill the new grid, so gray levels can overshoot the range of the input by a few percent,
    and what turns in from outside is 0. Both are as in the tutorial; nothing is clipped.

    Args:
        image: Gray levels, shape (..., H, W); all but float32 and float64 are turned into float32 first.
        degrees: One angle, or a sequence of A angles, in degrees.

    Returns:
        Shape (..., H, W) for one angle, (A, ..., H, W) for a sequence; float32 or float64 like the input.

    Raises:
        InputError: If the image has fewer than two axes, is empty or not finite, or an angle is not a
            finite number.

    Example:
        >>> sweep = rotate(load_digits().test_images[1], range(50, 130, 7))
        >>> sweep.shape
        (12, 1, 28, 28)
    """
    from scipy import ndimage

    pixels, angles = np.asarray(image), np.asarray(degrees)
    if pixels.dtype.kind in "biuf" and pixels.dtype not in (np.float32, np.float64):
        pixels = pixels.astype(np.float32)
    if pixels.ndim < 2 or pixels.size == 0 or pixels.dtype.kind != "f" or not np.isfinite(pixels).all():
        raise InputError(
            f"image must be finite gray levels of shape (..., H, W), got {pixels.dtype} of shape "
            f"{pixels.shape}; add the missing axes or clean the values"
        )
    if angles.ndim > 1 or angles.size == 0 or angles.dtype.kind not in "iuf" or not np.isfinite(angles).all():
        raise InputError(f"degrees must be one finite angle or a sequence of them, got {degrees!r}; use 0 to 360")
    turned = [ndimage.rotate(pixels, float(a), axes=(-1, -2), reshape=False) for a in np.ravel(angles)]
    return np.asarray(turned[0] if angles.ndim == 0 else np.stack(turned))


def _bundled(name: str) -> Path:
    """Find a file that comes with mcdrop: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    places = [package / "data" / name, package.parent / "data" / name]
    for place in places:
        if place.is_file():
            return place
    raise DataError(f"expected {name} at {places[0]} or {places[1]}, got neither; reinstall mcdrop")


def _read_hdf5(path: Path, *layouts: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read the data sets of the first layout whose names are all there."""
    import h5py

    expected = " or ".join(f"data sets {', '.join(names)}" for names in layouts)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: expected an HDF5 file with {expected}, got {what}; check the path")
    present: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: present.append(name) if isinstance(item, h5py.Dataset) else None)
            for names in layouts:
                if set(names) <= set(present):
                    return {name: np.asarray(file[name][()]) for name in names}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: expected a readable HDF5 file, got: {reason}; fetch or make it again") from error
    found = ", ".join(sorted(map(str, present))[:8]) or "none"
    raise DataError(f"{path}: expected {expected}, got {found}; rename or write the missing ones")


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


def _find_idx(root: Path, stem: str, part: str, dims: int) -> Path:
    """Find one MNIST file under any of its usual names."""
    names = [f"{stem}-{part}{dot}idx{dims}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
    for name in names:
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root}: expected {names[0]} (or {', '.join(names[1:])}), got none of them; add the file")


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or gzipped (told by content, not by name)."""
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a readable IDX file, got: {error}; fetch it again") from error
    dims = 3 if "idx3" in path.name else 1
    start = 4 + 4 * dims
    magic = int.from_bytes(raw[:4], "big")
    if len(raw) < start or magic != IDX_MAGIC[dims]:
        got = f"{len(raw)} bytes starting with {raw[:4].hex() or 'nothing'}"
        raise DataError(f"{path}: expected the IDX magic {IDX_MAGIC[dims]:08x}, got {got}; fetch the file again")
    shape = tuple(int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4))
    if len(raw) - start != math.prod(shape):
        raise DataError(
            f"{path}: expected {math.prod(shape)} bytes of data for shape {shape}, got {len(raw) - start}; "
            "fetch the file again"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _check_digits(
    path: Path, part: str, images: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Refuse digits that are not 28x28 bytes with one label 0 to 9 each, then scale them to [0, 1]."""
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28) or len(images) == 0:
        raise DataError(
            f"{path}: expected {part} images as bytes of shape (N, 28, 28), got {images.dtype} of shape "
            f"{images.shape}; check that this is MNIST"
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise DataError(
            f"{path}: expected {len(images)} {part} labels, one integer per image, got {labels.dtype} of "
            f"shape {labels.shape}; check that images and labels belong together"
        )
    if labels.min() < 0 or labels.max() > 9:
        raise DataError(
            f"{path}: expected {part} labels 0 to 9, got {labels.min()} to {labels.max()}; check that this is MNIST"
        )
    return (images.astype(np.float32) / np.float32(255))[:, None], labels.astype(np.int64)
