r"""Tau and the observation noise, two words for one thing: $\tau = \sigma^{-2}$."""

import math
import sys
from typing import Any

import numpy as np

from mcdrop.errors import InputError

__all__ = ["check_positive", "check_tau", "noise_std_from_tau", "one_tau", "tau_from_noise_std"]

_LEAST = 1e-150  # the square of less is no normal number


def noise_std_from_tau(tau: float) -> float:
    r"""Return the observation noise $\tau^{-1/2}$ in units of y.

    Raises:
        InputError: If tau is not above 0.
    """
    check_tau(tau)
    return 1.0 / math.sqrt(tau)


def tau_from_noise_std(noise_std: float) -> float:
    r"""Return the model precision $\sigma^{-2}$ in units of 1/y².

    Raises:
        InputError: If the noise is not above 0.
    """
    check_positive("noise_std", noise_std, "without noise the likelihood is infinite or zero")
    if not _LEAST < noise_std < 1 / _LEAST:
        raise InputError(f"noise_std must lie in ({_LEAST:g}, {1 / _LEAST:g}), got {noise_std:g}; choose another unit")
    return 1.0 / float(noise_std) ** 2


def check_positive(name: str, value: object, why: str) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        InputError: Naming the argument and why it must be one.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    plain: Any = float(value) if isinstance(value, np.floating) else value  # an integer may be too large for a float
    if not number or not 0 < plain <= sys.float_info.max:
        raise InputError(f"{name} must be a finite number above 0 ({why}), got {value!r}")


def check_tau(tau: object) -> None:
    """Refuse what is no model precision.

    Raises:
        InputError: If it is not a finite number above 0.
    """
    check_positive("tau", tau, "it is one over the noise variance")


def one_tau(tau: float | None, noise_std: float | None) -> float:
    """Return tau from whichever of the two was given.

    Args:
        tau: Model precision in units of 1/y², or None.
        noise_std: Observation noise in units of y, or None.

    Raises:
        InputError: If both or neither were given, or the number is not above 0.
    """
    if tau is not None and noise_std is None:
        check_tau(tau)
        return float(tau)
    if noise_std is not None and tau is None:
        return tau_from_noise_std(noise_std)
    raise InputError(
        f"the log-likelihood needs either tau or noise_std, got {'neither' if tau is None else 'both'}; "
        "MCDropout.fit_precision finds tau on held-out data, mcdrop.precision.tau_from_weight_decay from the training"
    )
