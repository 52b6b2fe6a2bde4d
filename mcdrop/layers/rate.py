"""The rate of a layer, checked where it is set."""

import math
import numbers

from mcdrop.errors import InputError

__all__ = ["check_positive", "check_rate"]


def check_rate(name: str, p: object, *, zero: bool = True, one: bool = True) -> float:
    """Return a dropout rate as a float.

    Args:
        name: What the caller calls it.
        p: The rate, the share of units to drop.
        zero: Whether it may be 0.
        one: Whether it may be 1.

    Raises:
        InputError: If it is no number of that range.
    """
    rate = _number(p)
    if not (0 <= rate <= 1 and (zero or rate > 0) and (one or rate < 1)):
        interval = f"{'[' if zero else '('}0, 1{']' if one else ')'}"
        raise InputError(f"{name} must be a dropout rate in {interval}, got {p!r}; pass the share of units to drop")
    return rate


def check_positive(name: str, value: object, *, advice: str) -> float:
    """Return a number above 0 as a float.

    Args:
        name: What the caller calls it.
        value: The number.
        advice: What to do about a bad one.

    Raises:
        InputError: If it is no finite number above 0.
    """
    number = _number(value)
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{name} must be a number above 0, got {value!r}; {advice}")
    return number


def _number(value: object) -> float:
    """Return a real number as a float, NaN for anything else."""
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
