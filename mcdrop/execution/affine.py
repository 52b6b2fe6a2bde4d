r"""What functions of torch do to dropped units and to what a Linear layer makes of them, as far as it is affine.

A value is a tensor that holds the mean of something random, and its variance, element by element. Units have no
variance of their own yet: they are $m_j h_j / (1 - p)$ with independent masks m, so that

$$\mathrm{Var} \sum_j W_{dj} \frac{m_j h_j}{1 - p} = \frac{p}{1 - p} \sum_j W_{dj}^2 h_j^2 .$$

Units may be moved, none of them twice, and go through a rectifier, $\max(0, m h) = m \max(0, h)$. What the product
gives may be moved and cast; constants may scale it and shift it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Made", "Value", "name_of", "tensors_in", "variances"]

_MOVES = frozenset(
    "view view_as reshape reshape_as squeeze unsqueeze flatten unflatten transpose swapaxes swapdims permute movedim "
    "moveaxis t T mT contiguous clone detach data alias select narrow __getitem__ chunk split tensor_split unbind flip"
    "".split()
)
_CASTS = frozenset("to float double half bfloat16 type type_as cpu cuda".split())
_JOINS = frozenset("cat concat concatenate stack hstack vstack dstack column_stack".split())
_RECTIFIERS = frozenset("relu relu_ leaky_relu leaky_relu_".split())
_SHIFTS = frozenset("add sub subtract rsub __add__ __radd__ __sub__ __rsub__ neg negative __neg__".split())
_FACTORS = frozenset("mul multiply __mul__ __rmul__".split())
_QUOTIENTS = frozenset("div divide true_divide __truediv__".split())
_PRODUCTS = {
    "linear": ("input", "weight", "bias"),
    "addmm": ("input", "mat1", "mat2"),
    "matmul": ("input", "other"),
    "__matmul__": ("input", "other"),
    "mm": ("input", "mat2"),
}


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor that came of the dropped units.

    Attributes:
        tensor: Its mean.
        variance: Its variance, in the same shape; None of units.
        version: How often it had been written into.
    """

    tensor: Tensor
    variance: Tensor | None
    version: int

    @classmethod
    def of(cls, tensor: Tensor, variance: Tensor | None) -> Self:
        """Return a value as it is now."""
        return cls(tensor, variance, _version(tensor))

    @property
    def writes(self) -> int:
        """How often it was written into since, as far as torch counts it."""
        return _version(self.tensor) - self.version


@dataclass(frozen=True, slots=True)
class Made:
    """A call of a function of torch, and what it returned.

    Attributes:
        name: The function's name.
        func: The function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        result: What it returned.
    """

    name: str
    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    @property
    def results(self) -> Sequence[Any]:
        """What it returned, one by one."""
        return _listed(self.result)


def name_of(func: Any) -> str:
    """Return a function's name, without the overload; of the getter of an attribute that of the attribute."""
    name: str = getattr(func, "__name__", type(func).__name__)
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    return name.split(".")[0]


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors in what functions of torch take and return, at any depth."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [tensor for item in value for tensor in tensors_in(item)]


def _listed(result: Any) -> Sequence[Any]:
    return result if isinstance(result, tuple | list) else (result,)


def variances(
    made: Made, values: Sequence[Value], *, odds: float, constants: Mapping[int, Tensor]
) -> Sequence[Tensor | None] | None:
    """Return the variances of what a function made.

    Args:
        made: The call.
        values: The values among its arguments, at least one.
        odds: p / (1 - p) of the units.
        constants: Tensors that do not depend on the draw, by address.

    Returns:
        A variance, or None for units, for every result; None if the function is not known to keep the units apart, or
        to be affine.
    """
    name, value = made.name, values[0]
    if "out" in made.kwargs:
        return None
    if name in _RECTIFIERS and value.variance is None:
        return [None] if value.writes <= (made.result is value.tensor) else None
    if any(value.writes for value in values):
        return None
    if name in _JOINS:
        return _joined(made, values)
    if any(other.tensor is not value.tensor for other in values):
        return None
    if name in _MOVES:
        return _moved(made, value)
    if name in _CASTS:
        return _cast(made, value)
    if name in _PRODUCTS:
        return _product(made, value, odds)
    return _scaled(made, value, constants)


