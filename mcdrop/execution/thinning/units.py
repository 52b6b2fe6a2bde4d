"""What acts on each unit alone: activations, pooling, frozen batch normalization, flattening.

Such a step commutes with leaving units out. If it also takes 0 to 0, it commutes with dropping them; if it is
homogeneous too, f(s x) = s f(x) for s > 0, with scaling them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from mcdrop.execution.thinning.values import Each, Masked, Noisy, Packed, of_passes

__all__ = ["POOLING", "Flatten", "Norm", "Unit", "read_units"]

POOLING = 150.0
"""Multiplications in the time that max-pooling as a maximum of shifted images saves for each entry on a CPU."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A function of each unit alone.

    Attributes:
        function: Takes a tensor of any number of units.
        keeps_zero: Whether it takes 0 to 0.
        homogeneous: Whether a positive factor may be applied before or after it.
        over: The same function, written over its input, where there is one.
        saves: Multiplications that a row of it saves against the kernel it stands for.
    """

    function: Callable[[Tensor], Tensor]
    keeps_zero: bool = True
    homogeneous: bool = False
    over: Callable[[Tensor], Tensor] | None = None
    saves: float = 0.0

    def __call__(self, value: Noisy, memo: dict[Any, Any], *, alone: bool = False) -> Noisy:
        """Apply to all passes.

        Args:
            value: What the passes have.
            memo: Holds what does not change from chunk to chunk.
            alone: Whether nothing else reads the value, so that it may be written over.
        """
        function = self.over if alone and self.over is not None else self.function
        if isinstance(value, Packed) and (value.ahead or self.keeps_zero):
            scaled = value.scale == 1 or self.homogeneous
            parts = [function(part if scaled else part * value.scale) for part in value.parts]
            return Packed(parts, value.keep, value.scale if scaled else 1.0, value.block, value.ahead)
        if isinstance(value, Masked) and self.keeps_zero:
            return self._of_masked(value, memo)
        return Each(self._of_all(of_passes(value), function))

    def _of_masked(self, value: Masked, memo: dict[Any, Any]) -> Masked:
        scaled = value.scale == 1 or self.homogeneous
        if value.differs:
            tensor = self._of_all(value.tensor if scaled else value.tensor * value.scale, self.function)
        elif (known := memo.get(self)) is not None and known[0] is value.tensor:
            tensor = known[1]
        else:
            tensor = self.function(value.tensor if scaled else value.tensor * value.scale)
            memo[self] = value.tensor, tensor
        return Masked(tensor, value.differs, value.keep, value.scale if scaled else 1.0, value.block)

    def _of_all(self, tensor: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.unflatten(function(tensor.flatten(0, 1)), 0, tensor.shape[:2])


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """Batch normalization by running statistics: an affine function of each unit, which does not take 0 to 0."""

    module: Any

    def __call__(self, value: Noisy, memo: dict[Any, Any]) -> Noisy:
        """Apply to all passes."""
        if isinstance(value, Packed) and value.ahead and value.block == 1:
            chosen = value.keep.chosen
            parts = [self._of_units(part, chosen(number)) for number, part in enumerate(value.parts)]
            return Packed(parts, value.keep, ahead=True)
        tensor = of_passes(value)
        return Each(torch.unflatten(self._of_units(tensor.flatten(0, 1), None), 0, tensor.shape[:2]))

    def _of_units(self, tensor: Tensor, units: Tensor | None) -> Tensor:
        norm = self.module
        statistics = norm.running_mean, norm.running_var, norm.weight, norm.bias
        mine = [None if x is None else x if units is None else x.index_select(0, units) for x in statistics]
        return F.batch_norm(tensor, mine[0], mine[1], mine[2], mine[3], False, 0.0, norm.eps)


@dataclass(frozen=True, slots=True, eq=False)
class Flatten:
    """Flattening of all axes but the rows: every unit becomes a block."""

    def __call__(self, value: Noisy, memo: dict[Any, Any]) -> Noisy:
        """Apply to all passes."""
        if isinstance(value, Packed) and not value.ahead:
            block = value.block * value.parts[0].shape[2:].numel()
            return Packed([part.flatten(1) for part in value.parts], value.keep, value.scale, block)
        if isinstance(value, Masked):
            block = value.block * value.tensor.shape[2 + value.differs :].numel()
            if value.differs:
                return Masked(value.tensor.flatten(2), True, value.keep, value.scale, block)
            if (known := memo.get(self)) is None or known[0] is not value.tensor:
                known = memo[self] = value.tensor, value.tensor.flatten(1)  # the same one for every chunk
            return Masked(known[1], False, value.keep, value.scale, block)
        return Each(of_passes(value).flatten(2))


def read_units(node: fx.Node, module: nn.Module | None, given: Tensor) -> tuple[Unit | Norm | Flatten, bool] | None:
    """Read a node that acts on each unit alone.

    Args:
        node: The node; its one tensor comes first.
        module: The module it calls, if it calls one.
        given: What that tensor is for a few rows.

    Returns:
        The step, and whether it was to write over its input; None where a node is nothing of the kind, or is so in a
        way that is not known here.
    """
    rank = given.dim()
    if module is not None:
        return _of_module(module, given) if len(node.args) == 1 and not node.kwargs else None
    if node.op == "call_method" and node.target == "flatten":
        return (Flatten(), False) if _flattens(node.args[1:], node.kwargs, rank) else None
    if node.target is torch.flatten:
        return (Flatten(), False) if _flattens(node.args[1:], node.kwargs, rank) else None
    return _of_call(node, rank)


def _of_module(module: nn.Module, given: Tensor) -> tuple[Unit | Norm | Flatten, bool] | None:
    kind, rank = type(module), given.dim()
    in_place = bool(getattr(module, "inplace", False))
    if kind in _ACTIVATIONS:
        keeps_zero, homogeneous = _ACTIVATIONS[kind]
        plain = kind.__new__(kind)  # the same settings, but never in place
        plain.__dict__.update(module.__dict__)
        plain.__dict__["inplace"] = False
        function = module.forward if not in_place else plain.forward
        return Unit(function, keeps_zero, homogeneous, _OVER.get(kind)), in_place
    if kind in _POOLS:
        if rank != _POOLS[kind] + 2 or getattr(module, "return_indices", False):
            return None
        fast = _fast_pool(module) if given.device.type == "cpu" else None
        saved = POOLING * given[0].numel() if fast and len(given) else 0.0
        return Unit(fast or module.forward, homogeneous=True, saves=saved), False
    if kind in _NORMS and rank in _NORMS[kind] and getattr(module, "running_mean", None) is not None:
        return Norm(module), False
    if isinstance(module, nn.Flatten) and kind is nn.Flatten:
        return (Flatten(), False) if _flattens((module.start_dim, module.end_dim), {}, rank) else None
    return None


def _of_call(node: fx.Node, rank: int) -> tuple[Unit, bool] | None:
    known = _CALLS.get(node.target)
    if known is None:
        return None
    function, (keeps_zero, homogeneous), ranks = known
    if ranks is not None and rank != ranks:
        return None
    kwargs = dict(node.kwargs)
    in_place = bool(kwargs.pop("inplace", False))
    arguments = node.args[1:]
    constant = all(not isinstance(value, fx.Node) for value in (*arguments, *kwargs.values()))
    if not constant or len(node.all_input_nodes) != 1 or not node.args:
        return None
    if ranks is not None and (len(arguments) > 5 or kwargs.get("return_indices")):
        return None
    if ranks is None and arguments:  # their order differs from function to function, and may hold `inplace`
        return None

    def apply(tensor: Tensor) -> Tensor:
        result: Tensor = function(tensor, *arguments, **kwargs)
        return result

    return Unit(apply, keeps_zero, homogeneous, None if kwargs else _OVER.get(function)), in_place


def _flattens(args: tuple[Any, ...], kwargs: dict[str, Any], rank: int) -> bool:
    given = dict(zip(("start_dim", "end_dim"), args, strict=False)) | kwargs
    start, end = given.get("start_dim", 0), given.get("end_dim", -1)
    return rank > 1 and start in (1, 1 - rank) and end in (-1, rank - 1)


def _fast_pool(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return max-pooling as a maximum of shifted images, for what the CPU's own kernel is several times slower at."""
    if type(module) is not nn.MaxPool2d:
        return None
    settings = (module.kernel_size, module.stride, module.padding, module.dilation)
    pairs = [tuple(pair) if isinstance(pair, tuple | list) else (pair, pair) for pair in settings]
    (high, wide), (down, across), padding, dilation = pairs
    if module.ceil_mode or max(high, wide) > 3 or padding != (0, 0) or dilation != (1, 1):
        return None
    return partial(_shifted_maximum, module, steps=((2, high, down), (3, wide, across)))


