r"""Where noise enters a forward pass: interception of the dropout family, and the audit table.

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

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mcdrop.errors import NetError
from mcdrop.fused import unfold
from mcdrop.masks import RowLayout

__all__ = ["DropoutCall", "Interception", "Site", "SiteTable", "affine_noise", "declared_rate"]

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
        training: The flag the call came with.
    """

    func: Callable[..., Any]
    kind: str
    input: Tensor
    rate: float
    inplace: bool
    training: bool

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

    def identity(self) -> Any:
        """Return what the function gives when it drops nothing; torch checks rate and shape on the way."""
        if self.kind == "native_dropout":
            return self.func(self.input, self.rate, False)
        return self.func(self.input, self.rate, False, *([self.inplace] if self.func in _FUNCTIONALS else []))


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


def _read(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DropoutCall:
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
        training=bool(given.get("training", given.get("train", True))),
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


class Interception(TorchFunctionMode):
    """Hands every dropout call made while it is active to `on_site`, whatever the call's training flag."""

    def __init__(self, on_site: Callable[[DropoutCall], Any]) -> None:
        """Watch with a callback that returns what the call shall return."""
        super().__init__()
        self._on_site = on_site

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Divert dropout, let everything else pass."""
        if func in _INTERCEPTED:
            return self._on_site(_read(func, args, kwargs or {}))
        unfolded = unfold(func, args, kwargs or {})
        if unfolded is not None:
            with self:  # a mode is off inside its own handler; on again, it sees the dropout inside the fused call
                return unfolded()
        return self.other(func, args, kwargs or {})

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function that is not dropout."""
        return func(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class Site:
    """One row of the audit: a place where dropout noise enters, or where a module promised it and none does.

    Attributes:
        index: Number of the site in call order, or None for a declared module that never fired.
        module: Path of the module whose forward made the call ("" is the net itself).
        kind: Name of the dropout function in torch, or the module's class where nothing fired.
        rate: Dropout rate p.
        mask_shape: Shape of the mask over a batch of one row; None where nothing fired.
        layout: Where the rows of a batch lie in the mask; None where it holds no rows.
        inplace: Whether the call changes its input.
        dtype: Type of the tensor that is dropped.
        device: Where that tensor is.
    """

    index: int | None
    module: str
    kind: str
    rate: float
    mask_shape: tuple[int, ...] | None = None
    layout: RowLayout | None = field(default=None, repr=False)
    inplace: bool = False
    dtype: torch.dtype = field(default=torch.float32, repr=False)
    device: torch.device = field(default=torch.device("cpu"), repr=False)

    @property
    def fired(self) -> int:
        """How often the site fires in one pass."""
        return 0 if self.index is None else 1

    @property
    def live(self) -> bool:
        """Whether the site adds any spread: it fires, at a rate above 0."""
        return self.index is not None and self.rate > 0

    def batch_shape(self, rows: int) -> tuple[int, ...]:
        """Return the shape of the mask over a batch of so many rows."""
        shape = self.mask_shape or ()
        if self.layout is None:
            return shape
        axis = self.layout.axis
        return (*shape[:axis], rows * self.layout.repeats, *shape[axis + 1 :])


@dataclass(frozen=True, slots=True)
class SiteTable:
    """The audit of a net: all sites in call order, then declared dropout that stayed silent.

    Printing it gives a table; it also counts, indexes and iterates like a tuple of `Site` rows.
    """

    rows: tuple[Site, ...]

    @property
    def live(self) -> tuple[Site, ...]:
        """The sites that add spread."""
        return tuple(site for site in self.rows if site.live)

    @property
    def silent(self) -> tuple[Site, ...]:
        """Dropout that adds none: it never fires, or fires at rate 0."""
        return tuple(site for site in self.rows if not site.live)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Site:
        """Return one row."""
        return self.rows[index]

    def __iter__(self) -> Iterator[Site]:
        """Iterate over the rows."""
        return iter(self.rows)

    def __str__(self) -> str:
        """Return the table as text."""
        head = ("site", "module", "kind", "rate", "mask", "fired", "state")
        cells = [head, *(_cells(site) for site in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def _cells(site: Site) -> tuple[str, ...]:
    shape = "-" if site.mask_shape is None else " x ".join(map(str, site.mask_shape)) or "1"
    return (
        "-" if site.index is None else str(site.index),
        site.module or "(net)",
        site.kind,
        f"{site.rate:g}",
        shape,
        str(site.fired),
        "live" if site.live else "silent",
    )


def declared_rate(module: nn.Module) -> float:
    """Return the dropout rate a module declares, 0 for a module that declares none.

    Args:
        module: Any module; its children are not looked at.

    Returns:
        A rate in [0, 1].
    """
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return float(module.p)
    if isinstance(module, nn.MultiheadAttention):
        return float(module.dropout)
    if isinstance(module, nn.RNNBase) and module.num_layers > 1:
        return float(module.dropout)
    return 0.0
