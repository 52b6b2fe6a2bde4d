"""A structural twin: the net's modules copied, its parameters shared, so that passes touch nothing of the user's."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mcdrop.errors import InputError, NetError

__all__ = ["structural_twin"]


def structural_twin(net: nn.Module) -> nn.Module:
    """Return a copy of a net in eval mode that shares every parameter and copies everything else.

    Buffers and plain tensors are copied, so a forward that writes to them changes the twin alone. Weights that change
    in the original are seen, since they are the same tensors. A compiled net is unwrapped to the module behind it.

    Args:
        net: Any module; it is only read.

    Returns:
        The twin, in eval mode.

    Raises:
        InputError: If `net` is not a module.
        NetError: If it is scripted, or holds something that cannot be copied.
    """
    if not isinstance(net, nn.Module):
        raise InputError(f"net must be a torch.nn.Module, got {type(net).__name__}; pass the trained network itself")
    original: nn.Module = getattr(net, "_orig_mod", net)
    if any(isinstance(module, torch.jit.ScriptModule) for module in original.modules()):
        raise NetError(
            f"the net must be made of plain modules, got TorchScript in {type(net).__name__}: dropout inside "
            "it cannot be seen; pass the module that was scripted or traced"
        )
    memo: dict[int, Any] = {}
    for module in original.modules():
        for value in tree_leaves([module._parameters, module._buffers, vars(module)]):
            if isinstance(value, nn.Parameter):
                memo[id(value)] = value
            elif isinstance(value, Tensor) and not value.is_leaf:  # deepcopy refuses what carries a graph
                memo[id(value)] = value.detach().clone()
    try:
        twin = copy.deepcopy(original, memo)
    except Exception as error:
        raise NetError(
            f"the net's modules must be copyable, but copy.deepcopy of {type(original).__name__} failed with: "
            f"{_first_line(error)}; move what cannot be copied out of the modules' attributes"
        ) from error
    return twin.eval()


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
