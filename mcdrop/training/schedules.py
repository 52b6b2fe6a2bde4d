"""What changes from step to step: the learning rate, and the dropout rates of a warm-up.

References:
    Smith, L. N. and Topin, N. (2018). Super-Convergence: Very Fast Training of Neural Networks Using Large
    Learning Rates. https://arxiv.org/abs/1708.07120 (section 3, the one-cycle schedule).
"""

import math
from collections.abc import Callable
from typing import Literal

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

__all__ = ["Schedule", "dropouts", "ramp_rates", "share_of_rate"]

Schedule = Literal["constant", "cosine", "one-cycle"]
"""Names of the learning-rate schedules."""


def share_of_rate(schedule: str, done: float) -> float:
    """Return the learning rate as a share of the highest one.

    Args:
        schedule: Name of the schedule.
        done: Share of the steps that are done, in [0, 1).
    """
    return _SCHEDULES[schedule](done)


def _cosine(done: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * done))


def _one_cycle(done: float) -> float:
    """Rise from 1/25 to 1 over the first 30% of the run, then fall to zero, both along half a cosine."""
    rise = 0.3
    return 1.0 - 0.96 * _cosine(done / rise) if done < rise else _cosine((done - rise) / (1.0 - rise))


_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": _cosine,
    "one-cycle": _one_cycle,
}


def dropouts(net: nn.Module) -> dict[str, _DropoutNd]:
    """Return torch's own dropout modules by name; these are the ones that are warmed up."""
    return {name: module for name, module in net.named_modules() if isinstance(module, _DropoutNd)}


def ramp_rates(net: nn.Module, length: float) -> Callable[[int], None]:
    """Return a function that sets every dropout rate for a step, counted from 1.

    Args:
        net: Its rates of now are those that are reached.
        length: Steps until then; 0 leaves the rates alone.
    """
    rates = [(module, module.p) for module in dropouts(net).values()]

    def ramp(step: int) -> None:
        if length and step <= length + 1:
            for module, p in rates:
                module.p = p * min(1.0, step / length)

    return ramp
