"""A structural twin: the net's modules copied, its parameters shared, so that passes touch nothing of the user's."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mcdrop.containers import CONTAINERS, within
from mcdrop.errors import InputError, NetError
from mcdrop.execution.plan import Twin
from mcdrop.programs import is_program

__all__ = ["every_module", "make_twin", "own_parameters", "structural_twin"]

_WRAPPERS = {
    "OptimizedModule": ("_orig_mod", "torch.compile is taken off: the passes run the eager net behind it"),
    "DataParallel": ("module", "DataParallel is taken off: the passes run its module on its own device"),
    "DistributedDataParallel": ("module", "DistributedDataParallel is taken off: the passes run this process's module"),
}


def make_twin(net: Any, choose: Callable[[Any], Tensor]) -> Twin:
    """Make what the passes run.

    Args:
        net: A module, or a program of `torch.export`.
        choose: Takes what the net returns to the tensor to predict.

    Returns:
        The twin, with notes on what was taken off.

    Raises:
        InputError: If `net` is neither.
        NetError: If it holds something that cannot be copied.
    """
    inner, notes = _unwrapped(net)
    modules = list(every_module(inner).values())
    inside = {_WRAPPERS[type(module).__name__][1] for module in modules if type(module).__name__ in _WRAPPERS}
    if any(module._compiled_call_impl is not None for module in modules):
        inside.add(_WRAPPERS["OptimizedModule"][1])
    if not is_program(net) and any(isinstance(module, torch.fx.GraphModule) for module in modules):
        inside.add("traced by torch.fx: rates that eval mode hid when it was traced are lost")
    return Twin(structural_twin(net), choose, tuple(dict.fromkeys((*notes, *sorted(inside)))))


def structural_twin(net: Any, *, own_parameters: bool = False) -> nn.Module:
    """Return a copy of a net in eval mode that shares every parameter and copies everything else.

    Buffers and plain tensors are copied, so a forward that writes to them changes the twin alone. Weights that change
    in the original are seen, since they are the same tensors; those of TorchScript are copied as they are now. What is
    compiled or spread over devices by a wrapper is unwrapped, also deep inside.

    Args:
        net: A module, or a program of `torch.export`; it is only read.
        own_parameters: Whether to copy the parameters too.

    Returns:
        The twin, in eval mode.

    Raises:
        InputError: If `net` is neither.
        NetError: If it holds something that cannot be copied.
    """
    original, _ = _unwrapped(net)
    if is_program(net):  # its module was made for this call, from the program's own tensors
        return _with_own_buffers(original)
    memo: dict[int, Any] = {}
    modules = list(every_module(original).values())
    for module in modules:
        if isinstance(module, torch.jit.ScriptModule):  # copies its own tensors, and lists them its own way
            continue
        for _, _, value in within([module._parameters, module._buffers, vars(module)]):
            is_shared = isinstance(value, nn.Parameter) and not own_parameters
            if is_shared or isinstance(value, torch.jit.ScriptFunction):  # the latter holds no state
                memo[id(value)] = value
            elif isinstance(value, Tensor) and not value.is_leaf:  # deepcopy refuses what carries a graph
                memo[id(value)] = value.detach().clone()
    try:
        wrapped = [module for module in modules if type(module).__name__ in _WRAPPERS]
        for module in reversed(wrapped):  # the innermost first, so that the outer ones find it in the memo
            memo[id(module)] = copy.deepcopy(_unwrapped(module)[0], memo)
        twin: nn.Module = copy.deepcopy(original, memo)
    except Exception as error:
        raise NetError(
            f"the net's modules must be copyable, but copy.deepcopy of {type(original).__name__} failed with: "
            f"{_first_line(error)}; move what cannot be copied out of the modules' attributes"
        ) from error
    for module in every_module(twin).values():  # not eval(), which some nets override
        if getattr(module, "training", False):  # a frozen program has no flag
            module.training = False
    return twin


def own_parameters(twin: nn.Module) -> None:
    """Give a twin parameters of its own, for a net whose forward writes into them."""
    copies: dict[int, nn.Parameter] = {}
    for module in every_module(twin).values():
        for name, value in [] if isinstance(module, torch.jit.ScriptModule) else [*module._parameters.items()]:
            if value is not None:
                copies.setdefault(id(value), nn.Parameter(value.detach().clone(), requires_grad=value.requires_grad))
                setattr(module, name, copies[id(value)])  # recurrent nets keep a list of them besides


def every_module(net: nn.Module) -> dict[str, nn.Module]:
    """Return every module within a net by its path, also those that it keeps in lists, tuples, deques and dicts.

    Args:
        net: The net; its own path is "".

    Returns:
        Each module once, in the order of `named_modules`, those in containers after the modules that hold them.
    """
    found: dict[str, nn.Module] = {}
    seen: set[int] = set()

    def visit(path: str, module: nn.Module) -> None:
        if id(module) in seen:
            return
        seen.add(id(module))
        found[path] = module
        prefix = f"{path}." if path else ""
        for name, child in module.named_children():
            visit(f"{prefix}{name}", child)
        if isinstance(module, torch.jit.ScriptModule):
            return
        for name, value in vars(module).items():
            if isinstance(value, CONTAINERS) and not name.startswith("_"):
                for place, key, held in within(value):
                    if isinstance(held, nn.Module):
                        visit(f"{prefix}{name}{place}[{key!r}]", held)

    visit("", net)
    return found


def _with_own_buffers(program: nn.Module) -> nn.Module:
    for module in program.modules():
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else buffer.detach().clone()
        module.training = False
    return program


def _unwrapped(net: Any) -> tuple[nn.Module, tuple[str, ...]]:
    """Take off what is around a net, and say what that was."""
    notes: list[str] = []
    if is_program(net):
        net = net.module()
        notes.append("exported program: rates that eval mode hid when it was exported, as attention does, are lost")
    if not isinstance(net, nn.Module):
        raise InputError(f"net must be a torch.nn.Module, got {type(net).__name__}; pass the trained network itself")
    while hasattr(net, "_orig_mod") or type(net).__name__ in _WRAPPERS:
        name, note = _WRAPPERS["OptimizedModule" if hasattr(net, "_orig_mod") else type(net).__name__]
        net = getattr(net, name)
        notes.append(note)
    return net, tuple(notes)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
