"""Normalization by batch statistics, held to the running ones: a pass is no training step."""

import inspect
from typing import Any

import torch
import torch.nn.functional as F

__all__ = ["frozen"]

_ATEN_BATCH = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps", "cudnn_enabled")
_ATEN_INSTANCE = (*_ATEN_BATCH[:5], "use_input_stats", *_ATEN_BATCH[6:])


def _signatures() -> dict[Any, tuple[str, ...]]:
    aten = torch.ops.aten
    found: dict[Any, tuple[str, ...]] = {
        func: tuple(inspect.signature(func).parameters) for func in (F.batch_norm, F.instance_norm)
    }
    batch, instance = aten.batch_norm, aten.instance_norm
    found |= dict.fromkeys((torch.batch_norm, batch, batch.default), _ATEN_BATCH)
    found |= dict.fromkeys((torch.instance_norm, instance, instance.default), _ATEN_INSTANCE)
    return found


_SIGNATURES = _signatures()


def frozen(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with which a normalization uses its running statistics, where it has any.

    Args:
        func: Any function of torch.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        The arguments to use instead; the same for every other function.
    """
    names = _SIGNATURES.get(func)
    if names is None:
        return args, kwargs
    given = dict(zip(names, args, strict=False)) | kwargs
    if given.get("running_mean") is None or given.get("running_var") is None:
        return args, kwargs
    flag = "training" if "training" in names else "use_input_stats"
    if not given.get(flag, flag == "use_input_stats"):
        return args, kwargs
    position = names.index(flag)
    if position < len(args):
        return (*args[:position], False, *args[position + 1 :]), kwargs
    return args, kwargs | {flag: False}
