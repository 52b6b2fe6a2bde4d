"""What a classifier's outputs mean: from logits or probabilities, wherever the classes lie, to softmax inputs."""

from typing import Any, Literal

import torch
from torch import Tensor

from mcdrop.alerts import alert
from mcdrop.arguments import check_choice
from mcdrop.errors import InputError, NetError

__all__ = ["LogitReader", "Outputs", "is_model_output", "put_classes_last"]

Outputs = Literal["logits", "probabilities"]
"""What a classifier returns: softmax inputs, or softmax outputs."""

_ROUNDING = 0.02  # how far sums of probabilities may be from 1: half precision is this coarse over many classes


def is_model_output(output: Any) -> bool:
    """Whether a net returned what transformers do, whose 3-axis logits have the classes last, one set per token."""
    return hasattr(output, "logits") or hasattr(output, "to_tuple")


def put_classes_last(tensor: Tensor, class_axis: int) -> Tensor:
    """Return one pass of a classifier with the classes on the last axis.

    Args:
        tensor: The net's output, shape (n, ...); of shape (n,) it is one value per row, and no class axis at all.
        class_axis: Which axis holds the classes, rows being axis 0.

    Returns:
        Shape (n, ..., K).

    Raises:
        InputError: If there is no such class axis.
    """
    if tensor.dim() < 2:  # without rows it is refused where rows are counted
        return tensor.unsqueeze(-1) if tensor.dim() else tensor
    if class_axis == 0 or not -tensor.dim() < class_axis < tensor.dim():
        raise InputError(
            f"class_axis must name an axis after the rows of outputs of shape {tuple(tensor.shape)}, "
            f"got {class_axis}; 1 is usual, -1 for per-token logits"
        )
    return tensor.movedim(class_axis, -1)


class LogitReader:
    """Turns a classifier's outputs into softmax inputs; a run needs a reader of its own, since it remembers.

    A single value per prediction (K = 1) is read as the second of two classes, with logit 0 for the first.
    Single logits may be positive and sum to 1 by chance, so that it takes all passes and rows to tell them from
    probabilities: `judge` does, when the run is over.

    Attributes:
        outputs: What the net returns.
    """

    def __init__(self, outputs: Outputs = "logits") -> None:
        """Say what the net returns."""
        check_choice("outputs", outputs, Outputs)
        self.outputs = outputs
        self._alike: Literal["softmax", "sigmoid", ""] | None = None  # what all outputs so far could be the results of

    def __call__(self, values: Tensor) -> Tensor:
        """Read several passes.

        Args:
            values: The net's outputs, shape (C, n, ..., K) with the passes in front and the classes last.

        Returns:
            Softmax inputs in that shape, with K = 2 for one value.

        Raises:
            NetError: If probabilities are none.
        """
        binary = values.shape[-1] == 1
        if self.outputs == "probabilities":
            values = _to_logits(values)
        elif self._alike != "":
            self._alike = _alike(values)
        return torch.cat([torch.zeros_like(values), values], dim=-1) if binary else values

    def judge(self) -> None:
        """Say what speaks against logits in all that has been read.

        Raises:
            NetError: If they look like the results of a softmax.

        Warns:
            UserWarning: If they could be those of a sigmoid.
        """
        if self._alike == "softmax":
            raise NetError(
                "the net's outputs look like probabilities (none negative, rows summing to 1) where logits were "
                "expected; pass outputs='probabilities' to MCDropout, or return the softmax inputs"
            )
        if self._alike == "sigmoid":
            alert(
                "all outputs lie in [0, 1] and are read as logits; if the net ends in a sigmoid, pass "
                "outputs='probabilities' to MCDropout",
                UserWarning,
            )


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


def _alike(values: Tensor) -> Literal["softmax", "sigmoid", ""]:
    """Return what could have made all of the outputs."""
    if values.shape[-1] == 1:
        return "sigmoid" if bool(((values >= 0) & (values <= 1)).all()) else ""
    rounding = max(1e-4, 4 * torch.finfo(values.dtype).eps)  # in half precision they sum to 1 less closely
    sums = values.double().sum(dim=-1)
    return "softmax" if bool((values >= 0).all()) and bool(((sums - 1).abs() < rounding).all()) else ""
