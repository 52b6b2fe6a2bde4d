"""One argument of the net as tensors: checked, converted and put where the net is, at whatever depth they lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from mcdrop.errors import InputError
from mcdrop.inputs.nesting import rebuilt

__all__ = ["ValueReader", "is_nested_list", "refuse_packed"]


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Reads the values of a batch.

    Attributes:
        device: Where the net is.
        dtype: Floating type that floating values are converted to; integers and truth values stay as they are.
        kept: Floating types in which tensors stay as they are, too.
        start: Number of the batch's first row, for messages.
    """

    device: torch.device
    dtype: torch.dtype
    kept: frozenset[torch.dtype] = frozenset()
    start: int = 0

    def read(self, value: Any, name: str) -> Any:
        """Return a value with tensors for arrays; options of the forward, such as a text or a number, are kept.

        A tensor or array without axes is a number, and so an option too.

        Args:
            value: A tensor or what can become one, an option, or a tuple, list or mapping of such values, which stays
                of its own type.
            name: What it is called, for messages.

        Raises:
            InputError: If it holds something else, NaN, or a tensor without rows or data of its own.
        """
        if _is_option(value):
            return value.to(self.device) if isinstance(value, Tensor) else value
        refuse_packed(value, name)
        if isinstance(value, Mapping):
            return rebuilt(value, {key: self.read(part, f"{name}[{key!r}]") for key, part in value.items()})
        if isinstance(value, tuple | list) and not _is_numbers(value):
            return rebuilt(value, [self.read(part, f"{name}[{i}]") for i, part in enumerate(value)])
        return self._tensor(value, name)

    def _tensor(self, value: Any, name: str) -> Tensor:
        try:
            tensor = value if isinstance(value, Tensor) else _from_array(np.asarray(value))
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{name} must be numbers in a tensor or a rectangular array, got {type(value).__name__}: {error}"
            ) from error
        if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
            kind = "meta" if tensor.is_meta else "nested" if tensor.is_nested else str(tensor.layout)
            raise InputError(f"{name} must be a dense tensor with data, got a {kind} one; use .to_dense() or pad it")
        if tensor.is_floating_point():
            dtype = tensor.dtype if isinstance(value, Tensor) and tensor.dtype in self.kept else self.dtype
            tensor = tensor.to(device=self.device, dtype=dtype)
            _refuse_nan(tensor, name, self.start)
            return tensor
        return tensor.to(self.device)


def is_nested_list(x: Any) -> bool:
    """Whether x is a list of numbers, or of lists of numbers, rather than of batches."""
    return isinstance(x, list) and _is_numbers(x)


def refuse_packed(value: Any, name: str) -> None:
    """Refuse packed sequences, whose rows are mixed along one axis.

    Raises:
        InputError: If it is one.
    """
    if isinstance(value, PackedSequence):
        raise InputError(
            f"{name} must have its rows on the first axis, got a PackedSequence; pack inside the net's forward"
        )


def _is_option(value: Any) -> bool:
    """Whether it is an argument of the forward that has no rows: nothing, a text, a truth value or a number."""
    if isinstance(value, Tensor | np.ndarray):
        return value.ndim == 0
    return value is None or isinstance(value, str | bool | int | float | np.generic)


def _is_numbers(value: tuple[Any, ...] | list[Any]) -> bool:
    """Whether it starts with a number, at whatever depth: then it stands for an array."""
    first: Any = value
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(first, int | float | np.number)


def _from_array(array: NDArray[Any]) -> Tensor:
    """Make a tensor of an array; one that torch cannot share memory with is copied."""
    if array.dtype.kind not in "biufc":
        advice = "tokenize texts, and number categories" if array.dtype.kind in "USO" else "convert it with .astype"
        raise TypeError(f"its dtype is {array.dtype}; {advice}")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.as_tensor(np.require(native, requirements=["C", "W"]))


def _refuse_nan(tensor: Tensor, name: str, start: int) -> None:
    if tensor.numel() == 0 or not bool(torch.isnan(tensor).any()):
        return
    bad = torch.isnan(tensor).flatten(1).any(1) if tensor.dim() > 1 else torch.isnan(tensor)
    rows = (bad.nonzero().flatten() + start).tolist()
    shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    raise InputError(
        f"{name} must not hold NaN, got it in {len(rows)} of {len(tensor)} rows ({shown}); drop or impute them"
    )
