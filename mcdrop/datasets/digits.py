"""The tutorial's handwritten digits, and the rotation it applies to them.

References:
    LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to document
    recognition. Proceedings of the IEEE 86(11). https://doi.org/10.1109/5.726791
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.datasets.files import bundled, read_hdf5
from mcdrop.errors import DataError, InputError

__all__ = ["Digits", "load_digits", "rotate"]

DIGIT_KEYS = ("train/images", "train/labels", "test/images", "test/labels")
IDX_MAGIC = {1: 0x0801, 3: 0x0803}  # 08 is unsigned byte, the last byte counts the dimensions


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
    place = bundled("digits.h5") if root is None else Path(root)
    if not place.exists():
        raise DataError(f"{place}: expected a folder of MNIST files or an HDF5 file, got nothing there; check the path")
    if place.is_dir():
        names = ((stem, part, dims) for stem in ("train", "t10k") for part, dims in (("images", 3), ("labels", 1)))
        paths = [_find_idx(place, *name) for name in names]
        arrays = dict(zip(DIGIT_KEYS, [_read_idx(path) for path in paths], strict=True))
    else:
        arrays = read_hdf5(place, DIGIT_KEYS)
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
