"""Several parts of a net's return as one tensor, so that each pass runs once for all of them."""

from collections.abc import Callable, Hashable, Mapping
from functools import reduce
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from mcdrop.errors import NetError

__all__ = ["Packing"]

Key = TypeVar("Key", bound=Hashable)


class Packing(Generic[Key]):
    """Lays the rows of several tensors side by side, and takes them apart again.

    It remembers the shapes of the last return that was packed, so a run needs a packing of its own.
    """

    def __init__(self, parts: Mapping[Key, Callable[[Any], Tensor]]) -> None:
        """Say what to pack.

        Args:
            parts: By key, what takes the net's return to a tensor, rows first.
        """
        self._parts = dict(parts)
        self._last: dict[Key, tuple[torch.Size, torch.dtype]] = {}
        self._first: dict[Key, tuple[torch.Size, torch.dtype]] | None = None

    def __call__(self, output: Any) -> Tensor:
        """Return all parts in shape (n, sum of their sizes), in a type and place that holds them.

        Raises:
            NetError: If a part is missing, or the parts do not have the same rows.
        """
        tensors = {key: choose(output) for key, choose in self._parts.items()}
        rows = {key: tensor.shape[0] if tensor.dim() else None for key, tensor in tensors.items()}
        if None in rows.values() or len(set(rows.values())) > 1:
            raise NetError(
                "the net must return every part with the rows on its first axis, got "
                f"{', '.join(f'{tuple(tensor.shape)} for {key!r}' for key, tensor in tensors.items())}; "
                "keep the batch on the first axis"
            )
        self._last = {key: (tensor.shape[1:], tensor.dtype) for key, tensor in tensors.items()}
        dtype, device = _common([tensor.dtype for tensor in tensors.values()]), next(iter(tensors.values())).device
        return torch.cat(
            [
                tensor.to(device, dtype).flatten(1) if tensor.dim() > 1 else tensor.to(device, dtype)[:, None]
                for tensor in tensors.values()
            ],
            dim=1,
        )

    def unpack(self, passes: Tensor) -> dict[Key, Tensor]:
        """Return the parts of passes that were packed last.

        Args:
            passes: Shape (C, n, sum of sizes).

        Returns:
            By key the part, shape (C, n, ...), in its own type.

        Raises:
            NetError: If the parts had other shapes before.
        """
        self._first = self._first or self._last
        if self._first != self._last:
            before, now = ([tuple(shape) for shape, _ in known.values()] for known in (self._first, self._last))
            raise NetError(
                f"the net must give rows of one shape, got {before} for some and {now} for others; predict inputs of "
                "different lengths in calls of their own"
            )
        sizes = [shape.numel() for shape, _ in self._last.values()]
        return {
            key: flat.reshape(*passes.shape[:2], *shape).to(dtype)
            for (key, (shape, dtype)), flat in zip(self._last.items(), torch.split(passes, sizes, dim=2), strict=True)
        }


def _common(dtypes: list[torch.dtype]) -> torch.dtype:
    """Return a type that holds them all; whole numbers beside fractions need a wide one."""
    common = reduce(torch.promote_types, dtypes)
    mixed = common.is_floating_point and not all(dtype.is_floating_point for dtype in dtypes)
    return torch.float64 if mixed else common
