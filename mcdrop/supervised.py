"""Inputs with their targets: made tensors and checked against the net and the loss that will see them."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mcdrop.errors import InputError, NetError

__all__ = ["Loss", "as_pair", "check_outputs", "objective"]

Loss = Literal["mse", "cross_entropy"] | Callable[[Tensor, Tensor], Tensor]
"""A named loss, or a function of (outputs, targets) that returns a scalar."""


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    # The reshape lets targets (N,) meet outputs (N, 1), which would otherwise broadcast to (N, N).
    return nn.functional.mse_loss(outputs, targets.reshape(outputs.shape))


_LOSSES: dict[Any, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": _mse,
    "cross_entropy": nn.functional.cross_entropy,
}


def objective(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss as a function of (outputs, targets).

    Raises:
        InputError: If it is neither a function nor one of the names.
    """
    if callable(loss):
        return loss
    if loss not in _LOSSES:
        raise InputError(f"loss must be one of {', '.join(_LOSSES)} or a function, got {loss!r}; pass one of them")
    return _LOSSES[loss]


def as_pair(net: nn.Module, x: Any, y: Any, loss: Loss, prefix: str = "") -> tuple[Tensor, Tensor]:
    """Return x and y as tensors on the net's device, floats in the net's dtype.

    Args:
        net: Where the pair is going.
        x: Inputs, shape (N, ...): anything that numpy or torch can read as numbers.
        y: Targets, shape (N, ...); for "cross_entropy" labels from 0, shape (N,).
        loss: What the targets are for.
        prefix: Put before the names x and y in messages.

    Returns:
        Inputs and targets.

    Raises:
        InputError: If one is empty, not finite, not numbers, or not as long as the other, or if labels are not
            integers from 0.
    """
    inputs, targets = _tensor(net, x, f"{prefix}x"), _tensor(net, y, f"{prefix}y")
    if len(inputs) != len(targets):
        raise InputError(
            f"{prefix}x and {prefix}y must have one row per example each, got {len(inputs)} and {len(targets)}; "
            "drop the rows without a partner"
        )
    if loss == "cross_entropy":
        smallest = targets.min().item()
        if targets.is_floating_point() or targets.ndim != 1 or smallest < 0:
            raise InputError(
                f"{prefix}y must hold integer labels from 0, shape (N,), for cross entropy, got {targets.dtype} of "
                f"shape {tuple(targets.shape)}, smallest {smallest:g}; pass class numbers"
            )
        return inputs, targets.long()
    return inputs, targets.to(_kind(net)[1]) if loss == "mse" else targets


def check_outputs(net: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> None:
    """Run two rows, so that a shape which would broadcast or index out of range is refused before training.

    Args:
        net: Is run in eval mode and left in training mode.
        x: Inputs, shape (N, ...).
        y: Targets, shape (N, ...).
        loss: What the outputs will be compared by.

    Raises:
        NetError: If the net cannot be run on x.
        InputError: If outputs and targets do not fit together.
    """
    net.eval()
    try:
        with torch.no_grad():
            shape = tuple(net(x[:2]).shape)
    except Exception as error:
        raise NetError(
            f"net must map a batch of x, here of shape {tuple(x[:2].shape)}, to a tensor of outputs, got "
            f"{type(error).__name__}: {error}; check the shape and dtype of x"
        ) from error
    net.train()
    if loss == "mse" and _per_row(shape) != _per_row(tuple(y.shape)):
        raise InputError(
            f"y must have the shape of the outputs, {shape[1:]} per row, got {tuple(y.shape[1:])}; reshape y"
        )
    if loss == "cross_entropy" and (len(shape) != 2 or int(y.max()) >= shape[1]):
        raise InputError(
            f"cross entropy needs one output per class for labels 0 to {int(y.max())}, got outputs of shape "
            f"{shape}; widen the net's last layer or check the labels"
        )


def _per_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[1:] or (1,)


def _kind(net: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return the device and dtype of the net's first floating weight."""
    for weight in net.parameters():
        if weight.is_floating_point():
            return weight.device, weight.dtype
    return torch.device("cpu"), torch.get_default_dtype()


def _tensor(net: nn.Module, values: Any, name: str) -> Tensor:
    try:
        # The copy spares read-only arrays, which torch would warn about.
        array = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name} must be a tensor or array of numbers, got {type(values).__name__}; {error}"
        ) from error
    if array.ndim == 0 or array.numel() == 0:
        raise InputError(f"{name} must have at least one row, got shape {tuple(array.shape)}; pass some data")
    device, dtype = _kind(net)
    array = array.to(device, dtype) if array.is_floating_point() else array.to(device)
    if not bool(array.isfinite().all()):
        raise InputError(f"{name} must be finite, got NaN or infinity; drop or fill those rows")
    return array
