"""Programs of `torch.export` beside modules: told apart, looked into, moved; without importing that where none is."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["is_program", "moved_program", "state_of"]


def is_program(net: object) -> bool:
    """Tell a program of `torch.export`; that takes long to import, and whoever has a program has done so."""
    return type(net).__name__ == "ExportedProgram" and hasattr(net, "module")


def state_of(net: Any) -> dict[str, Tensor]:
    """Return all tensors that a module or a program computes with, by name: what is not in its state dict, too.

    Example:
        >>> import torch
        >>> list(state_of(torch.nn.Linear(1, 1)))
        ['weight', 'bias']
    """
    held = {**net.constants, **net.state_dict} if is_program(net) else {}
    held |= dict((*net.named_parameters(), *net.named_buffers()))
    return {name: value for name, value in held.items() if isinstance(value, Tensor)}


def moved_program(program: "ExportedProgram", device: str) -> "ExportedProgram":
    """Return a program on a device; one that is on the CPU already is left as it is there."""
    if device == "cpu" and all(tensor.device.type == "cpu" for tensor in state_of(program).values()):
        return program
    from torch.export.passes import move_to_device_pass

    return move_to_device_pass(program, device)
