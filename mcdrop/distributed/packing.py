"""A net and its passes as bytes, for other processes: with the code that the user wrote, and without open files."""

import copy
import io
import pickle
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from mcdrop.errors import ClusterError, ExecutionError
from mcdrop.prepared import Prepared
from mcdrop.programs import moved_program
from mcdrop.sampler import MCDropout

__all__ = ["pack", "unpack"]

_THERE = {"__main__", "mcdrop", "numpy", "ray", "torch"}  # in every worker; what is in __main__ goes by value anyway
_INSTALLED = {"site-packages", "dist-packages"}  # folders


def pack(prepared: Prepared[Any], *others: Any) -> bytes:
    """Return what makes the same passes in another process.

    Code that is not installed there goes with it: the packages of the user's modules are packed by value.

    Args:
        prepared: The passes.
        others: What goes with them.

    Raises:
        ExecutionError: If the net, or what goes with it, cannot be packed.
    """
    from ray import cloudpickle

    model, x, options = prepared.origin
    try:
        packed = (*_packed_net(model.net), model.settings, x, dict(options) | {"progress": False}, others)
        with _by_value(cloudpickle, (model.net, model.output, *others)):
            data = bytes(cloudpickle.dumps(packed))  # type: ignore[no-untyped-call]
    except (AttributeError, RuntimeError, TypeError, ValueError, pickle.PicklingError) as error:
        raise ExecutionError(
            f"the net must pickle to go to other processes, got {type(model.net).__name__}, which does not "
            f"({' '.join(str(error).split())[:200]}); drop open files, locks and generators from it, export it with "
            "torch.export, or predict in this process"
        ) from error
    return pickle.dumps((_versions(), data))


def unpack(data: bytes, *, device: str | None = None) -> tuple[Any, ...]:
    """Return the passes, prepared anew from the same net, options and first rows, and what was packed with them.

    Args:
        data: What `pack` returned.
        device: Where the net is to run; default: on the CPU.

    Raises:
        ClusterError: If it was packed by another version of mcdrop or torch.
    """
    theirs, held = pickle.loads(data)
    if theirs != (mine := _versions()):
        raise ClusterError(
            f"all machines must have the same versions, got {_told(theirs)} where the run was begun and {_told(mine)} "
            "on a worker; install the same ones"
        )
    kind, net, settings, x, options, others = pickle.loads(held)
    if kind == "program":
        from torch.export import load

        net = load(io.BytesIO(net))
    if device is not None:
        net = net.to(device) if kind == "module" else moved_program(net, device)
    return MCDropout(net, **settings).prepare(x, **options), *others


def _versions() -> dict[str, str]:
    """Return what has to be the same for the same masks, and products that differ in rounding at most."""
    return {"mcdrop": version("mcdrop"), "torch": torch.__version__.partition("+")[0]}


def _told(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _packed_net(net: Any) -> tuple[str, Any]:
    """Return the net on the CPU: not every worker has what it is on."""
    if isinstance(net, nn.Module):
        return "module", _on_cpu(net)
    from torch.export import save

    buffer = io.BytesIO()
    save(net, buffer)
    return "program", buffer.getvalue()


def _on_cpu(net: nn.Module) -> nn.Module:
    tensors = [*net.parameters(), *net.buffers()]
    if all(tensor.device.type == "cpu" for tensor in tensors):
        return net
    memo: dict[int, Any] = {}  # what tensors have become: copied to the CPU at once, never twice on their device
    for tensor in tensors:
        moved = tensor.detach().cpu()
        parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(moved, requires_grad=tensor.requires_grad) if parameter else moved
    return copy.deepcopy(net, memo)


@contextmanager
def _by_value(cloudpickle: Any, holders: tuple[Any, ...]) -> Iterator[None]:
    """Have the packages of what a user wrote packed as code, for as long as the block runs."""
    packages = {package for holder in holders for kind in _kinds(holder) if (package := _own_package(kind))}
    known = {package for package in packages if package.__name__ in cloudpickle.list_registry_pickle_by_value()}
    for package in packages - known:
        cloudpickle.register_pickle_by_value(package)
    try:
        yield
    finally:
        for package in packages - known:
            cloudpickle.unregister_pickle_by_value(package)


def _kinds(holder: Any) -> Iterator[str]:
    """Yield the names of the modules in which the classes and functions of something were written."""
    if isinstance(holder, nn.Module):
        for module in holder.modules():
            yield from (kind.__module__ for kind in type(module).__mro__)
            yield from (value.__module__ for value in vars(module).values() if _is_function(value))
    elif holder is not None:
        yield from (kind.__module__ for kind in type(holder).__mro__)
        yield getattr(holder, "__module__", None) or ""
        for inner in ("transform", "func"):  # of a reader; of functools.partial
            yield from _kinds(getattr(holder, inner, None))


def _is_function(value: Any) -> bool:
    return callable(value) and isinstance(getattr(value, "__module__", None), str)


def _own_package(name: str) -> ModuleType | None:
    """Return the outermost package of a module, if it is the user's: neither installed nor Python's own."""
    package = sys.modules.get(name.partition(".")[0])
    place = getattr(package, "__file__", None) or next(iter(getattr(package, "__path__", [])), None)
    if package is None or place is None or package.__name__ in _THERE:
        return None
    paths = {Path(place).absolute(), Path(place).resolve()}  # some installers link what lies elsewhere
    installed = any(
        not _INSTALLED.isdisjoint(path.parts) or any(path.is_relative_to(folder) for folder in _folders())
        for path in paths
    )
    return None if installed else package


def _folders() -> set[Path]:
    """Return where packages are installed, Python's own or others; torch is one of them, wherever it is."""
    known = [sysconfig.get_path(key) for key in ("purelib", "platlib", "stdlib", "platstdlib")]
    known += [*site.getsitepackages(), site.getusersitepackages()]
    return {Path(folder).resolve() for folder in known} | {Path(torch.__file__).resolve().parents[1]}
