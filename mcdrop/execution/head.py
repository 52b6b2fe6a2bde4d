r"""The head of a net, from its last dropout on, in closed form given the noise before it.

With h what enters the last site, m its mask, p its rate and $y = W (m \odot h) / (1 - p) + b$,

$$E[y \mid h] = W h + b, \qquad
\mathrm{Var}[y_d \mid h] = \frac{p}{1 - p} \sum_j W_{dj}^2 h_j^2 .$$

The variance is that of one value, whether or not rows share their mask. At p = 1 dropout gives zeros: the mean is b
and the variance 0.

A `Head` watches one pass. It knows tensors as objects: what the forward hands on must be the very tensors that it has
met, so whatever it does not know breaks the thread, and nothing is taken for what it is not.

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
from mcdrop.execution.affine import Made, Value, name_of, tensors_in, variances
from mcdrop.sites import DropoutCall, SiteCall

__all__ = ["Closing", "Head", "refusal"]

_FACTS = frozenset("shape size dim ndim dtype device is_complex is_floating_point requires_grad layout".split())
_READS = frozenset("item tolist numpy __array__ __bool__ __float__ __int__ __index__ is_nonzero equal allclose".split())


def refusal(reason: str) -> ExecutionError:
    """Return the error that says why a net's last layer has no closed form."""
    return ExecutionError(
        "last_layer='exact' needs a net whose last dropout feeds a Linear layer, and whose output is what that layer "
        f"gives, got one in which {reason}; use last_layer='sampled'"
    )


@dataclass(frozen=True, slots=True)
class Closing:
    """Where the head of a net starts.

    Attributes:
        site: Number of the last live site.
        alone: Whether nothing else in the net is stochastic, so that one pass tells everything.
        constants: The tensors that the net owns, the same in every pass, by address (`id`).
    """

    site: int
    alone: bool
    constants: Mapping[int, Tensor]


class Head:
    """Follows the dropped units of one pass to its output."""

    def __init__(self, closing: Closing) -> None:
        """Start a pass."""
        self._closing = closing
        self._odds = 0.0  # p / (1 - p)
        self._values: dict[int, Value] = {}  # by address; the tensors are kept alive, so the addresses stay theirs
        self._spoilt: dict[int, tuple[Tensor, str]] = {}  # what came of the units by other ways, and by which
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
        self._remember(units, None)
        return units

    def follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Look at what a function of torch has made."""
        if not self._values and not self._spoilt:
            return
        name = name_of(func)
        if name in _FACTS:
            return
        touched = [tensor for tensor in tensors_in((args, kwargs)) if self._knows(tensor)]
        if not touched:
            return
        if name in _READS:
            self._read = name
        found, made = None, Made(name, func, args, kwargs, result)
        if not any(id(tensor) in self._spoilt for tensor in touched):
            values = [self._values[id(tensor)] for tensor in touched]
            found = variances(made, values, odds=self._odds, constants=self._closing.constants)
        if found is None:
            self._spoil(made, touched)
            return
        for tensor, variance in zip(made.results, found, strict=True):
            self._remember(tensor, variance)

    def result(self, output: Tensor) -> Tensor:
        """Return mean and variance of the output given the rest of the pass, shape (n, 2, ...).

        Raises:
            ExecutionError: If the output is not what the Linear layer gave.
        """
        value = self._values.get(id(output))
        if id(output) in self._spoilt:
            raise refusal(self._spoilt[id(output)][1])
        if value is None:
            raise refusal("what is predicted does not come from the last dropout")
        if value.variance is None:
            raise refusal("no Linear layer follows the last dropout")
        if value.writes:
            raise refusal("what the Linear layer gives is written over")
        if self._read:
            raise refusal(f"the forward looks at values that the last dropout changes ({self._read})")
        dtype = torch.promote_types(output.dtype, value.variance.dtype)
        return torch.stack([output.to(dtype), value.variance.to(dtype)], dim=1)

    def _knows(self, tensor: Tensor) -> bool:
        return id(tensor) in self._values or id(tensor) in self._spoilt

    def _remember(self, tensor: Tensor, variance: Tensor | None) -> None:
        self._values[id(tensor)] = Value.of(tensor, variance)

    def _spoil(self, made: Made, touched: Sequence[Tensor]) -> None:
        known = next((self._spoilt[id(tensor)][1] for tensor in touched if id(tensor) in self._spoilt), None)
        linear = any(id(tensor) in self._values and self._values[id(tensor)].variance is not None for tensor in touched)
        reason = known or f"{made.name} follows {'the Linear layer' if linear else 'the last dropout'}"
        for result in tensors_in(made.args[:1] if made.name == "__setitem__" else made.result):
            self._values.pop(id(result), None)
            self._spoilt[id(result)] = (result, reason)
