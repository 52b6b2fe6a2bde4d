"""What an earlier call found out about a net, for as long as nothing of the net has changed.

Surveying a net costs several forward passes, which matters where predictions are made often and of few rows. What was
found holds while every module is the same and holds the same: plain values are compared, tensors by what they are and
not by what is in them, and anything else by identity and by what it holds in turn. What this cannot see, such as a rate
in a global variable, the strategies notice themselves, since they hold every call against the plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mcdrop.execution.plan import Plan, Twin
from mcdrop.execution.thinning.tracing import Form
from mcdrop.execution.twin import every_module
from mcdrop.inputs import Batch

__all__ = ["Recall"]

_PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size)
_DEPTH = 6  # of containers and objects within each other


@dataclass(frozen=True, slots=True)
class _Found:
    """One finding and what it holds for."""

    holdings: list[Any]
    form: Form
    rows: int
    plan: Plan
    raised: tuple[str, ...]


class Recall:
    """Remembers the plan of the last net that was surveyed."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._found: _Found | None = None

    def __reduce__(self) -> tuple[type["Recall"], tuple[()]]:
        """Copy and pickle without what is remembered, which is of this net alone."""
        return Recall, ()

    def plan(self, net: Any, twin: Twin, block: Batch) -> Plan | None:
        """Return the plan that was found before, and raise the flags on the twin that it needs.

        Args:
            net: The user's net.
            twin: A new structural twin of it.
            block: The rows that it would be surveyed with.

        Returns:
            The plan, or None where the net or the form of the inputs has changed.
        """
        found = self._found  # read once: another thread may put another one there
        if found is None or found.rows != block.size or not found.form.matches(Form(block)):
            return None
        if not _are_same(found.holdings, _holdings(net)):
            return None
        modules = every_module(twin.module)
        for path in found.raised:
            modules[path].training = True
        return found.plan

    def keep(self, net: Any, twin: Twin, block: Batch, plan: Plan) -> None:
        """Remember a plan, if the net is such that a change of it would show.

        Args:
            net: The user's net.
            twin: The structural twin that was surveyed.
            block: The rows that it was surveyed with.
            plan: What was found.
        """
        holdings = _holdings(net)
        theirs = {id(parameter) for parameter in net.parameters()} if isinstance(net, nn.Module) else set()
        is_shared = all(id(parameter) in theirs for parameter in twin.module.parameters())
        if holdings is None or plan.uncounted or not is_shared:
            self._found = None
            return
        raised = tuple(path for path, module in every_module(twin.module).items() if module.training)
        self._found = _Found(holdings, Form(block), block.size, plan, raised)


def _holdings(net: Any) -> list[Any] | None:
    """List all that a net's modules hold; None for what hides it."""
    if not isinstance(net, nn.Module):
        return None
    modules = every_module(net)
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules.values()):
        return None
    listed: list[Any] = []
    for path, module in modules.items():
        listed += [path, _Same(module), _Same(type(module))]
        own = {name: value for name, value in vars(module).items() if name != "training"}  # a twin has flags of its own
        listed += _listed(own, _DEPTH)
    return listed


def _listed(value: Any, depth: int) -> Iterator[Any]:
    """Yield what tells a value from another one."""
    kind = type(value)
    if kind in _PLAIN:
        yield value
    elif isinstance(value, Tensor):
        yield from (_Same(value), value.shape, value.dtype, value.device)
    elif isinstance(value, nn.Module) or depth == 0:
        yield _Same(value)
    elif isinstance(value, list | tuple | dict):
        yield from (kind, len(value))
        for item in value.items() if isinstance(value, dict) else value:
            yield from _listed(item, depth - 1)
    else:
        yield _Same(value)
        held = getattr(value, "__dict__", None)
        if isinstance(held, dict) and not isinstance(value, type) and not callable(value):
            yield from _listed(held, depth - 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """Something to be recognized, kept alive so that no other thing takes its place."""

    value: Any


def _are_same(before: list[Any], now: list[Any] | None) -> bool:
    if now is None or len(before) != len(now):
        return False
    return all(
        one.value is other.value
        if isinstance(one, _Same) and isinstance(other, _Same)
        else type(one) is type(other) and one == other
        for one, other in zip(before, now, strict=True)
    )