def _shifted_maximum(module: nn.Module, tensor: Tensor, *, steps: tuple[tuple[int, int, int], ...]) -> Tensor:
    fits = all(tensor.shape[axis] >= size for axis, size, _ in steps)
    if tensor.dim() != 4 or not fits:
        pooled: Tensor = module.forward(tensor)
        return pooled
    for axis, size, stride in steps:
        span = (tensor.shape[axis] - size) // stride * stride + 1
        shifted = [tensor.narrow(axis, first, span) for first in range(size)]
        strided = [part[:, :, ::stride] if axis == 2 else part[..., ::stride] for part in shifted]
        tensor = strided[0]
        for part in strided[1:]:
            tensor = torch.maximum(tensor, part)
    return tensor


_ZERO, _HOMOGENEOUS, _ANY = (True, False), (True, True), (False, False)

_ACTIVATIONS: dict[Any, tuple[bool, bool]] = {
    nn.Identity: _HOMOGENEOUS,
    nn.ReLU: _HOMOGENEOUS,
    nn.LeakyReLU: _HOMOGENEOUS,
    nn.ReLU6: _ZERO,
    nn.Tanh: _ZERO,
    nn.GELU: _ZERO,
    nn.SiLU: _ZERO,
    nn.Mish: _ZERO,
    nn.ELU: _ZERO,
    nn.CELU: _ZERO,
    nn.SELU: _ZERO,
    nn.Hardswish: _ZERO,
    nn.Softsign: _ZERO,
    nn.Tanhshrink: _ZERO,
    nn.Hardtanh: _ANY,  # takes 0 to 0 only if its range holds 0
    nn.Sigmoid: _ANY,
    nn.Hardsigmoid: _ANY,
    nn.LogSigmoid: _ANY,
    nn.Softplus: _ANY,
}

