r"""The head of a net, from its last dropout on, in closed form given the noise before it.

With h what enters the last site, m its mask, p its rate and $y = W (m \odot h) / (1 - p) + b$,

$$E[y \mid h] = W h + b, \qquad
\mathrm{Var}[y_d \mid h] = \frac{p}{1 - p} \sum_j W_{dj}^2 h_j^2 .$$

The variance is that of one value, whether or not rows share their mask. At p = 1 dropout gives zeros: the mean is b
and the variance 0.

A `Head` watches one pass. It knows tensors as objects: what the forward hands on must be the very tensors that it has
met, so whatever it does not know breaks the thread, and nothing is taken for what it is not. What might have been
written over by another name, or handed to what is not torch, is not known any more either.

References:
    Casella, G. and Robert, C. P. (1996). Rao-Blackwellisation of Sampling Schemes. Biometrika 83(1), section 1.
    https://doi.org/10.1093/biomet/83.1.81
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mcdrop.errors import ExecutionError
from mcdrop.execution.affine import Made, Value, keeps_constant, name_of, tensors_in, values_made
from mcdrop.sites import DropoutCall, SiteCall

__all__ = ["Closing", "Head", "refusal"]

# What tells nothing of the values, although it gives no tensor.
_FACTS = frozenset(
    "shape size dim ndim ndimension dtype device layout numel nelement stride storage_offset element_size itemsize "
    "nbytes get_device result_type names has_names grad grad_fn requires_grad _version __len__ __hash__ __repr__ "
    "__format__ is_complex is_conj is_contiguous is_cpu is_cuda is_floating_point is_inference is_leaf is_meta is_mps "
    "is_neg is_nested is_quantized is_same_size is_shared is_signed is_sparse is_xpu".split()
)
_SETTERS = frozenset(["__set__", "__setitem__"])


def refusal(reason: str, taken: str = "") -> ExecutionError:
    """Return the error that says why a net's last layer has no closed form.

    Args:
        reason: What the net does.
        taken: What was taken for its last dropout, which may have others at rate 0 behind it.
    """
    taken = taken and f" (the last dropout above rate 0 is {taken})"
    return ExecutionError(
        "last_layer='exact' needs a net whose last dropout feeds a Linear layer, and whose output is what that layer "
        f"gives, got one in which {reason}{taken}; use last_layer='sampled'"
    )


@dataclass(frozen=True, slots=True)
class Closing:
    """Where the head of a net starts.

    Attributes:
        site: Number of the last live site.
        alone: Whether nothing else in the net is stochastic, so that one pass tells everything.
        constants: The tensors that the net owns, the same in every pass, by address (`id`).
        name: What to call the site.
        labels: In a trial, which of the site's units share a mask: those with the same label; in its shape.
    """

    site: int
    alone: bool
    constants: Mapping[int, Tensor]
    name: str = ""
    labels: Tensor | None = None


class Head:
    """Follows the dropped units of one pass to its output."""

    def __init__(self, closing: Closing) -> None:
        """Start a pass."""
        self._closing = closing
        self._odds = 0.0  # p / (1 - p)
        self._constants = dict(closing.constants)
        self._values: dict[int, Value] = {}  # by address; the tensors are kept alive, so the addresses stay theirs
        self._spoilt: dict[int, tuple[Tensor, str]] = {}  # what came of the units by other ways, and by which
        self._memory: set[int] = set()  # where all of these lie
        self._read = ""

    def takes(self, site: int, call: SiteCall) -> bool:
        """Whether this is the site that is not sampled.

        Raises:
            ExecutionError: If the net makes other calls than those it was surveyed with.
        """
        last = self._closing.site
        if call.live and (site > last or (site < last and self._closing.alone)):
            raise refusal("dropout calls vary from batch to batch or pass to pass")
        return site == last

    def enter(self, call: SiteCall) -> Tensor:
        """Return what the last dropout gives on average, as an object of its own unless it works in place.

        Raises:
            ExecutionError: If the call is no plain dropout.
        """
        if not isinstance(call, DropoutCall) or call.kind != "dropout":
            raise refusal(f"the last dropout is {call.kind}, whose units are not dropped one by one")
        self._odds = call.rate / (1 - call.rate) if call.rate < 1 else 0.0
        units = call.input if call.inplace else call.input.clone()
        if call.rate == 1:
            units.zero_()  # and not times 0: an infinite unit is dropped, too
        labels = self._closing.labels
        if labels is not None:
            if labels.shape != units.shape:
                raise refusal("dropout calls vary from batch to batch or pass to pass")
            labels = torch.empty_like(units, dtype=labels.dtype).copy_(labels)  # laid out like them, to be moved so
        self._remember(Value.of(units, labels, is_units=True, copied=labels is not None))
        return units

    def follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Look at what a function of torch has made."""
        name = name_of(func)
        if name in _FACTS:
            return
        made = Made(name, func, args, kwargs, result)
        touched = [tensor for tensor in tensors_in((args, kwargs)) if self._knows(tensor)]
        if keeps_constant(made, touched, self._constants):
            self._constants |= {id(tensor): tensor for tensor in made.results}
            return
        if not touched:
            return
        if name not in _SETTERS and not tensors_in(result):  # a number, or a handle to the memory
            self._read = name
            return
        found: Sequence[Value] | str = ""
        if all(id(tensor) in self._values for tensor in touched):
            values = [self._values[id(tensor)] for tensor in touched]
            found = values_made(made, values, odds=self._odds, constants=self._constants)
        if isinstance(found, str):
            self._spoil(made, touched, found)
            return
        for value in found:
            self._remember(value)

    def result(self, output: Tensor) -> Tensor:
        """Return mean and variance of the output given the rest of the pass, shape (n, 2, ...).

        Raises:
            ExecutionError: If the output is not what the Linear layer gave.
        """
        read, value = self._read, self._values.get(id(output))
        reason = ""
        if id(output) in self._spoilt:
            reason = self._spoilt[id(output)][1]
        elif value is None:
            reason = "what is predicted does not come from the last dropout"
        elif value.is_units:
            reason = "no Linear layer follows the last dropout"
        elif value.is_written:
            reason = "what the Linear layer gives is written over"
        elif read:
            reason = f"the forward looks at values that the last dropout changes ({read})"
        if reason or value is None or value.carried is None:
            raise refusal(reason, self._closing.name)
        dtype = torch.promote_types(output.dtype, value.carried.dtype)
        return torch.stack([output.to(dtype), value.carried.to(dtype)], dim=1)

    def _knows(self, tensor: Tensor) -> bool:
        """Whether a tensor came of the units, or lies where one lies that did."""
        return id(tensor) in self._values or id(tensor) in self._spoilt or _memory_of(tensor) in self._memory

    def _remember(self, value: Value) -> None:
        self._values[id(value.tensor)] = value
        self._memory |= {_memory_of(value.tensor)} - {0}

    def _spoil(self, made: Made, touched: Sequence[Tensor], reason: str) -> None:
        """Give up what a function made, and all that it may have written over."""
        known = next((self._spoilt[id(tensor)][1] for tensor in touched if id(tensor) in self._spoilt), None)
        linear = any(id(tensor) in self._values and not self._values[id(tensor)].is_units for tensor in touched)
        reason = known or reason or f"{made.name} follows {'the Linear layer' if linear else 'the last dropout'}"
        lost = tensors_in(made.args[:1] if made.name in _SETTERS else made.result)
        memory = {_memory_of(tensor) for tensor in lost} - {0}
        lost += [value.tensor for value in self._values.values() if _memory_of(value.tensor) in memory]
        for tensor in lost:
            self._values.pop(id(tensor), None)
            self._spoilt[id(tensor)] = (tensor, reason)
        self._memory |= memory


def _memory_of(tensor: Tensor) -> int:
    """Return where a tensor's memory starts; 0 if it has none of its own, as under `vmap`."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):
        return 0
