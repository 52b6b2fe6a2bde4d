"""Images as arrays: upright, in one mode and size, scaled to [0, 1] and standardized."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mcdrop.arguments import check_choice, check_count
from mcdrop.errors import DependencyError, InputError

__all__ = ["ImageOptions", "read_image"]

_Mode = Literal["RGB", "L"]


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How images become inputs of the net.

    Attributes:
        size: Height and width (H, W) in pixels that every image is resized to; None where all have one size already.
        mode: "RGB" for three channels, "L" for one of gray levels.
        mean: Is subtracted, one number for each channel, in units of the range [0, 1]; None for nothing.
        std: Is divided by after that, likewise.

    Raises:
        InputError: If one of them is not that.

    Example:
        >>> ImageOptions(size=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)).channels
        3
    """

    size: tuple[int, int] | None = None
    mode: _Mode = "RGB"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, _Mode)
        if self.size is not None:
            if not isinstance(self.size, tuple | list) or len(self.size) != 2:
                raise InputError(
                    f"size must be a height and a width in pixels, got {self.size!r}; for example (32, 32)"
                )
            for pixels in self.size:
                check_count("size", pixels, least=1, why="a height or a width in pixels")
            object.__setattr__(self, "size", tuple(map(int, self.size)))
        for name in ("mean", "std"):
            object.__setattr__(self, name, self._numbers(name, getattr(self, name)))

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return 3 if self.mode == "RGB" else 1

    def _numbers(self, name: str, given: object) -> tuple[float, ...] | None:
        if given is None:
            return None
        numbers = tuple(given) if isinstance(given, tuple | list) else ()
        fine = len(numbers) == self.channels and all(
            isinstance(number, int | float | np.number) and math.isfinite(number) and (name == "mean" or number > 0)
            for number in numbers
        )
        if not fine:
            kind = "finite" if name == "mean" else "positive"
            raise InputError(
                f"{name} must be {self.channels} {kind} number{'s' * (self.channels > 1)}, one for each channel of "
                f"{self.mode}, got {given!r}; images are scaled to [0, 1] before"
            )
        return tuple(float(number) for number in numbers)


def read_image(path: Path, options: ImageOptions) -> NDArray[np.float32]:
    """Read an image file; of an animated or a paged one, the first picture.

    The camera's note on which side is up is obeyed. Transparency is left out. Gray levels of 16 bits keep their depth.

    Args:
        path: The file.
        options: Mode, size, mean and standard deviation.

    Returns:
        Shape (C, H, W), in [0, 1] where nothing is subtracted or divided by.

    Raises:
        DependencyError: If Pillow is not installed.
        ValueError: If the range of its pixels is not known.
        Exception: Whatever Pillow raises of damaged files.
    """
    image_module, operations = _pillow()
    with image_module.open(path) as file:
        image = operations.exif_transpose(file)
    scale = np.float32(255)
    if image.mode.startswith("I;16"):
        image, scale = image_module.fromarray(np.asarray(image).astype(np.float32)), np.float32(65535)
    elif image.mode in ("I", "F"):
        raise ValueError("its pixels are of 32 bits, of which nobody knows what is white; save it with 8 or 16")
    else:
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")  # what Pillow wants before any other mode
        image = image.convert(options.mode)
    if options.size is not None and image.size != options.size[::-1]:
        image = image.resize(options.size[::-1], image_module.Resampling.BILINEAR)
    pixels = np.atleast_3d(np.asarray(image, dtype=np.float32) / scale).transpose(2, 0, 1)
    array = np.array(np.broadcast_to(pixels, (options.channels, *pixels.shape[1:])), order="C")
    if options.mean is not None:
        array -= np.array(options.mean, np.float32)[:, None, None]
    if options.std is not None:
        array /= np.array(options.std, np.float32)[:, None, None]
    return array


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise DependencyError("images need Pillow, which is not installed; pip install pillow") from error
    return Image, ImageOps
