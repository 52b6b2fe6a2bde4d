"""The plan of a run: the options of `fit`, checked, with every default spelled out."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from torch import nn

from mcdrop.errors import InputError
from mcdrop.supervised import Loss
from mcdrop.training.schedules import Schedule

__all__ = ["Monitor", "Plan", "check_options", "check_place_of", "count_steps", "rows_per_step", "steps_between"]

Monitor = Callable[[nn.Module], Mapping[str, float]]
"""Looks at the net and returns numbers by name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of `fit` will do.

    Attributes:
        loss: Name or function.
        total: Steps in all.
        batch: Rows per step.
        optimizer: Its name.
        lr: Learning rate, the highest one of the schedule.
        weight_decay: L2 penalty.
        schedule: Name of the learning-rate schedule.
        warmup: Share of the steps over which dropout rates rise.
        seed: Of batches and dropout noise.
        monitor: Is called at every validation, or None.
        every: Steps between validations.
    """

    loss: Loss
    total: int
    batch: int
    optimizer: str
    lr: float
    weight_decay: float
    schedule: str
    warmup: float
    seed: int
    monitor: Monitor | None
    every: int

    @property
    def may_grow(self) -> bool:
        """Whether no step depends on how many there are in all."""
        return self.schedule == "constant" and self.warmup == 0


def rows_per_step(batch_size: int | None, rows: int) -> int:
    """Return the rows of a step: all of them by default, and never more than there are.

    Raises:
        InputError: If `batch_size` is no positive integer.
    """
    return rows if batch_size is None else min(_count(batch_size, "batch_size"), rows)


def count_steps(steps: int | None, epochs: int | None, *, per_epoch: int) -> int:
    """Return the number of steps in all.

    Raises:
        InputError: If not exactly one of `steps` and `epochs` is given, or it is no positive integer.
    """
    if steps is not None and epochs is None:
        return _count(steps, "steps")
    if epochs is not None and steps is None:
        return _count(epochs, "epochs") * per_epoch
    raise InputError(f"expected either steps or epochs, got steps={steps} and epochs={epochs}; pass one of the two")


def steps_between(asked: int | None, total: int, *, per_epoch: int, name: str) -> int:
    """Return the steps between two looks: by default an epoch, in a full-batch run a 20th of it.

    Raises:
        InputError: If what is asked for is no positive integer.
    """
    if asked is not None:
        return _count(asked, name)
    return per_epoch if per_epoch > 1 else max(1, total // 20)


def check_options(lr: float, weight_decay: float, schedule: str, warmup: float) -> None:
    """Refuse options outside their range.

    Raises:
        InputError: Naming the range.
    """
    if not (math.isfinite(lr) and lr > 0):
        raise InputError(f"lr must be a positive number, got {lr}; pass for example lr=1e-3")
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise InputError(f"weight_decay must be a number of at least 0, got {weight_decay}; pass 0 for none")
    if schedule not in get_args(Schedule):
        raise InputError(f"schedule must be one of {', '.join(get_args(Schedule))}, got {schedule!r}; pass one of them")
    if not 0.0 <= warmup <= 1.0:
        raise InputError(f"warmup must be a share of the steps in [0, 1], got {warmup}; pass for example 0.4")


def check_place_of(checkpoint: str | Path | None, *, checkpoint_every: int | None, resume: bool) -> Path | None:
    """Return where the checkpoint goes, if there is to be one.

    Raises:
        InputError: If it is no path, or options of a checkpoint are given without one.
    """
    if checkpoint is None:
        if resume or checkpoint_every is not None:
            asked = "resume=True" if resume else f"checkpoint_every={checkpoint_every}"
            raise InputError(
                f"{asked} needs a checkpoint, got none; pass checkpoint='run.safetensors', or leave it out"
            )
        return None
    if not isinstance(checkpoint, str | Path) or not str(checkpoint).strip() or "\0" in str(checkpoint):
        raise InputError(f"checkpoint must name a file, got {checkpoint!r}; pass for example 'run.safetensors'")
    if Path(checkpoint).suffix != ".safetensors":
        raise InputError(f"checkpoint must end in .safetensors, which it is, got {str(checkpoint)!r}; rename it")
    return Path(checkpoint)


def _count(value: int, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} must be a positive integer, got {value!r}; pass at least 1")
    return value
