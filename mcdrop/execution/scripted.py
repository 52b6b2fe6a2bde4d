"""What the audit can say of TorchScript: the dropout in its graph, which no interception sees."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from mcdrop.sites import Site, is_within

__all__ = ["frozen_rows", "live_rows"]

_KINDS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


def live_rows(net: nn.Module, path: str) -> list[Site]:
    """Return a row for every dropout node of the scripted modules within a module, for one that was seen to draw.

    Args:
        net: The net.
        path: Path of the plain module that calls the scripted ones, or of a scripted one.
    """
    rows = []
    for name, module in _outermost(net):
        if is_within(name, path):
            nodes = [(kind, rate) for kind, rate, training in _nodes(module) if training is not False]
            rows += [_row(name, kind, rate, counted=False) for kind, rate in nodes]
            rows += [] if nodes else [_row(name, "TorchScript", None, counted=False)]
    return rows


def frozen_rows(net: nn.Module) -> list[Site]:
    """Return a row for every dropout node whose training flag is the constant False, as tracing leaves it."""
    reason = "traced in eval mode, which is part of the program now; pass the module that was traced"
    return [
        _row(name, kind, rate, reason=reason)
        for name, module in _outermost(net)
        for kind, rate, training in _nodes(module)
        if training is False
    ]


def _row(path: str, kind: str, rate: float | None, **known: Any) -> Site:
    return Site(index=None, module=path, kind=kind, rate=rate, **known)


def _outermost(net: nn.Module) -> Iterator[tuple[str, Any]]:
    inside: list[str] = []
    for name, module in net.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and not any(is_within(name, outer) for outer in inside):
            inside.append(name)
            yield name, module


def _nodes(module: Any) -> Iterator[tuple[str, float | None, bool | None]]:
    """Yield kind, rate and training flag of every dropout node; None for what is no constant."""
    graph = module.inlined_graph
    for kind in _KINDS:
        plain, in_place = (_constants(graph, f"aten::{name}") for name in (kind, kind + "_"))
        both = plain if plain == in_place else plain + in_place  # the two branches of one function, or calls apart
        yield from ((kind, rate, training) for rate, training in both)


def _constants(graph: Any, name: str) -> list[tuple[float | None, bool | None]]:
    nodes = (tuple(value.toIValue() for value in node.inputs()) for node in graph.findAllNodes(name))
    return [(rate if isinstance(rate, float) else None, training) for _, rate, training in nodes]
