r"""Linear and convolutional layers on live units: $y_O = s\,W_{OI}\,x_I + b_O$.

I are the live inputs, O the outputs that a site to come keeps, and s the scale of the inputs. A pass can run such a
layer on slices of its weights (thin), or share one product over full weights with the others of its chunk (stacked).
Which is faster follows from the shapes. Counted in multiplications, n rows through a layer of U inputs and K outputs,
of which the shares a and b live, cost

- thin: $a b\,U K (n + h + g) + c$, where h = 12 is what reading a weight costs, g what slicing it does (37 where both
  of its axes are sliced, 5 where one is) and c what a handful of calls does;
- stacked over C passes: $U K (n + h / C) + 15 n U$, the last for the zeros of the inputs;
- with the weights masked, for inputs that no pass changes: $U K (n + 20)$.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from mcdrop.execution.thinning.scratch import Scratch
from mcdrop.execution.thinning.values import Each, Keep, Masked, Noisy, Packed, full_shape, of_passes

__all__ = ["Layer", "Prefer", "linear_costs", "read_layer"]

Prefer = Literal["cheapest", "thin"]
"""How a layer runs: as its shapes suggest, or on slices wherever that is possible."""

_READING, _SLICING_BOTH, _SLICING_ONE = 12.0, 37.0, 5.0  # in multiplications; measured from 12 to 1,000 rows
_GATHERING = 26.0  # a live input
_MASKING_WEIGHT, _ZEROING = 20.0, 15.0
_CALLS = 4e6
_MARGIN = 1.15  # what is gained on paper is lost in many small calls
_NEW_SHAPE = 3e7  # multiplications in the time a convolution takes to prepare for numbers of channels it has not met


@dataclass(eq=False, slots=True)
class Layer:
    """A layer whose weights may be sliced.

    Attributes:
        weight: Shape (outputs, inputs, ...).
        bias: Shape (outputs,), or None.
        convolve: The convolution, given inputs, weight and bias; None for a linear layer.
        inner: Number of the site whose units reach this layer as zeros.
        outer: Number of the site that drops this layer's outputs, if nothing else reads them.
        places: At how many places of a row the weights are applied; 1 for a linear layer.
    """

    weight: Tensor
    bias: Tensor | None
    convolve: Any = None
    inner: int | None = None
    outer: int | None = None
    places: int = 1
    _turned: Tensor | None = field(default=None, init=False)

    @property
    def is_sliced(self) -> bool:
        """Whether there is anything to slice."""
        return self.inner is not None or self.outer is not None

    def __call__(self, value: Noisy, keeps: dict[int, Keep], prefer: Prefer, scratch: Scratch) -> Noisy:
        """Apply to all passes of a chunk.

        Args:
            value: The inputs.
            keeps: What the sites keep in these passes.
            prefer: How to run.
            scratch: Memory for slices of weights.
        """
        inner = value.keep if isinstance(value, Masked | Packed) and value.keep.is_usable else None
        outer = keeps.get(-1 if self.outer is None else self.outer)
        if outer is not None and not (outer.is_usable and outer.units == len(self.weight)):
            outer = None
        shape = full_shape(value)
        if shape is None or len(shape) != self.weight.dim() or shape[1] != self.weight.shape[1]:
            return Each(self._stacked(of_passes(value)))
        if isinstance(value, Masked) and not value.differs and self._masks_weights(shape[0], value):
            return self._shared(value)
        passes = len(value.values if isinstance(value, Each) else value.keep.counts)
        if (inner or outer) and (prefer == "thin" or self._is_thin(shape[0], passes, inner, outer)):
            return self._thin(value, inner, outer, passes, scratch)
        return Each(self._stacked(of_passes(value)))

    def costs(self, rows: int, passes: int, inner: float | None, outer: float | None) -> tuple[float, float]:
        """Return what a pass takes on slices, and stacked with others, in multiplications.

        Args:
            rows: Rows n.
            passes: Passes side by side, C of them.
            inner: Share of the inputs that live, None where they are not known to.
            outer: Share of the outputs that is needed, None where all of them are.
        """
        if self.convolve is None:
            outputs, inputs = self.weight.shape
            return linear_costs(outputs, inputs, rows, passes, inner=inner, outer=outer)
        whole = float(rows * self.places * self.weight.numel())
        return (inner or 1.0) * (outer or 1.0) * whole + _NEW_SHAPE, whole

    def _is_thin(self, rows: int, passes: int, inner: Keep | None, outer: Keep | None) -> bool:
        thin, stacked = self.costs(rows, passes, inner.share if inner else None, outer.share if outer else None)
        return thin < stacked

    def _masks_weights(self, rows: int, value: Masked) -> bool:
        """Whether masking the weights of all passes, for one product with the inputs, beats the other two ways."""
        if self.convolve is not None:
            return False
        outputs, share = len(self.weight), value.keep.share
        shared = outputs * (rows + _MASKING_WEIGHT)
        thin = share * outputs * (rows + _READING + _SLICING_ONE) + share * rows * _GATHERING
        return shared < min(thin, outputs * rows + rows * _ZEROING)

    def _shared(self, value: Masked) -> Each:
        weights = self.weight * value.factor().flatten(2)
        product = torch.unflatten(F.linear(value.tensor, weights.flatten(0, 1)), 1, weights.shape[:2]).movedim(1, 0)
        return Each(product if self.bias is None else product + self.bias)

    def _stacked(self, inputs: Tensor) -> Tensor:
        if self.convolve is None:
            return F.linear(inputs, self.weight, self.bias)
        return torch.unflatten(self.convolve(inputs.flatten(0, 1), self.weight, self.bias), 0, inputs.shape[:2])

    def _thin(self, value: Noisy, inner: Keep | None, outer: Keep | None, passes: int, scratch: Scratch) -> Noisy:
        if isinstance(value, Masked):
            value = value.pack() if inner else Each(of_passes(value))
        if isinstance(value, Packed) and inner is None:
            value = Each(of_passes(value))
        packed = value if isinstance(value, Packed) else None
        inputs = packed.parts if packed else value.values  # type: ignore[union-attr]
        scale, block = (packed.scale, packed.block) if packed else (1.0, 1)
        parts = []
        for number in range(passes):
            rows = outer.chosen(number) if outer else None
            weight = self._slice(rows, packed.keep if packed else None, number, block, scratch)
            bias = self.bias if rows is None or self.bias is None else self.bias.index_select(0, rows)
            parts.append(self._product(inputs[number], weight, bias, scale))
        return Each(parts) if outer is None else Packed(parts, outer, ahead=True)

    def _product(self, inputs: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
        if self.convolve is not None:
            output: Tensor = self.convolve(inputs, weight if scale == 1 else weight * scale, bias)
            return output
        if bias is None:
            product = torch.mm(inputs, weight.t())
            return product if scale == 1 else product.mul_(scale)
        return torch.addmm(bias, inputs, weight.t(), alpha=scale)

    def _slice(self, rows: Tensor | None, inner: Keep | None, number: int, block: int, scratch: Scratch) -> Tensor:
        """Return the weights between chosen units, as (outputs, inputs, ...); those of dropped inputs are 0."""
        weight = self.weight
        if rows is not None:
            weight = _selected(weight, rows, scratch, "rows")
        if inner is None:
            return weight
        columns = inner.chosen(number)
        if self.convolve is not None:
            weight = weight.index_select(1, columns)
        elif rows is None:
            weight = self._columns(columns, block, scratch)
        elif block == 1:  # several times faster than index_select
            out = scratch.like(weight, "slice", len(weight), len(columns))
            weight = torch.gather(weight, 1, columns.expand(len(weight), -1), out=out)
        else:
            weight = torch.unflatten(weight, 1, (-1, block)).index_select(1, columns).flatten(1)
        if inner.counts[number] < len(columns):
            weight[:, inner.counts[number] * block :] = 0
        return weight

    def _columns(self, columns: Tensor, block: int, scratch: Scratch) -> Tensor:
        """Return columns of the weights, as rows of the transposed ones: else they'd be read one number at a time."""
        if self._turned is None:
            self._turned = self.weight.t().contiguous()
        if block == 1:
            return _selected(self._turned, columns, scratch, "rows").t()
        return torch.unflatten(self._turned, 0, (-1, block)).index_select(0, columns).flatten(0, 1).t()


