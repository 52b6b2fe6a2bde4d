"""Checks of plain arguments: the messages are the same wherever a choice, a count or a device is asked for."""

from typing import Any, get_args

import numpy as np
import torch

from mcdrop.errors import InputError

__all__ = ["check_choice", "check_count", "check_device"]


def check_choice(name: str, value: object, choices: Any) -> None:
    """Refuse a value that is none of the options of a `Literal` type.

    Raises:
        InputError: Naming the options.
    """
    known = get_args(choices)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")


def check_count(name: str, value: object, *, least: int, why: str) -> None:
    """Refuse a value that is no whole number, or a smaller one than makes sense.

    Raises:
        InputError: Naming the least value and why it is one.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} must be an integer of at least {least} ({why}), got {value!r}")


def check_device(name: str) -> torch.device:
    """Return the device of that name, if there is one here.

    Raises:
        InputError: If torch does not know it or cannot use it.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"device must be one that torch can use here, such as 'cpu', got {name!r}: {reason}"
        ) from error
    return device
