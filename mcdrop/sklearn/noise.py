"""The noise of observations: what the user says it is, and the rows that it is found by."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop.errors import InputError
from mcdrop.sampler import MCDropout

__all__ = ["check_fitting", "check_noise", "count_held", "find_noise"]

Floats = NDArray[np.float64]


def check_noise(noise_std: object, outputs: int | None = None) -> float | Floats:
    """Return a noise as a number, or one for each output.

    Args:
        noise_std: What was given; None is no noise.
        outputs: How many outputs there are, if that is known.

    Returns:
        A standard deviation in units of y, or of shape (D,).

    Raises:
        InputError: If it is none.
    """
    try:
        noise = np.asarray(0.0 if noise_std is None else noise_std, dtype=np.float64)
    except (TypeError, ValueError):
        noise = np.array(np.nan)
    fits = noise.ndim == 0 or (noise.ndim == 1 and outputs in (None, len(noise)))
    if not (fits and np.isfinite(noise).all() and (noise >= 0).all()):
        number = "" if outputs is None else f" ({outputs})"
        raise InputError(
            f"noise_std must be a standard deviation in units of y, one for each output{number}, None, or in the "
            f"constructor 'fit', got {noise_std!r}; with data to fit it to, "
            "MCDropoutRegressor(net=..., noise_std='fit') does"
        )
    return noise if noise.ndim else float(noise)


def check_fitting(noise_std: object, share: object) -> None:
    """Refuse what no noise could be taken or found by.

    Args:
        noise_std: What was given: a noise, None, or "fit".
        share: Share of the rows to hold out.

    Raises:
        InputError: Naming which of the two is not usable.
    """
    if not isinstance(noise_std, str) or noise_std != "fit":
        check_noise(noise_std)
    if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 < share < 1:
        raise InputError(f"validation_fraction must lie strictly between 0 and 1, got {share!r}; 0.2 is usual")


def count_held(share: float, rows: int) -> int:
    """Return how many rows are held out to find the noise by.

    Args:
        share: Share of the rows.
        rows: Number of rows.

    Returns:
        At least 1, and less than all.

    Raises:
        InputError: If there are too few rows.
    """
    if rows < 2:
        raise InputError(f"noise_std='fit' needs at least 2 rows, one of them to hold out, got {rows}; give a number")
    return min(max(1, round(share * rows)), rows - 1)


def find_noise(net: nn.Module, x: Floats, y: Floats, *, passes: int, seed: int) -> float | Floats:
    """Return the likeliest noise of rows that a net has not seen, for each output its own.

    Args:
        net: Trained on other rows.
        x: Inputs, shape (N, F).
        y: Values, shape (N, D), in the units of the net's outputs.
        passes: Number of stochastic passes.
        seed: What their masks are keyed by.

    Returns:
        A standard deviation in units of y, of several outputs of shape (D,).
    """
    models = [MCDropout(net, output=_Column(place)) for place in range(y.shape[1])]
    found = [
        model.fit_precision(x, y[:, place], passes=passes, seed=seed).noise_std for place, model in enumerate(models)
    ]
    return found[0] if len(found) == 1 else np.array(found)


class _Column:
    """One of a net's outputs."""

    def __init__(self, place: int) -> None:
        """Say which, from 0."""
        self._place = place

    def __call__(self, output: Tensor) -> Tensor:
        """Return the output at that place, shape (N,)."""
        return output.reshape(len(output), -1)[:, self._place]