def linear_costs(
    outputs: int, inputs: int, rows: int, passes: int, *, inner: float | None, outer: float | None
) -> tuple[float, float]:
    """Return what a pass through a linear layer takes on slices, and stacked with others, in multiplications.

    Args:
        outputs: Number of outputs K.
        inputs: Number of inputs U.
        rows: Rows n.
        passes: Passes side by side, C of them.
        inner: Share of the inputs that live, None where they are not known to.
        outer: Share of the outputs that is needed, None where all of them are.
    """
    share = (1.0 if inner is None else inner) * (1.0 if outer is None else outer)
    slicing = _SLICING_ONE if inner is None or outer is None else _SLICING_BOTH
    thin = _MARGIN * (share * inputs * outputs * (rows + _READING + slicing) + _CALLS)
    zeroing = 0.0 if inner is None else _ZEROING * rows * inputs
    return thin, inputs * outputs * (rows + _READING / passes) + zeroing


def _selected(tensor: Tensor, rows: Tensor, scratch: Scratch, use: str) -> Tensor:
    """Return some rows of a tensor."""
    return torch.index_select(tensor, 0, rows, out=scratch.like(tensor, use, len(rows), *tensor.shape[1:]))


def read_layer(node: fx.Node, module: nn.Module | None, values: Mapping[fx.Node, Any]) -> Layer | None:
    """Read a node that is a linear layer, or a convolution in one group, as a module or as a function of parameters.

    Args:
        node: The node; its one tensor that may differ from pass to pass comes first.
        module: The module it calls, if it calls one.
        values: What the nodes before it hold for a few rows.

    Returns:
        The layer, or None where a node is nothing of the kind.
    """
    rank = values[node.args[0]].dim()  # type: ignore[index]
    if module is None:
        return _of_call(node, rank, values)
    if len(node.args) != 1 or node.kwargs:
        return None
    forward = type(module).forward
    if isinstance(module, nn.Linear) and forward is nn.Linear.forward:
        return Layer(module.weight.detach(), None if module.bias is None else module.bias.detach())
    for kind, (function, axes) in _CONVOLUTIONS.items():
        if isinstance(module, kind) and forward is kind.forward and type(module)._conv_forward is kind._conv_forward:
            if module.groups != 1 or module.padding_mode != "zeros" or rank != axes + 2:
                return None
            bias = None if module.bias is None else module.bias.detach()
            settings = module.stride, module.padding, module.dilation
            return Layer(module.weight.detach(), bias, _Convolution(function, settings))
    return None


