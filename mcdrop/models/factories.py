"""Nets from code that the user names: a module or a file, and in it a net or what builds one."""

import inspect
from pathlib import Path
from typing import Any

from torch import nn

from mcdrop.errors import InputError
from mcdrop.models.code import failed, named_code
from mcdrop.models.model import Model, fingerprint
from mcdrop.programs import is_program, moved_program
from mcdrop.weights import load_weights

__all__ = ["open_factory"]


def open_factory(name: str, *, weights: str | Path | None, device: str) -> Model:
    """Import the code that a user named and take the net from it.

    While the code is imported and called, the working folder is on the path of modules, as under `python -m`; for a
    file, its own folder is, as under `python file.py`.

    Args:
        name: "package.module:attribute" or "file.py:attribute"; the attribute may be a path such as "nets.small".
        weights: A file for `mcdrop.weights.load_weights`; None if the code sets them itself.
        device: Where the net is to run.

    Returns:
        The net in eval mode.

    Raises:
        DataError: If there is no such file, or the weights cannot be read.
        InputError: If the module or the attribute is not there, it needs arguments, it returns no net, or the weights
            are not those of the net.
        NetError: If the code fails.
    """
    with named_code(name) as held:
        net = _called(held, name)
    about = {"kind": "factory", "name": name}
    if is_program(net):
        if weights is not None:
            raise InputError(
                f"weights go with a module, got {weights} beside {name}, which returns an exported program"
            )
        loaded = moved_program(net, device)
        return Model(loaded, "factory", None, None, about | fingerprint(loaded))
    if weights is not None:
        load_weights(net, weights)
    net = net.to(device).eval()
    return Model(net, "factory", None, None, about | fingerprint(net))


def _called(held: Any, name: str) -> Any:
    """Return a net as it is, and what else can be called as it returns."""
    net = held
    if not isinstance(held, nn.Module) and not is_program(held) and callable(held):
        needed = _needed(held)
        if needed:
            raise InputError(
                f"{name} must build the net without arguments, got one that needs {', '.join(needed)}; name a function "
                "that sets them"
            )
        try:
            net = held()
        except (Exception, SystemExit) as error:
            raise failed(f"calling {name}", error) from error
    if inspect.isclass(net) or not (isinstance(net, nn.Module) or is_program(net)):
        verb = "return" if callable(held) else "be"
        raise InputError(
            f"{name} must {verb} a torch.nn.Module or an exported program, got {type(net).__name__}; name what builds "
            "the net"
        )
    return net


def _needed(held: Any) -> list[str]:
    """Return the arguments that cannot be left out; none are known of what has no signature."""
    try:
        parameters = inspect.signature(held).parameters.values()
    except (TypeError, ValueError):
        return []
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in open_ended]
