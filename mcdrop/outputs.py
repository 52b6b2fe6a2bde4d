"""What a classifier's outputs mean: from logits or probabilities, wherever the classes lie, to softmax inputs."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mcdrop.errors import InputError, NetError

__all__ = ["LogitReader", "Outputs", "one_tensor"]

Outputs = Literal["logits", "probabilities"]
"""What a classifier returns: softmax inputs, or softmax outputs."""

_ROUNDING = 0.02  # how far sums of probabilities may be from 1: half precision is this coarse over many classes


def one_tensor(output: Any) -> Tensor:
    """Return what a net gives if it is a tensor.

    Raises:
        NetError: If it is something else.
    """
    if not isinstance(output, Tensor):
        raise NetError(
            f"the net must return one tensor, got {type(output).__name__}; "
            "wrap it in a module whose forward returns the tensor to predict"
        )
    return output


@dataclass(frozen=True, slots=True)
class LogitReader:
    """Turns a classifier's outputs into softmax inputs with the classes on the last axis.

    A single value per row (K = 1) is read as the second of two classes, with logit 0 for the first.

    Attributes:
        outputs: What the net returns.
        class_axis: Which axis of the net's output holds the classes, rows being axis 0.
    """

    outputs: Outputs = "logits"
    class_axis: int = 1

    def __call__(self, passes: Tensor) -> Tensor:
        """Read several passes.

        Args:
            passes: The net's outputs, shape (C, n, ...) with the passes in front.

        Returns:
            Softmax inputs, shape (C, n, ..., K).

        Raises:
            InputError: If there is no such class axis.
            NetError: If logits look like probabilities, or probabilities do not.
        """
        values = self._classes_last(passes)
        binary = values.shape[-1] == 1
        if self.outputs == "probabilities":
            values = _to_logits(values)
        elif not binary and _look_like_probabilities(values):
            raise NetError(
                "the net's outputs look like probabilities (none negative, rows summing to 1) where logits were "
                "expected; pass outputs='probabilities' to MCDropout, or return the softmax inputs"
            )
        elif binary and bool(((values >= 0) & (values <= 1)).all()):
            warnings.warn(
                "all outputs lie in [0, 1] and are read as logits; if the net ends in a sigmoid, pass "
                "outputs='probabilities' to MCDropout",
                stacklevel=2,
            )
        return torch.cat([torch.zeros_like(values), values], dim=-1) if binary else values

    def _classes_last(self, passes: Tensor) -> Tensor:
        axes = passes.dim() - 1
        if axes == 1:  # one value per row and no class axis at all
            return passes.unsqueeze(-1)
        if self.class_axis == 0 or not -axes < self.class_axis < axes:
            raise InputError(
                f"class_axis must name an axis after the rows of outputs of shape {tuple(passes.shape[1:])}, "
                f"got {self.class_axis}; 1 is usual, -1 for per-token logits"
            )
        return passes.movedim(self.class_axis % axes + 1, -1)


def _to_logits(probs: Tensor) -> Tensor:
    values = probs.double()
    if not bool(((values >= -1e-6) & (values <= 1 + 1e-4)).all()):
        raise NetError(
            "outputs='probabilities' needs outputs in [0, 1], got values outside; softmax inputs are outputs='logits'"
        )
    if values.shape[-1] > 1 and not bool(((values.sum(dim=-1) - 1).abs() < _ROUNDING).all()):
        raise NetError(
            "outputs='probabilities' needs outputs that sum to 1 over the classes, got other sums; for independent "
            "labels wrap one label at a time, and check that class_axis names the classes"
        )
    if values.shape[-1] == 1:
        return torch.logit(values, eps=1e-15)
    return values.clamp(min=torch.finfo(torch.float64).tiny).log()


def _look_like_probabilities(values: Tensor) -> bool:
    return bool((values >= 0).all()) and bool(((values.double().sum(dim=-1) - 1).abs() < 1e-4).all())
