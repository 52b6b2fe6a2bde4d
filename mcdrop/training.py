"""Train a network on arrays that fit in memory: one `fit`, with dropout warm-up, history and clear failures."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from mcdrop.errors import InputError, TrainingError
from mcdrop.progress import track
from mcdrop.rng import check_seed, seeded
from mcdrop.supervised import Loss, as_pair, check_outputs, objective

__all__ = ["History", "Optimizer", "Schedule", "fit"]

Optimizer = Literal["adam", "adamw", "sgd"]
"""Names of the optimizers."""

Schedule = Literal["constant", "cosine", "one-cycle"]
"""Names of the learning-rate schedules."""

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


def _cosine(done: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * done))


def _one_cycle(done: float) -> float:
    """Rise from 1/25 to 1 over the first 30% of the run, then fall to zero, both along half a cosine."""
    rise = 0.3
    return 1.0 - 0.96 * _cosine(done / rise) if done < rise else _cosine((done - rise) / (1.0 - rise))


_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": _cosine,
    "one-cycle": _one_cycle,
}


@dataclass(frozen=True, slots=True)
class History:
    """What happened in a run of `fit`.

    Attributes:
        loss: Loss of every step with its dropout noise, on its batch, shape (S,).
        lr: Learning rate of every step, shape (S,).
        validation_step: Steps done at every validation, shape (V,); V is 0 without validation data.
        validation_loss: Loss of the weight-averaged net (dropout off) on the validation data, shape (V,).
        validation_accuracy: Its share of right labels, shape (V,); empty unless the loss is cross entropy.
        seconds: Wall-clock time of the run, in seconds.
    """

    loss: NDArray[np.float64]
    lr: NDArray[np.float64]
    validation_step: NDArray[np.int64]
    validation_loss: NDArray[np.float64]
    validation_accuracy: NDArray[np.float64]
    seconds: float


def fit(
    net: nn.Module,
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: Loss,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: Optimizer = "adam",
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    schedule: Schedule = "constant",
    warmup: float = 0.0,
    validation: tuple[ArrayLike | Tensor, ArrayLike | Tensor] | None = None,
    validate_every: int | None = None,
    seed: int = 0,
    progress: bool | str = False,
) -> History:
    r"""Train the net in place and return what happened.

    Dropout warm-up: over the first `warmup` share of the S steps, every dropout module runs at a rate that rises
    in proportion, $p_s = p \min(1, s / (\mathrm{warmup} \cdot S))$, so that the net first learns the shape of
    the data and then to bear the noise. The modules' own rates are put back exactly, whatever happens.

    Batches and dropout noise depend on `seed` alone, and the global generators are left as they were.

    Args:
        net: Any module that maps a batch of x to outputs; left in eval mode.
        x: Inputs, shape (N, ...). Floats are cast to the net's dtype; integers (such as tokens) are kept.
        y: Targets: for "mse" the shape of the outputs, or (N,) for one output; for "cross_entropy" labels 0 to
            K-1, shape (N,).
        loss: "mse", "cross_entropy", or a function of (outputs, targets) that returns a scalar.
        steps: Number of updates. Give either this or `epochs`.
        epochs: Number of passes over the data.
        batch_size: Rows per step, reshuffled every epoch, or None for all rows every step.
        optimizer: "adam", "adamw" or "sgd" (plain, no momentum).
        lr: Learning rate, the highest one of the schedule.
        weight_decay: L2 penalty as torch's optimizers define it (decoupled in "adamw").
        schedule: "constant", "cosine" (falling to zero), or "one-cycle" (rising from lr/25 over the first 30% of
            the steps, then falling to zero).
        warmup: Share of the steps over which dropout rates rise from zero, in [0, 1].
        validation: Held-out (x, y) to be scored along the way, or None.
        validate_every: Steps between validations; None means once an epoch, or 20 times in a full-batch run.
        seed: Of batches and dropout noise.
        progress: Show a progress bar; a text names it.

    Returns:
        The losses, learning rates and validation scores along the way.

    Raises:
        InputError: If an array is empty, not finite or not as long as its partner, or an option is not one of
            those above.
        NetError: If the net cannot be run on x.
        TrainingError: If the loss is no longer finite, or the run was interrupted.

    References:
        Smith, L. N. and Topin, N. (2018). Super-Convergence: Very Fast Training of Neural Networks Using Large
        Learning Rates. https://arxiv.org/abs/1708.07120 (section 3, the one-cycle schedule).
    """
    data = as_pair(net, x, y, loss)
    held_out = None if validation is None else as_pair(net, *validation, loss, prefix="validation ")
    rows = len(data[0])
    batch = rows if batch_size is None else min(_count(batch_size, "batch_size"), rows)
    total = _total_steps(steps, epochs, per_epoch=-(-rows // batch))
    every = _every(validate_every, total, per_epoch=-(-rows // batch))
    _check_options(lr, weight_decay, schedule, warmup)
    records: list[tuple[float, float]] = []
    scores: list[tuple[float, float, float]] = []
    started = time.perf_counter()
    try:
        with _training(net), seeded(seed, device=data[0].device), track(total, "Training", enabled=progress) as tick:
            check_outputs(net, *data, loss)
            stepper = _stepper(net, optimizer, lr, weight_decay)
            ramp, batches = _ramp(net, warmup * total), _batches(rows, batch, seed)
            for done in range(1, total + 1):
                ramp(done)
                rate = _set_rate(stepper, lr * _SCHEDULES[schedule]((done - 1) / total))
                records.append((_step(net, data, next(batches), objective(loss), stepper), rate))
                _check_finite(net, records[-1][0], done, total, lr)
                if held_out is not None and (done % every == 0 or done == total):
                    scores.append((done, *_validate(net, held_out, loss)))
                tick(1)
    except KeyboardInterrupt as stop:
        raise TrainingError(
            f"training was interrupted after {len(records)} of {total} steps; the net keeps the weights it has "
            "reached, so call fit again to train on, or ask for fewer steps"
        ) from stop
    return _history(records, scores, loss, time.perf_counter() - started)


def _history(
    records: list[tuple[float, float]], scores: list[tuple[float, float, float]], loss: Loss, seconds: float
) -> History:
    losses, rates = np.array(records).T
    at, scored, accuracy = np.array(scores).reshape(-1, 3).T
    labels = loss == "cross_entropy"
    return History(losses, rates, at.astype(np.int64), scored, accuracy if labels else np.empty(0), seconds)


@contextmanager
def _training(net: nn.Module) -> Iterator[None]:
    """Put the net in training mode; leave it in eval mode with the dropout rates it came with."""
    rates = [(module, module.p) for module in _dropouts(net)]
    net.train()
    try:
        yield
    finally:
        for module, p in rates:
            module.p = p
        net.eval()


def _dropouts(net: nn.Module) -> list[_DropoutNd]:
    return [module for module in net.modules() if isinstance(module, _DropoutNd)]


def _ramp(net: nn.Module, length: float) -> Callable[[int], None]:
    """Return a function that sets every dropout rate for a step, counted from 1."""
    rates = [(module, module.p) for module in _dropouts(net)]

    def ramp(step: int) -> None:
        if length and step <= length + 1:
            for module, p in rates:
                module.p = p * min(1.0, step / length)

    return ramp


def _set_rate(stepper: torch.optim.Optimizer, rate: float) -> float:
    for group in stepper.param_groups:
        group["lr"] = rate
    return rate


def _step(
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


def _check_finite(net: nn.Module, loss: float, step: int, total: int, lr: float) -> None:
    """Refuse a loss that is not finite, and after the last step weights that are not."""
    finite = math.isfinite(loss)
    if finite and step == total:
        finite = all(bool(weight.isfinite().all()) for weight in net.parameters())
    if not finite:
        raise TrainingError(
            f"training diverged: expected a finite loss and weights, got loss {loss:g} at step {step} of {total} "
            f"with lr={lr:g}; lower lr (a tenth is a good next try) or scale x and y to unit size"
        )


def _batches(rows: int, batch: int, seed: int) -> Iterator[Tensor | slice]:
    """Yield the rows of every step for ever, in a new order every epoch; all of them if the batch holds them."""
    generator = torch.Generator().manual_seed(check_seed(seed))
    while True:
        if batch == rows:
            yield slice(None)
        else:
            yield from torch.split(torch.randperm(rows, generator=generator, device="cpu"), batch)


def _validate(net: nn.Module, data: tuple[Tensor, Tensor], loss: Loss) -> tuple[float, float]:
    """Score the weight-averaged net: loss and share of right labels (NaN unless there are labels)."""
    net.eval()
    with torch.no_grad():
        outputs = net(data[0])
        score = float(objective(loss)(outputs, data[1]))
        right = float((outputs.argmax(1) == data[1]).double().mean()) if loss == "cross_entropy" else math.nan
    net.train()
    return score, right


def _stepper(net: nn.Module, name: str, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    if not weights:
        raise InputError("net must have weights to train, got none that require a gradient; unfreeze some")
    if name not in _OPTIMIZERS:
        raise InputError(f"optimizer must be one of {', '.join(_OPTIMIZERS)}, got {name!r}; pass one of them")
    return _OPTIMIZERS[name](weights, lr=lr, weight_decay=weight_decay, fused=True)


def _count(value: int, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} must be a positive integer, got {value!r}; pass at least 1")
    return value


def _total_steps(steps: int | None, epochs: int | None, *, per_epoch: int) -> int:
    if steps is not None and epochs is None:
        return _count(steps, "steps")
    if epochs is not None and steps is None:
        return _count(epochs, "epochs") * per_epoch
    raise InputError(f"expected either steps or epochs, got steps={steps} and epochs={epochs}; pass one of the two")


def _every(validate_every: int | None, total: int, *, per_epoch: int) -> int:
    if validate_every is not None:
        return _count(validate_every, "validate_every")
    return per_epoch if per_epoch > 1 else max(1, total // 20)


def _check_options(lr: float, weight_decay: float, schedule: str, warmup: float) -> None:
    if not (math.isfinite(lr) and lr > 0):
        raise InputError(f"lr must be a positive number, got {lr}; pass for example lr=1e-3")
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise InputError(f"weight_decay must be a number of at least 0, got {weight_decay}; pass 0 for none")
    if schedule not in _SCHEDULES:
        raise InputError(f"schedule must be one of {', '.join(_SCHEDULES)}, got {schedule!r}; pass one of them")
    if not 0.0 <= warmup <= 1.0:
        raise InputError(f"warmup must be a share of the steps in [0, 1], got {warmup}; pass for example 0.4")