def _joined(made: Made, values: Sequence[Value]) -> Sequence[Tensor] | None:
    """Join the variances of several outputs; units that are joined might come twice."""
    parts = made.args[0] if made.args else ()
    found = [value.variance for value in values]
    if len(found) != len(parts) or any(variance is None for variance in found):
        return None
    return [made.func(found, *made.args[1:], **made.kwargs)]


def _moved(made: Made, value: Value) -> Sequence[Tensor | None] | None:
    """Move the variances as the values were moved."""
    if any(tensor.dtype != value.tensor.dtype for tensor in made.results):  # `view` can read bits as another type
        return None
    if made.name == "__getitem__" and not _is_basic(made.args[1]):
        return None
    if value.variance is None:
        return [None] * len(made.results)
    args = [value.variance if arg is value.tensor else arg for arg in made.args]
    kwargs = {key: value.variance if arg is value.tensor else arg for key, arg in made.kwargs.items()}
    return _listed(made.func(*args, **kwargs))


def _is_basic(index: Any) -> bool:
    """Whether an index picks no element twice: lists and tensors may."""
    items = index if isinstance(index, tuple) else (index,)
    return all(
        item is None or item is Ellipsis or isinstance(item, slice) or (isinstance(item, int) and item is not True)
        for item in items
    )


def _cast(made: Made, value: Value) -> Sequence[Tensor | None] | None:
    """Keep the variance as it is, in a type with room for squares."""
    if not made.result.is_floating_point():
        return None
    return [None if value.variance is None else value.variance.to(made.result.device)]


def _product(made: Made, value: Value, odds: float) -> Sequence[Tensor] | None:
    """Return the variance of a product of units with something that does not depend on them."""
    names = _PRODUCTS[made.name]
    given = dict(zip(names, made.args, strict=False)) | made.kwargs
    if value.variance is not None or len(made.args) > len(names) or not given.keys() <= set(names):
        return None  # beta and alpha of addmm, too
    factors = [given[key] for key in (names[1:] if made.name == "addmm" else names[:2]) if key in given]
    if len([factor for factor in factors if factor is value.tensor]) != 1 or len(factors) != 2:
        return None
    wide = torch.promote_types(value.tensor.dtype, torch.float32)
    with torch.autocast(value.tensor.device.type, enabled=False):
        first, second = (factor.to(wide).square() for factor in factors)
        return [(F.linear(first, second) if made.name == "linear" else torch.matmul(first, second)) * odds]


def _scaled(made: Made, value: Value, constants: Mapping[int, Tensor]) -> Sequence[Tensor] | None:
    """Return the variance of an output that constants scale or shift."""
    name, args, variance = made.name, made.args, value.variance
    others = [arg for arg in args if arg is not value.tensor]
    known = all(isinstance(other, int | float) or id(other) in constants for other in others)
    if variance is None or made.kwargs or len(args) > 2 or len(args) - len(others) != 1 or not known:
        return None
    if name in _SHIFTS:
        return [variance.expand(made.result.shape)]
    is_quotient = name in _QUOTIENTS and args[0] is value.tensor
    if not is_quotient and name not in _FACTORS:
        return None
    constant = torch.as_tensor(others[0], device=variance.device).to(variance.dtype).square()
    return [variance / constant if is_quotient else variance * constant]


def _version(tensor: Tensor) -> int:
    """Return how often a tensor was written into; in inference mode and under `vmap`, torch does not count."""
    return 0 if tensor.is_inference() else tensor._version
