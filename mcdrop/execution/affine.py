r"""What functions of torch do to dropped units and to what a Linear layer makes of them, as far as it is affine.

A value is a tensor that holds the mean of something random, and its variance, element by element. Units have no
variance of their own yet: they are $m_j h_j / (1 - p)$ with independent masks m, so that

$$\mathrm{Var} \sum_j W_{dj} \frac{m_j h_j}{1 - p} = \frac{p}{1 - p} \sum_j W_{dj}^2 h_j^2 .$$

Units may be moved, none of them twice, and go through a rectifier, $\max(0, m h) = m \max(0, h)$. What the product
gives may be moved and cast; constants may scale it and shift it.

The masks of the units in one sum must be independent. Labels tell which are: units with the same label share a mask, as
those of different rows do. They are moved as the units are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Made", "Value", "keeps_constant", "name_of", "tensors_in", "values_made"]

_MOVES = frozenset(
    "view view_as reshape reshape_as squeeze unsqueeze flatten ravel unflatten transpose swapaxes swapdims permute "
    "movedim moveaxis t T mT contiguous clone detach data alias select narrow __getitem__ chunk split tensor_split "
    "unbind flip".split()
)
_AS_RESHAPE = {"view": Tensor.reshape, "view_as": Tensor.reshape_as}  # whatever the strides
_CASTS = frozenset("to float double half bfloat16 type type_as cpu cuda".split())
_SPREADS = frozenset("expand expand_as broadcast_to".split())
_LIKE = frozenset("view_as reshape_as expand_as type_as to".split())  # of the second tensor, only shape and type matter
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
        carried: Moved as the tensor is, in its shape. Of units their labels, equal where they share a mask, or None
            where these do not matter; of what a product has given the variance.
        is_units: Whether it is units still.
        version: How often it had been written into.
        copy: A copy of the tensor, in a trial, to see what torch does not count.
    """

    tensor: Tensor
    carried: Tensor | None
    is_units: bool
    version: int
    copy: Tensor | None

    @classmethod
    def of(cls, tensor: Tensor, carried: Tensor | None, *, is_units: bool, copied: bool) -> Self:
        """Return a value as it is now."""
        return cls(tensor, carried, is_units, _version(tensor), tensor.clone() if copied else None)

    @property
    def writes(self) -> int:
        """How often it was written into since, as far as torch counts it."""
        return _version(self.tensor) - self.version

    @property
    def is_written(self) -> bool:
        """Whether it was written into since, by torch or by what shares its memory."""
        is_same = self.copy is None or torch.equal(self.copy.nan_to_num(), self.tensor.nan_to_num())
        return self.writes > 0 or not is_same


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

    @property
    def subject(self) -> Any:
        """What it was done to."""
        return self.args[0] if self.args else self.kwargs.get("input")


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


def keeps_constant(made: Made, touched: Sequence[Tensor], constants: Mapping[int, Tensor]) -> bool:
    """Whether a function moved, cast or expanded a constant, which gives a constant.

    Args:
        made: The call.
        touched: The tensors among its arguments that came of the dropped units.
        constants: Tensors that do not depend on the draw, by address.
    """
    if id(made.subject) not in constants or made.name not in _MOVES | _CASTS | _SPREADS or "out" in made.kwargs:
        return False
    return not touched or (made.name in _LIKE and all(tensor is not made.subject for tensor in touched))


def values_made(
    made: Made, values: Sequence[Value], *, odds: float, constants: Mapping[int, Tensor]
) -> Sequence[Value] | str:
    """Return what a function made of values.

    Args:
        made: The call.
        values: The values among its arguments, at least one, as often as they come.
        odds: p / (1 - p) of the units.
        constants: Tensors that do not depend on the draw, by address.

    Returns:
        One value for every result. A text where the function is not known to keep the units apart, or to be affine: it
        says why if that is not plain from the function's name.
    """
    name, value = made.name, values[0]
    if "out" in made.kwargs:
        return ""
    carried: Sequence[Tensor | None] | str = ""
    if name in _RECTIFIERS and value.is_units:
        carried = [value.carried] if value.writes <= (made.result is value.tensor) else ""
    elif any(value.is_written for value in values):
        return ""
    elif name in _JOINS:
        carried = _joined(made, values)
    elif len(values) == 1 and name in _PRODUCTS:
        carried = _product(made, value, odds)
    elif len(values) == 1 and made.subject is value.tensor and name in _MOVES:
        carried = _moved(made, value)
    elif len(values) == 1 and made.subject is value.tensor and name in _CASTS:
        carried = _cast(made, value)
    elif len(values) == 1:
        carried = _scaled(made, value, constants)
    if isinstance(carried, str):
        return carried
    is_units, copied = value.is_units and name not in _PRODUCTS, value.copy is not None
    pairs = zip(made.results, carried, strict=True)
    return [Value.of(tensor, moved, is_units=is_units, copied=copied) for tensor, moved in pairs]


