"""One step of a run: which rows it sees, the update it makes, and whether all is finite after it."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from mcdrop.errors import InputError, TrainingError
from mcdrop.rng import check_seed
from mcdrop.training.schedules import dropouts

__all__ = ["Optimizer", "check_finite", "in_training", "make_batches", "make_stepper", "set_rate", "update"]

Optimizer = Literal["adam", "adamw", "sgd"]
"""Names of the optimizers."""

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


@contextmanager
def in_training(net: nn.Module) -> Iterator[None]:
    """Put the net in training mode; leave it in eval mode with the dropout rates it came with."""
    rates = [(module, module.p) for module in dropouts(net).values()]
    net.train()
    try:
        yield
    finally:
        for module, p in rates:
            module.p = p
        net.eval()


def make_batches(rows: int, batch: int, seed: int) -> Iterator[Tensor | slice]:
    """Yield the rows of every step for ever, in a new order every epoch; all of them if the batch holds them."""
    generator = torch.Generator().manual_seed(check_seed(seed))
    while True:
        if batch == rows:
            yield slice(None)
        else:
            yield from torch.split(torch.randperm(rows, generator=generator, device="cpu"), batch)


def make_stepper(net: nn.Module, name: str, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return the optimizer of the weights that are to be trained.

    Raises:
        InputError: If there are none, or no optimizer has that name.
    """
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    if not weights:
        raise InputError("net must have weights to train, got none that require a gradient; unfreeze some")
    if name not in _OPTIMIZERS:
        raise InputError(f"optimizer must be one of {', '.join(_OPTIMIZERS)}, got {name!r}; pass one of them")
    return _OPTIMIZERS[name](weights, lr=lr, weight_decay=weight_decay, fused=True)


def set_rate(stepper: torch.optim.Optimizer, rate: float) -> float:
    """Set the learning rate and return it."""
    for group in stepper.param_groups:
        group["lr"] = rate
    return rate


def update(
    net: nn.Module,
    data: tuple[Tensor, Tensor],
    rows: Tensor | slice,
    compare: Callable[[Tensor, Tensor], Tensor],
    stepper: torch.optim.Optimizer,
) -> float:
    """Make one update, unless the loss is not finite, and return the loss before it."""
    stepper.zero_grad()
    value = compare(net(data[0][rows]), data[1][rows])
    loss = float(value.detach())
    if math.isfinite(loss):
        torch.autograd.backward(value)
        stepper.step()
    return loss


def check_finite(net: nn.Module, loss: float, *, weights: bool, step: int, total: int, lr: float) -> None:
    """Refuse a loss that is not finite, and if asked to look at the weights, such weights.

    Raises:
        TrainingError: Naming the step and what to try.
    """
    finite = math.isfinite(loss)
    if finite and weights:
        finite = all(bool(weight.isfinite().all()) for weight in net.parameters())
    if not finite:
        raise TrainingError(
            f"training diverged: expected a finite loss and weights, got loss {loss:g} at step {step} of {total} "
            f"with lr={lr:g}; lower lr (a tenth is a good next try) or scale x and y to unit size"
        )
