r"""The dropout family: its calls as torch makes them, and their noise.

Every kind of dropout is affine in its input given the Bernoulli mask m, with $E[m] = 1 - p$:

- dropout, and its 1d/2d/3d forms with one unit per channel: $y = x \cdot m / (1 - p)$;
- alpha dropout: $y = a (x \cdot m + \alpha' (1 - m)) + b$ with $\alpha' = -1.7580993408473766$,
  $a = ((1 - p)(1 + p \alpha'^2))^{-1/2}$ and $b = -a p \alpha'$, which keeps mean 0 and variance 1.

At p = 1 all of them return zeros, as torch does.

References:
    Srivastava, N. et al. (2014). Dropout: A Simple Way to Prevent Neural Networks from Overfitting. JMLR 15.
    Tompson, J. et al. (2015). Efficient Object Localization Using Convolutional Networks. CVPR (channels).
    Klambauer, G. et al. (2017). Self-Normalizing Neural Networks. NeurIPS (alpha dropout, section 3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mcdrop.errors import NetError
from mcdrop.sites.draws import Level

__all__ = ["DropoutCall", "affine_noise", "read_dropout"]

_ALPHA_PRIME = -1.7580993408473766  # -lambda * alpha of SELU


def _scaled(keep: Tensor, rate: float) -> tuple[Tensor, Tensor | None]:
    return keep * (1.0 / (1.0 - rate) if rate < 1 else 0.0), None


def _alpha(keep: Tensor, rate: float) -> tuple[Tensor, Tensor | None]:
    if rate == 1:
        return keep, None
    a = ((1 - rate) * (1 + rate * _ALPHA_PRIME**2)) ** -0.5
    return keep * a, ((1 - rate) - keep) * (a * _ALPHA_PRIME)


@dataclass(frozen=True, slots=True)
class DropoutCall:
    """One intercepted call of the dropout family.

    Attributes:
        func: The function that was called.
        kind: Its name in torch.
        input: The tensor to drop units of.
        rate: The dropout rate p the call carries, whatever its `training` flag says.
        inplace: Whether the call changes its input.
    """

    func: Callable[..., Any]
    kind: str
    input: Tensor
    rate: float
    inplace: bool

    @property
    def live(self) -> bool:
        """Whether the call drops anything."""
        return self.rate > 0

    @property
    def key(self) -> float | bool:
        """What the noise depends on besides kind and shape: the rate."""
        return self.rate

    @property
    def target(self) -> Tensor:
        """The tensor that a call in place writes to."""
        return self.input

    @property
    def law(self) -> None:
        """None: the noise is a mask of kept units."""
        return None

    @property
    def dtype(self) -> torch.dtype:
        """Type of the tensor that is dropped."""
        return self.input.dtype

    @property
    def device(self) -> torch.device:
        """Where that tensor is."""
        return self.input.device

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """Shape of the mask that torch would draw: one unit per element, or per channel."""
        shape = tuple(self.input.shape)
        if not _KINDS[self.kind].channels:
            return shape
        unbatched = (self.kind, len(shape)) in {("dropout1d", 2), ("dropout3d", 4)}
        lead = 1 if unbatched else 2
        return shape[:lead] + (1,) * (len(shape) - lead)

    def result(self, factor: Tensor, summand: Tensor | None) -> Any:
        """Apply the noise and return what the function that was called would return."""
        noisy = self.input.mul_(factor) if self.inplace else self.input * factor
        if summand is not None:
            noisy = noisy.add_(summand) if self.inplace else noisy + summand
        return (noisy, (factor != 0).expand_as(noisy)) if self.kind == "native_dropout" else noisy

    def identity(self, level: Level = "mean") -> Any:
        """Return what the function gives when it drops nothing; torch checks rate and shape on the way."""
        if self.kind == "native_dropout":
            return self.func(self.input, self.rate, False)
        out = self.func(self.input, self.rate, False, *([self.inplace] if self.func in _FUNCTIONALS else []))
        is_weight = out is self.input and isinstance(out, torch.nn.Parameter) and not self.inplace
        return out.view_as(out) if is_weight else out  # what was dropped is no parameter any more


@dataclass(frozen=True, slots=True)
class _Kind:
    channels: bool = False
    affine: Callable[[Tensor, float], tuple[Tensor, Tensor | None]] = _scaled


_KINDS = {
    "dropout": _Kind(),
    "native_dropout": _Kind(),
    "dropout1d": _Kind(channels=True),
    "dropout2d": _Kind(channels=True),
    "dropout3d": _Kind(channels=True),
    "feature_dropout": _Kind(channels=True),
    "alpha_dropout": _Kind(affine=_alpha),
    "feature_alpha_dropout": _Kind(channels=True, affine=_alpha),
}

_FUNCTIONALS = frozenset({F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout})


def _intercepted() -> dict[Any, tuple[str, bool]]:
    """Map every function of the family to its kind and whether its name says it works in place."""
    found: dict[Any, tuple[str, bool]] = {func: (func.__name__, False) for func in _FUNCTIONALS}
    for kind in _KINDS:
        for suffix, inplace in (("", False), ("_", True)):
            for func in (getattr(torch, kind + suffix, None), getattr(torch.ops.aten, kind + suffix, None)):
                if func is not None:
                    found[func] = (kind, inplace)
                    if hasattr(func, "default"):
                        found[func.default] = (kind, inplace)
    return found


_INTERCEPTED = _intercepted()


def read_dropout(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DropoutCall | None:
    """Read a call of the dropout family.

    Args:
        func: Any function of torch.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        The call, not made yet; None where the function is no dropout.

    Raises:
        NetError: If the rate lies outside [0, 1].
    """
    if func not in _INTERCEPTED:
        return None
    names = ("input", "p", "training", "inplace")
    given = dict(zip(names, args, strict=False)) | kwargs
    kind, inplace = _INTERCEPTED[func]
    rate = float(given.get("p", 0.5))
    if not 0 <= rate <= 1:
        raise NetError(f"dropout rates must lie in [0, 1], got p={rate:g} in a call of {kind}; mend the net's rate")
    return DropoutCall(
        func=func,
        kind=kind,
        input=given["input"],
        rate=rate,
        inplace=bool(given.get("inplace", inplace)),
    )


def affine_noise(kind: str, rate: float, keep: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the noise of one kind of dropout, given which units are kept.

    Args:
        kind: Name of the dropout function in torch.
        rate: Dropout rate p in [0, 1].
        keep: 1 for a kept and 0 for a dropped unit, any shape, floating.

    Returns:
        Factor and summand (None where it would be 0), in the shape and type of `keep`.
    """
    return _KINDS[kind].affine(keep, rate)
