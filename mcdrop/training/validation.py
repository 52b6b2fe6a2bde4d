"""A look at the net along the way: its scores on held-out data, and whatever a monitor measures."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from mcdrop.rng import spared
from mcdrop.supervised import objective
from mcdrop.training.history import Records
from mcdrop.training.plan import Plan

__all__ = ["look"]


def look(net: nn.Module, held_out: tuple[Tensor, Tensor] | None, plan: Plan, records: Records, done: int) -> None:
    """Note the scores of the weight-averaged net, if it is time.

    Args:
        net: In training mode, and left in it.
        held_out: Validation data, or None.
        plan: Says when, by what loss, and holds the monitor.
        records: Get the numbers.
        done: Steps done.

    Raises:
        InputError: If the monitor does not return numbers by name, the same names every time.
    """
    last_only = done % plan.every != 0
    if (held_out is None and plan.monitor is None) or (last_only and done != plan.total):
        return
    records.validation_step.append(done)
    net.eval()
    with torch.no_grad():
        if held_out is not None:
            # A net may draw even in eval mode. A longer run has no look here, and so no draws.
            with spared() if last_only else nullcontext():
                _validate(net, held_out, plan, records)
        if plan.monitor is not None:
            with spared():
                records.note_monitored(plan.monitor(net))
    net.train()


def _validate(net: nn.Module, data: tuple[Tensor, Tensor], plan: Plan, records: Records) -> None:
    outputs = net(data[0])
    records.validation_loss.append(float(objective(plan.loss)(outputs, data[1])))
    if plan.loss == "cross_entropy":
        records.validation_accuracy.append(float((outputs.argmax(1) == data[1]).double().mean()))
