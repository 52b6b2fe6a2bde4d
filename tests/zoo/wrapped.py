"""A small net as others hand it over: compiled, parallel, exported, traced, scripted."""

from functools import partial
from typing import Any

import torch
from torch import nn

from zoo.case import Case, Inputs, rows
from zoo.kept import dropped_between, small
from zoo.references import by_hand

__all__ = ["CASES"]


def exported(net: nn.Module, x: Inputs, *, dynamic: bool) -> Any:
    shapes = tuple({0: torch.export.Dim("rows", min=1, max=4096)} for _ in x) if dynamic else None
    return torch.export.export(net, x, dynamic_shapes=shapes)


def compiled_in_place(net: nn.Module, x: Inputs) -> nn.Module:
    net.compile(backend="eager")
    return net


def traced_in_training(net: nn.Module, x: Inputs) -> nn.Module:
    """Trace with dropout on, the one way to have it in the program at all."""
    return torch.jit.trace(net.train(), x, check_trace=False)


UNCOUNTED = "drawn past the counter"


def wrapped_cases() -> dict[str, Case]:
    case = partial(Case, small, by_hand(dropped_between), (rows(3),))
    return {
        "compiled": case(wrap=lambda net, x: torch.compile(net, backend="eager")),
        "compiled in place": case(wrap=compiled_in_place),
        "compiled inside": case(wrap=lambda net, x: nn.Sequential(torch.compile(net[:2], backend="eager"), net[2])),
        "data parallel": case(wrap=lambda net, x: nn.DataParallel(net)),
        "exported, rows free": case(wrap=partial(exported, dynamic=True)),
        "exported, rows fixed": case(wrap=partial(exported, dynamic=False), tiled=False),
        "exported, as a module": case(wrap=lambda net, x: exported(net, x, dynamic=True).module()),
        "traced in train mode": case(wrap=traced_in_training, vectorized=False, warns=UNCOUNTED),
        "scripted": case(wrap=lambda net, x: torch.jit.script(net), vectorized=False, warns=UNCOUNTED),
        "scripted inside": case(
            wrap=lambda net, x: nn.Sequential(net[0], torch.jit.script(net[1]), net[2]),
            vectorized=False,
            warns=UNCOUNTED,
        ),
    }


CASES = wrapped_cases()
