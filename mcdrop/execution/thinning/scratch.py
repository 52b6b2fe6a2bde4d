"""Memory that is written over again and again: fresh pages for every slice of a weight cost as much as the slicing."""

from torch import Tensor

__all__ = ["Scratch"]


class Scratch:
    """One piece of memory for each use, as large as was ever asked for; one user at a time."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held: dict[tuple[str, object, object], Tensor] = {}

    def like(self, tensor: Tensor, use: str, *shape: int) -> Tensor:
        """Return a tensor to write to; what was returned for this use before is lost.

        Args:
            tensor: Whose type and device it has.
            use: What it is for.
            *shape: Its shape.

        Returns:
            A contiguous tensor of that shape that holds anything.
        """
        size = 1
        for length in shape:
            size *= length
        key = use, tensor.dtype, tensor.device
        held = self._held.get(key)
        if held is None or held.numel() < size:
            held = self._held[key] = tensor.new_empty(size)
        return held[:size].view(shape)
