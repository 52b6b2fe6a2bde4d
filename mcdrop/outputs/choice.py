"""Which part of a net's return to predict: the only tensor, the logits, or what the user names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor

from mcdrop.errors import InputError, McdropError, NetError
from mcdrop.outputs.parts import MISSING, describe, find, tensors_in

__all__ = ["Output", "Selection", "check_output", "one_tensor", "tensors_with_rows"]

Output: TypeAlias = int | str | Callable[[Any], Any] | None
"""A place in a tuple, a name or path, a function of what the net returns, or None to have it found."""

_SIDE = ("loss", "past_key_values", "hidden_states", "attentions", "cross_attentions")
_BESIDE = frozenset(
    [f"{side}{name}" for side in ("", "encoder_", "decoder_") for name in _SIDE] + ["encoder_last_hidden_state"]
)
"""What transformers return beside their result: caches and what happened on the way."""

_CHOOSE = "choose one with MCDropout(..., output=...): a name, a place, or a function of what the net returns"


def check_output(output: Output) -> None:
    """Refuse what names no part of a net's return.

    Raises:
        InputError: If it is no whole number, text, function or None.
    """
    if isinstance(output, bool) or not (output is None or isinstance(output, int | str) or callable(output)):
        raise InputError(
            f"output must be a place, a name, a function of what the net returns, or None, got {output!r}; "
            "for example output='logits' or output=0"
        )


def one_tensor(output: Any) -> Tensor:
    """Return what a net gives if it is a tensor.

    Raises:
        NetError: If it is something else.
    """
    if not isinstance(output, Tensor):
        raise NetError(f"the net must return one tensor, got {describe(output)}; {_CHOOSE}")
    return output


def tensors_with_rows(part: Any) -> list[Tensor]:
    """Return the tensors that may be a net's result: all that have rows, but for what transformers return beside it."""
    return [tensor for tensor in tensors_in(part, skip=_BESIDE).values() if tensor.dim() > 0]


@dataclass(frozen=True, slots=True)
class Selection:
    """Takes what a net returns to the part to predict. Plain attribute and item access: it looks at no values.

    Attributes:
        output: Which part, or None for: the tensor itself; the entry `logits`; the entry `out` of a dict; or the only
            tensor, of those with rows, and of floating ones where there are any. What transformers return beside
            their result (a loss, caches, hidden states and attentions) is passed over.
    """

    output: Output = None

    def part(self, output: Any) -> Any:
        """Return what was asked for, tensor or not; everything if nothing was.

        Raises:
            NetError: If the net returns nothing of that name, or the user's function fails.
        """
        if self.output is None:
            return output
        if callable(self.output):
            return self._call(self.output, output)
        part = find(output, self.output)
        if part is MISSING:
            advice = "leave output out" if isinstance(output, Tensor) else _CHOOSE
            raise NetError(f"the net must return a part {self.output!r}, got {describe(output)}; {advice}")
        return part

    def __call__(self, output: Any) -> Tensor:
        """Return the tensor that was asked for.

        Raises:
            NetError: If there is none, or several.
        """
        part = self.part(output)
        if isinstance(part, Tensor):
            return part
        for tensor in (find(part, "logits"), part.get("out") if isinstance(part, Mapping) else None):
            if isinstance(tensor, Tensor):
                return tensor
        found = tensors_with_rows(part)
        floating = [tensor for tensor in found if tensor.is_floating_point()]
        candidates = floating or found
        return candidates[0] if len(candidates) == 1 else one_tensor(part)

    def _call(self, function: Callable[[Any], Any], output: Any) -> Any:
        try:
            return function(output)
        except McdropError:
            raise
        except Exception as error:  # whatever a user's function may raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise NetError(
                f"output={_name(function)} must take what the net returns, {describe(output)}, but failed with: "
                f"{reason}"
            ) from error

    def holder(self, output: Any) -> Any:
        """Return what the chosen tensor lies in: the part that was asked for, unless that is the tensor itself."""
        part = output if callable(self.output) else self.part(output)
        return output if isinstance(part, Tensor) else part

    def describe(self) -> str | int | None:
        """Return the choice as plain data."""
        return _name(self.output) if callable(self.output) else self.output


def _name(function: Callable[[Any], Any]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