_OVER: dict[Any, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys((nn.ReLU, torch.relu), torch.relu_),
    **dict.fromkeys((nn.Tanh, torch.tanh), torch.tanh_),
}

_POOLS: dict[Any, int] = {
    nn.MaxPool1d: 1,
    nn.MaxPool2d: 2,
    nn.MaxPool3d: 3,
    nn.AvgPool1d: 1,
    nn.AvgPool2d: 2,
    nn.AvgPool3d: 3,
    nn.AdaptiveAvgPool1d: 1,
    nn.AdaptiveAvgPool2d: 2,
    nn.AdaptiveAvgPool3d: 3,
    nn.AdaptiveMaxPool1d: 1,
    nn.AdaptiveMaxPool2d: 2,
    nn.AdaptiveMaxPool3d: 3,
}

_NORMS: dict[Any, tuple[int, ...]] = {nn.BatchNorm1d: (2, 3), nn.BatchNorm2d: (4,), nn.BatchNorm3d: (5,)}

_CALLS: dict[Any, tuple[Callable[..., Tensor], tuple[bool, bool], int | None]] = {
    **dict.fromkeys((F.relu, torch.relu, "relu"), (torch.relu, _HOMOGENEOUS, None)),
    **dict.fromkeys((F.tanh, torch.tanh, "tanh"), (torch.tanh, _ZERO, None)),
    **dict.fromkeys((F.sigmoid, torch.sigmoid, "sigmoid"), (torch.sigmoid, _ANY, None)),
    F.leaky_relu: (F.leaky_relu, _HOMOGENEOUS, None),
    F.gelu: (F.gelu, _ZERO, None),
    F.silu: (F.silu, _ZERO, None),
    F.elu: (F.elu, _ZERO, None),
    F.selu: (F.selu, _ZERO, None),
    F.softplus: (F.softplus, _ANY, None),
    F.max_pool1d: (F.max_pool1d, _HOMOGENEOUS, 3),
    F.max_pool2d: (F.max_pool2d, _HOMOGENEOUS, 4),
    F.max_pool3d: (F.max_pool3d, _HOMOGENEOUS, 5),
    F.avg_pool1d: (F.avg_pool1d, _HOMOGENEOUS, 3),
    F.avg_pool2d: (F.avg_pool2d, _HOMOGENEOUS, 4),
    F.avg_pool3d: (F.avg_pool3d, _HOMOGENEOUS, 5),
    F.adaptive_avg_pool1d: (F.adaptive_avg_pool1d, _HOMOGENEOUS, 3),
    F.adaptive_avg_pool2d: (F.adaptive_avg_pool2d, _HOMOGENEOUS, 4),
    F.adaptive_avg_pool3d: (F.adaptive_avg_pool3d, _HOMOGENEOUS, 5),
}
