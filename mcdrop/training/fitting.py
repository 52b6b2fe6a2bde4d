"""Train a network on arrays that fit in memory: one `fit`, with dropout warm-up, checkpoints and clear failures."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from mcdrop.errors import TrainingError
from mcdrop.progress import track
from mcdrop.rng import seeded
from mcdrop.supervised import Loss, as_pair, check_outputs, objective
from mcdrop.training.checkpoint import Checkpoint, identity
from mcdrop.training.history import History, Records
from mcdrop.training.plan import (
    Monitor,
    Plan,
    check_options,
    check_place_of,
    count_steps,
    rows_per_step,
    steps_between,
)
from mcdrop.training.schedules import Schedule, ramp_rates, share_of_rate
from mcdrop.training.steps import (
    Optimizer,
    check_finite,
    in_training,
    make_batches,
    make_stepper,
    set_rate,
    update,
)
from mcdrop.training.validation import look

__all__ = ["fit"]


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
    monitor: Monitor | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    seed: int = 0,
    progress: bool | str = False,
) -> History:
    r"""Train the net in place and return what happened.

    Dropout warm-up: over the first `warmup` share of the S steps, every dropout module runs at a rate that rises
    in proportion, $p_s = p \min(1, s / (\mathrm{warmup} \cdot S))$, so that the net first learns the shape of
    the data and then to bear the noise. The modules' own rates are put back exactly, whatever happens.

    Batches and dropout noise depend on `seed` alone, and the global generators are left as they were.

    With a `checkpoint`, a run that was interrupted in any way goes on when the same call is made with `resume=True`. On
    the same machine its weights and its history are then bit for bit those of a run without a break, but for the
    seconds, if all that changes in the net is in its `state_dict`. A run at a constant learning rate without warm-up
    may be resumed with more steps or epochs (and the same `validate_every`, if it is validated) and gives what one
    long run gives. For this its file still holds the optimizer's moments when it is finished; other files do not.

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
        validate_every: Steps between validations; None means once an epoch, or 20 times in a full-batch run. There is
            one more at the end.
        monitor: Is called at every validation, also without validation data, and what it returns, numbers by name, the
            same names every time, becomes a part of the history. It gets the net in eval mode without gradients, in a
            warm-up at the dropout rates reached so far. What it draws does not move the noise of the training.
        checkpoint: File that keeps the state of the run, its name ending in ".safetensors", or None. It appears whole
            or not at all, and loading it runs no code.
        checkpoint_every: Steps between two writes of it; None means as for `validate_every`. There is one more at the
            end.
        resume: Go on from the state in `checkpoint`. If there is no such file, the run starts from the beginning; if
            the run was finished, net and history are those in the file. False starts anew and overwrites the file.
        seed: Of batches and dropout noise.
        progress: Show a progress bar; a text names it.

    Returns:
        The losses, learning rates and validation scores along the way.

    Raises:
        InputError: If an array is empty, not finite or not as long as its partner, an option is not one of those
            above, the monitor returns something else, or the checkpoint is of another run: other options, data or net.
            A loss or monitor that is a function is not looked into.
        NetError: If the net cannot be run on x.
        DataError: If the checkpoint to resume from is damaged.
        OutputError: If the checkpoint cannot be written.
        TrainingError: If the loss is no longer finite, or the run was interrupted.

    Example:
        >>> import torch
        >>> from mcdrop.networks import mlp
        >>> x = torch.linspace(-1, 1, 20)[:, None]
        >>> history = fit(mlp(inputs=1, hidden=(8,), outputs=1), x, x**2, loss="mse", steps=5)
        >>> history.loss.shape
        (5,)
    """
    data = as_pair(net, x, y, loss)
    held_out = None if validation is None else as_pair(net, *validation, loss, prefix="validation ")
    rows = len(data[0])
    batch = rows_per_step(batch_size, rows)
    per_epoch = -(-rows // batch)
    total = count_steps(steps, epochs, per_epoch=per_epoch)
    every = steps_between(validate_every, total, per_epoch=per_epoch, name="validate_every")
    check_options(lr, weight_decay, schedule, warmup)
    plan = Plan(loss, total, batch, optimizer, lr, weight_decay, schedule, warmup, seed, monitor, every)
    keeper = None
    if place := check_place_of(checkpoint, checkpoint_every=checkpoint_every, resume=resume):
        often = steps_between(checkpoint_every, total, per_epoch=per_epoch, name="checkpoint_every")
        keeper = Checkpoint(place, often, plan, identity(plan, net, data, held_out), data[0].device)
    return _run(net, data, held_out, plan, keeper, resume=resume, progress=progress)


def _run(
    net: nn.Module,
    data: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor] | None,
    plan: Plan,
    keeper: Checkpoint | None,
    *,
    resume: bool,
    progress: bool | str,
) -> History:
    """Set everything up, take all steps, and put back what is only for training."""
    records, earlier, began = Records(), 0.0, time.perf_counter()
    try:
        with (
            in_training(net),
            seeded(plan.seed, device=data[0].device),
            track(plan.total, "Training", enabled=progress) as tick,
        ):
            check_outputs(net, *data, plan.loss)
            stepper = make_stepper(net, plan.optimizer, plan.lr, plan.weight_decay)
            if keeper is not None:
                records = keeper.open(net, stepper, resume=resume)
                earlier = keeper.seconds
                tick(keeper.saved)
            for done in _updates(net, data, plan, stepper, records, keeper):
                look(net, held_out, plan, records, done)
                if keeper is not None and keeper.is_due(done):
                    keeper.save(net, stepper, records, earlier + time.perf_counter() - began)
                tick(1)
    except KeyboardInterrupt as stop:
        raise _interrupted(len(records.loss), plan, keeper) from stop
    return records.history(time.perf_counter() - began if keeper is None else keeper.seconds)


def _updates(
    net: nn.Module,
    data: tuple[Tensor, Tensor],
    plan: Plan,
    stepper: torch.optim.Optimizer,
    records: Records,
    keeper: Checkpoint | None,
) -> Iterator[int]:
    """Make every update that is still to be made, note it, and yield how many there are by then."""
    before = len(records.loss)
    ramp, batches = ramp_rates(net, plan.warmup * plan.total), make_batches(len(data[0]), plan.batch, plan.seed)
    for done, rows in enumerate(islice(batches, before, plan.total), start=before + 1):
        ramp(done)
        rate = set_rate(stepper, plan.lr * share_of_rate(plan.schedule, (done - 1) / plan.total))
        records.loss.append(update(net, data, rows, objective(plan.loss), stepper))
        records.lr.append(rate)
        kept = done == plan.total or (keeper is not None and keeper.is_due(done))
        check_finite(net, records.loss[-1], weights=kept, step=done, total=plan.total, lr=plan.lr)
        yield done


def _interrupted(done: int, plan: Plan, keeper: Checkpoint | None) -> TrainingError:
    advice = "so call fit again to train on, or ask for fewer steps"
    if keeper is not None and keeper.saved:
        advice = (
            f"and {keeper.path} those after step {keeper.saved}: call fit again with resume=True to go on from there"
        )
    return TrainingError(
        f"training was interrupted after {done} of {plan.total} steps; the net keeps the weights it has reached, "
        f"{advice}"
    )