def _joined(made: Made, values: Sequence[Value]) -> Sequence[Tensor] | str:
    """Join the variances of several outputs; units that are joined might come twice."""
    parts = made.args[0] if made.args else ()
    if len(values) != len(parts) or any(value.is_units for value in values):
        return ""
    return [made.func([value.carried for value in values], *made.args[1:], **made.kwargs)]


def _moved(made: Made, value: Value) -> Sequence[Tensor | None] | str:
    """Move labels or variances as the values were moved."""
    options = [*made.args[1:], *made.kwargs.values()]
    if any(isinstance(option, torch.dtype) for option in options):  # `view` can read bits as another type
        return ""
    if made.name == "__getitem__" and not _is_basic(made.args[1]):
        return ""
    if value.carried is None:
        return [None] * len(made.results)
    args = [value.carried if arg is value.tensor else arg for arg in made.args]
    kwargs = {key: value.carried if arg is value.tensor else arg for key, arg in made.kwargs.items()}
    return _listed(_AS_RESHAPE.get(made.name, made.func)(*args, **kwargs))


def _is_basic(index: Any) -> bool:
    """Whether an index picks no element twice: lists and tensors may."""
    items = index if isinstance(index, tuple) else (index,)
    return all(
        item is None or item is Ellipsis or isinstance(item, slice) or (isinstance(item, int) and item is not True)
        for item in items
    )


def _cast(made: Made, value: Value) -> Sequence[Tensor | None] | str:
    """Keep labels or variances as they are, in a type with room for squares."""
    if not made.result.is_floating_point():
        return ""
    return [None if value.carried is None else value.carried.to(made.result.device)]


def _product(made: Made, value: Value, odds: float) -> Sequence[Tensor] | str:
    """Return the variance of a product of units with something that does not depend on them."""
    names = _PRODUCTS[made.name]
    given = dict(zip(names, made.args, strict=False)) | made.kwargs
    if not value.is_units or len(made.args) > len(names) or not given.keys() <= set(names):
        return ""  # beta and alpha of addmm, too
    factors = [given[key] for key in (names[1:] if made.name == "addmm" else names[:2]) if key in given]
    is_factor = [factor is value.tensor for factor in factors]
    if sum(is_factor) != 1 or len(factors) != 2 or not all(factor.is_floating_point() for factor in factors):
        return ""
    is_second = is_factor[1] and made.name != "linear" and value.tensor.dim() > 1
    if value.carried is not None and _has_twins(value.carried, -2 if is_second else -1):
        return f"{made.name} sums over units that share a mask, as those of different rows do"
    wide = torch.promote_types(value.tensor.dtype, torch.float32)
    with torch.autocast(value.tensor.device.type, enabled=False):
        first, second = (factor.to(wide).square() for factor in factors)
        return [(F.linear(first, second) if made.name == "linear" else torch.matmul(first, second)) * odds]


def _has_twins(labels: Tensor, axis: int) -> bool:
    return bool((labels.sort(dim=axis).values.diff(dim=axis) == 0).any())


def _scaled(made: Made, value: Value, constants: Mapping[int, Tensor]) -> Sequence[Tensor] | str:
    """Return the variance of an output that constants scale or shift."""
    name, args, variance = made.name, made.args, value.carried
    others = [arg for arg in args if arg is not value.tensor]
    known = all(isinstance(other, int | float) or id(other) in constants for other in others)
    if value.is_units or variance is None or made.kwargs or len(args) > 2 or not known:
        return ""
    if name in _SHIFTS:
        return [variance.expand(made.result.shape)]
    is_quotient = name in _QUOTIENTS and args[0] is value.tensor
    if not is_quotient and name not in _FACTORS:
        return ""
    constant = torch.as_tensor(others[0], device=variance.device).to(variance.dtype).square()
    return [variance / constant if is_quotient else variance * constant]


def _version(tensor: Tensor) -> int:
    """Return how often a tensor was written into; in inference mode and under `vmap`, torch does not count."""
    return 0 if tensor.is_inference() else tensor._version