def _of_call(node: fx.Node, rank: int, values: Mapping[fx.Node, Any]) -> Layer | None:
    """Read a call of a function on parameters of the net."""
    axes = _FUNCTIONS.get(node.target) if node.op == "call_function" else None
    if axes is None or (axes and rank != axes + 2):
        return None
    named = dict(zip(_ARGUMENTS, node.args, strict=False)) | dict(node.kwargs)
    weight, bias = (_parameter(named.get(name), values) for name in ("weight", "bias"))
    settings = tuple(named.get(name, default) for name, default in _SETTINGS.items())
    is_known = weight is not None and (bias is None) == (named.get("bias") is None)
    if not is_known or any(isinstance(setting, fx.Node) for setting in settings) or named.get("groups", 1) != 1:
        return None
    assert weight is not None, "known"
    return Layer(weight, bias, _Convolution(node.target, settings) if axes else None)


def _parameter(source: Any, values: Mapping[fx.Node, Any]) -> Tensor | None:
    """Return what a node holds if it is a tensor of the net's own."""
    if not isinstance(source, fx.Node) or source.op != "get_attr":
        return None
    tensor: Tensor = values[source]
    return tensor.detach()


@dataclass(frozen=True, slots=True)
class _Convolution:
    function: Any
    settings: tuple[Any, ...]

    def __call__(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        output: Tensor = self.function(inputs, weight, bias, *self.settings, 1)
        return output


_CONVOLUTIONS: dict[Any, tuple[Any, int]] = {
    nn.Conv1d: (F.conv1d, 1),
    nn.Conv2d: (F.conv2d, 2),
    nn.Conv3d: (F.conv3d, 3),
}

_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_SETTINGS = {"stride": 1, "padding": 0, "dilation": 1}

_FUNCTIONS: dict[Any, int] = {F.linear: 0, **dict(_CONVOLUTIONS.values())}
