"""What an earlier call found out about a net, for as long as nothing of the net has changed.

Surveying a net costs several forward passes, which matters where predictions are made often and of few rows. What was
found holds while every module is the same and holds the same: plain values are compared, tensors by what they are and
not by what is in them, anything else by identity and by what it holds in turn. Where more than torch's own modules run,
one pass over two rows then confirms that the net makes the same calls, which also shows what no module holds, such as a
rate in a global variable. Nothing is kept of nets that hide dropout in eval mode, since whether that may be woken
depends on their weights.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mcdrop.execution.plan import Plan, Twin
from mcdrop.execution.survey import confirm
from mcdrop.execution.thinning.tracing import Form
from mcdrop.execution.twin import every_module
from mcdrop.inputs import Batch

__all__ = ["Recall"]

_PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size)
_DEPTH = 16  # of containers and objects within each other
_MOST = 2000  # values beside those that modules have anyway; a survey is cheaper than to compare a vocabulary
_EACH = 100  # values of a module, its hooks and settings


@dataclass(frozen=True, slots=True)
class _Found:
    """One finding and what it holds for."""

    holdings: list[Any]
    form: tuple[Any, ...]
    plan: Plan


class Recall:
    """Remembers the plan of the last net that was surveyed."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._found: _Found | None = None

    def __reduce__(self) -> tuple[type["Recall"], tuple[()]]:
        """Copy and pickle without what is remembered, which is of this net alone."""
        return Recall, ()

    def plan(self, net: Any, twin: Twin, block: Batch) -> Plan | None:
        """Return the plan that was found before.

        Args:
            net: The user's net.
            twin: A new structural twin of it.
            block: The rows that it would be surveyed with.

        Returns:
            The plan, or None where the net, its calls or the form of the inputs have changed.
        """
        found = self._found  # read once: another thread may put another one there
        if found is None or not _are_equal(found.form, _form(block)):
            return None
        holdings = _holdings(net)
        if holdings is None or not _are_same(found.holdings, holdings):
            return None
        return found.plan if _is_plain(net) or confirm(found.plan, twin, block) else None

    def keep(self, net: Any, twin: Twin, block: Batch, plan: Plan) -> None:
        """Remember a plan, if the net is such that a change of it would show.

        Args:
            net: The user's net.
            twin: The structural twin that was surveyed.
            block: The rows that it was surveyed with.
            plan: What was found.
        """
        self._found = None
        if not isinstance(net, nn.Module) or plan.uncounted or plan.unclear or plan.calls_by_row:
            return
        theirs = {id(parameter) for parameter in net.parameters()}
        is_shared = all(id(parameter) in theirs for parameter in twin.module.parameters())
        is_woken = any(getattr(module, "training", False) for module in every_module(twin.module).values())
        holdings = None if is_woken or not is_shared else _holdings(net)
        if holdings is not None:
            self._found = _Found(holdings, _form(block), plan)


def _is_plain(net: nn.Module) -> bool:
    """Whether nothing but torch's own modules runs: they make the calls that their attributes say."""
    return all(
        type(module).__module__.startswith("torch.nn.")
        and "forward" not in vars(module)
        and not (module._forward_hooks or module._forward_pre_hooks)
        for module in every_module(net).values()
    )


def _form(block: Batch) -> tuple[Any, ...]:
    """Return what has to be the same of the inputs, and of how torch computes, without the inputs themselves."""
    form = Form(block)
    devices = [tensor.device.type for tensor in form.tensors]
    casts = [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in sorted({"cpu", *devices})]
    return block.size, form.spec, form.rest, [tensor.dtype for tensor in form.tensors], devices, casts


def _holdings(net: Any) -> list[Any] | None:
    """List all that a net's modules hold; None for what hides it, or holds too much."""
    if not isinstance(net, nn.Module):
        return None
    modules = every_module(net)
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules.values()):
        return None
    most = _MOST + _EACH * len(modules)
    listed = list(itertools.islice(_all_held(modules), most + 1))
    return listed if len(listed) <= most else None


def _all_held(modules: dict[str, nn.Module]) -> Iterator[Any]:
    for path, module in modules.items():
        yield from (path, _Same(module), _Same(type(module)))
        own = {name: value for name, value in vars(module).items() if name != "training"}  # a twin has flags of its own
        yield from _listed(own, _DEPTH)
        for kind in itertools.takewhile(lambda kind: kind is not nn.Module, type(module).__mro__):
            if not kind.__module__.startswith("torch."):
                yield from ((name, value) for name, value in vars(kind).items() if type(value) in _PLAIN)


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


def _are_same(before: list[Any], now: list[Any]) -> bool:
    if len(before) != len(now):
        return False
    return all(
        one.value is other.value
        if isinstance(one, _Same) and isinstance(other, _Same)
        else type(one) is type(other) and (one == other or (one != one and other != other))
        for one, other in zip(before, now, strict=True)
    )


def _are_equal(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    try:
        return bool(one == other)
    except Exception:  # whatever a comparison of a user's objects may raise
        return False
