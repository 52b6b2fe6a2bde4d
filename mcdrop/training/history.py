"""What happened in a run: the numbers noted step by step, and the result that they become."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.errors import InputError

__all__ = ["History", "Records"]


@dataclass(frozen=True, slots=True)
class History:
    """What happened in a run of `fit`.

    Attributes:
        loss: Loss of every step with its dropout noise, on its batch, shape (S,).
        lr: Learning rate of every step, shape (S,).
        validation_step: Steps done at every validation, shape (V,); V is 0 with neither validation data nor monitor.
        validation_loss: Loss of the weight-averaged net (dropout off) on the validation data, shape (V,); empty
            without such data.
        validation_accuracy: Its share of right labels, shape (V,); empty unless the loss is cross entropy.
        monitored: What the monitor returned, by name, each of shape (V,); empty without a monitor.
        seconds: Wall-clock time of the run, in seconds; of a resumed one, of all its parts, without the steps that
            were lost.
    """

    loss: NDArray[np.float64]
    lr: NDArray[np.float64]
    validation_step: NDArray[np.int64]
    validation_loss: NDArray[np.float64]
    validation_accuracy: NDArray[np.float64]
    monitored: dict[str, NDArray[np.float64]]
    seconds: float


_SINGLE = ("loss", "lr", "validation_step", "validation_loss", "validation_accuracy")
_MONITORED = "monitored/"


@dataclass(slots=True)
class Records:
    """The numbers of a run so far; attributes as in `History`."""

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    validation_step: list[int] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    monitored: dict[str, list[float]] = field(default_factory=dict)

    def note_monitored(self, numbers: Mapping[str, float]) -> None:
        """Add what the monitor returned at the validation that was noted last.

        Raises:
            InputError: If it is not numbers by name, or the names are not those of last time.
        """
        try:
            values = {name: float(value) for name, value in numbers.items()}
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"monitor must return numbers by name, got {numbers!r}; return a dict of floats"
            ) from error
        if strange := [name for name in values if not isinstance(name, str)]:
            raise InputError(f"monitor must name its numbers by texts, got {strange[0]!r}; return a dict of floats")
        if len(self.validation_step) == 1:
            self.monitored = {name: [] for name in values}
        if set(values) != set(self.monitored):
            raise InputError(
                f"monitor must return the same names every time, {', '.join(self.monitored) or 'none'}, got "
                f"{', '.join(values) or 'none'}; return NaN where there is no number"
            )
        for name, value in values.items():
            self.monitored[name].append(value)

    def keep_validations(self, every: int) -> None:
        """Forget validations at steps that are no multiple of a number: a longer run would not have made them."""
        kept = [at for at, step in enumerate(self.validation_step) if step % every == 0]
        for values in (*(getattr(self, name) for name in _SINGLE[2:]), *self.monitored.values()):
            values[:] = [values[at] for at in kept] if values else []

    def history(self, seconds: float) -> History:
        """Return the result."""
        return History(
            loss=np.array(self.loss),
            lr=np.array(self.lr),
            validation_step=np.array(self.validation_step, np.int64),
            validation_loss=np.array(self.validation_loss),
            validation_accuracy=np.array(self.validation_accuracy),
            monitored={name: np.array(values) for name, values in self.monitored.items()},
            seconds=seconds,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the numbers as tensors by name, to be kept in a file."""
        columns = {name: getattr(self, name) for name in _SINGLE}
        columns |= {f"{_MONITORED}{name}": values for name, values in self.monitored.items()}
        return {
            name: torch.tensor(values, dtype=torch.int64 if name == "validation_step" else torch.float64)
            for name, values in columns.items()
        }

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], names: list[str]) -> "Records":
        """Return the numbers that `tensors` gave; `names` are the monitored ones, in order."""
        columns: dict[str, Any] = {name: tensors[name].tolist() for name in _SINGLE}
        return cls(**columns, monitored={name: tensors[f"{_MONITORED}{name}"].tolist() for name in names})
