"""What flows through a thinned pass: a tensor for each pass, a mask still to be applied, or live units alone.

Units lie on axis 1. Behind a flattened convolution each unit is a block of that many neighboring columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

__all__ = ["Each", "Keep", "Masked", "Noisy", "Packed", "full_shape", "of_pass", "of_passes"]


_WIDE, _EVEN = 128, 16  # products of this width and more run up to a quarter faster at multiples of that


class Keep:
    """The units that one site keeps in each pass of a chunk.

    Attributes:
        mask: 1 for a kept and 0 for a dropped unit, shape (C, U).
        counts: How many are kept in each pass.
        share: Share of the units that is kept on average.
    """

    def __init__(self, factor: Tensor, rate: float) -> None:
        """Read a site's factors, shape (C, U)."""
        kept = factor != 0
        self._rows = kept.cpu()
        self._chosen: dict[int, Tensor] = {}
        self.mask = kept.to(factor.dtype)
        self.counts: list[int] = self._rows.sum(1).tolist()
        self.share = 1 - rate

    @property
    def units(self) -> int:
        """Number of units U."""
        return self.mask.shape[1]

    @property
    def is_usable(self) -> bool:
        """Whether every pass keeps a unit: many kernels refuse tensors without any."""
        return min(self.counts) > 0

    def chosen(self, number: int) -> Tensor:
        """Return the numbers of the units to run in one pass.

        Args:
            number: Number of the pass in the chunk.

        Returns:
            Those that are kept, then a few dropped ones where that makes a rounder number.
        """
        if number not in self._chosen:
            row = self._rows[number]
            units = row.nonzero().flatten()
            if self.units >= _WIDE and len(units) % _EVEN:
                units = torch.cat([units, row.logical_not().nonzero().flatten()[: -len(units) % _EVEN]])
            self._chosen[number] = units.to(self.mask.device)
        return self._chosen[number]


@dataclass(frozen=True, slots=True, eq=False)
class Each:
    """A value for each pass.

    Attributes:
        values: C of them, as one tensor of shape (C, ...) or as anything in order.
    """

    values: Tensor | Sequence[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """A full tensor whose dropped units stand for 0, whatever they hold.

    Attributes:
        tensor: Shape (n, U * block, ...), or (C, n, U * block, ...) if it differs from pass to pass.
        differs: Whether it does.
        keep: The units that are kept.
        scale: What the others are to be multiplied by.
        block: Entries of axis 1 that belong to a unit.
    """

    tensor: Tensor
    differs: bool
    keep: Keep
    scale: float
    block: int = 1

    def factor(self) -> Tensor:
        """Return what to multiply by, shape (C, 1, U * block, 1, ...)."""
        rank = self.tensor.dim() - self.differs
        factor = self.keep.mask * self.scale
        if self.block > 1:
            factor = factor.repeat_interleave(self.block, dim=1)
        return factor.reshape(len(factor), 1, -1, *[1] * (rank - 2))

    def pack(self) -> "Packed":
        """Return the live units alone."""
        parts = []
        for number in range(len(self.keep.counts)):
            chosen = self.keep.chosen(number)
            tensor = self.tensor[number] if self.differs else self.tensor
            if self.block > 1:
                parts.append(torch.unflatten(tensor, 1, (-1, self.block)).index_select(1, chosen).flatten(1, 2))
            else:
                parts.append(tensor.index_select(1, chosen))
        return Packed(parts, self.keep, self.scale, self.block)


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """The chosen units of each pass alone; those of them that are dropped, and all others, stand for 0.

    Attributes:
        parts: C tensors of shape (n, chosen units * block, ...).
        keep: Which units were chosen, and which of them are kept.
        scale: What they are to be multiplied by.
        block: Entries of axis 1 that belong to a unit.
        ahead: Whether the site that drops the others is still to come: until then they are not 0, only of no use.
    """

    parts: list[Tensor]
    keep: Keep
    scale: float = 1.0
    block: int = 1
    ahead: bool = False

    def spread(self, number: int, out: Tensor) -> Tensor:
        """Write one pass into a full tensor of zeros."""
        assert not self.ahead, "what the units hold that a site is yet to drop is not known"
        count = self.keep.counts[number]
        kept, part = self.keep.chosen(number)[:count], self.parts[number][:, : count * self.block]
        if self.scale != 1:
            part = part * self.scale
        if self.block > 1:
            blocks = torch.unflatten(out, 1, (-1, self.block))
            blocks.index_copy_(1, kept, torch.unflatten(part, 1, (-1, self.block)))
            return out
        return out.index_copy_(1, kept, part)


Noisy: TypeAlias = Each | Masked | Packed
"""What differs from pass to pass."""


def full_shape(value: Noisy) -> tuple[int, ...] | None:
    """Return the shape of a pass's tensor, None where that is no tensor or not the same in all passes."""
    if isinstance(value, Packed):
        part = value.parts[0]
        return (part.shape[0], value.keep.units * value.block, *part.shape[2:])
    if isinstance(value, Masked):
        return tuple(value.tensor.shape[1:] if value.differs else value.tensor.shape)
    if isinstance(value.values, Tensor):
        return tuple(value.values.shape[1:])
    shapes = {tuple(item.shape) if isinstance(item, Tensor) else None for item in value.values}
    return shapes.pop() if len(shapes) == 1 else None


def of_pass(value: Any, number: int) -> Any:
    """Return what one pass of the chunk has, dropped units as zeros; what all share comes as it is."""
    if isinstance(value, Each):
        return value.values[number]
    if isinstance(value, Masked):
        return (value.tensor[number] if value.differs else value.tensor) * value.factor()[number]
    if isinstance(value, Packed):
        return value.spread(number, value.parts[0].new_zeros(full_shape(value) or ()))
    return value


def of_passes(value: Noisy) -> Tensor:
    """Return the tensors of all passes as one, shape (C, n, ...), dropped units as zeros."""
    if isinstance(value, Each):
        return value.values if isinstance(value.values, Tensor) else torch.stack(list(value.values))
    if isinstance(value, Masked):
        return value.tensor * value.factor()
    out = value.parts[0].new_zeros((len(value.parts), *(full_shape(value) or ())))
    for number in range(len(value.parts)):
        value.spread(number, out[number])
    return out
