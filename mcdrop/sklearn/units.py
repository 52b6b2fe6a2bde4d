r"""Columns in units of their own spread for training, and the way back, folded into the net's weights.

A net is trained on $\tilde x = (x - m) / s$ and $\tilde y = (y - n) / t$. Its first layer is $W \tilde x + b$ and its
last one $V h + c$, so the same net takes x and gives y once

$$W \to W / s, \qquad b \to b - W (m / s), \qquad V \to t V, \qquad c \to t c + n$$

(s divides the columns of W, t multiplies the rows of V). No dropout stands before the first layer, and the one before
the last is left as it is: every pass is the same function as before, in the units of the data.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop.errors import InputError

__all__ = ["Units", "fold_inputs", "fold_outputs"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Units:
    """Where the columns of a table lie and how wide they are.

    Attributes:
        mean: Of each column, shape (D,).
        scale: Standard deviation of each column, shape (D,); 1 for a constant column.
    """

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, table: Floats, name: str) -> Self:
        """Measure a table.

        Args:
            table: Shape (N, D).
            name: What it is called, for the message.

        Raises:
            InputError: If numbers are so large that a spread has no finite value.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = table.mean(axis=0), table.std(axis=0)
        scale[np.ptp(table, axis=0) == 0] = 1.0  # rounding may leave a constant column a spread
        if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
            raise InputError(
                f"{name} must have columns whose spread is a finite number, got values up to {np.abs(table).max():g}; "
                "give them in larger units"
            )
        return cls(mean, np.where(scale > 0, scale, 1.0))

    def standardize(self, table: Floats) -> Floats:
        """Return the table with every column at mean 0 and standard deviation 1."""
        return np.asarray((table - self.mean) / self.scale)


def fold_inputs(layer: nn.Module, units: Units) -> None:
    """Change the first layer of a net, so that it takes what it took, as it was before it was standardized."""
    assert isinstance(layer, nn.Linear)
    mean, scale = _tensors(layer, units)
    with torch.no_grad():
        layer.weight.div_(scale)
        layer.bias.sub_(layer.weight @ mean)


def fold_outputs(layer: nn.Module, units: Units) -> None:
    """Change the last layer of a net, so that it gives what it gave, in the units of the data."""
    assert isinstance(layer, nn.Linear)
    mean, scale = _tensors(layer, units)
    with torch.no_grad():
        layer.weight.mul_(scale[:, None])
        layer.bias.mul_(scale).add_(mean)


def _tensors(layer: nn.Linear, units: Units) -> tuple[Tensor, Tensor]:
    mean, scale = (torch.as_tensor(values, dtype=layer.weight.dtype) for values in (units.mean, units.scale))
    return mean, scale
