r"""Random numbers that a forward draws itself: a Bernoulli variable for every row, say, as stochastic depth does.

Every draw is a function of uniform variables u in [0, 1) or of standard normal ones z, so that counted words give it
as they give a dropout mask:

- `rand`, `uniform`: $a + (b - a) u$; `bernoulli`: $1[u < p]$; `randint`: $\lfloor a + (b - a) u \rfloor$;
  `exponential`: $-\log(1 - u) / \lambda$;
- `randn`, `normal`: $\mu + \sigma z$ with $z = \Phi^{-1}(u)$.

Without noise a draw is what it is on average (p for a Bernoulli variable), or at u = 1/2 where that is no such number.

References:
    Huang, G. et al. (2016). Deep Networks with Stochastic Depth. ECCV. https://arxiv.org/abs/1603.09382 (eq. 2).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

__all__ = ["DrawCall", "Law", "Level", "read_draw"]

Law = Literal["uniform", "normal"]
"""Which variables a draw is made of."""

Level = Literal["mean", "low", "high", "mixed"]
"""At which noise a draw is made without drawing: its average, near either end, or spread evenly over its units."""

_GOLDEN = (5**0.5 - 1) / 2  # whose multiples fill the unit interval evenly
_LEVELS: dict[tuple[Law, Level], float] = {
    ("uniform", "mean"): 0.5,
    ("uniform", "low"): 2**-24,
    ("uniform", "high"): 1 - 2**-24,
    ("normal", "mean"): 0.0,
    ("normal", "low"): -3.0,
    ("normal", "high"): 3.0,
}


@dataclass(frozen=True, slots=True)
class DrawCall:
    """One intercepted call that draws random numbers.

    Attributes:
        kind: What is drawn.
        law: The variables it is made of.
        input: None: what is drawn depends on no tensor of the net's.
        rate: For a Bernoulli variable with a fixed probability, that of drawing 0; None for any other draw.
        inplace: Whether the numbers are written into a tensor.
        mask_shape: Shape of what is drawn.
        dtype: Type that the variables are drawn in.
        device: Where they are needed.
        finish: Takes the variables to the numbers.
        target: The tensor that is written to, for a draw in place.
        mean: The numbers without noise, where u = 1/2 would not give them.
    """

    kind: str
    law: Law
    rate: float | None
    inplace: bool
    mask_shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    finish: Callable[[Tensor], Tensor]
    target: Tensor | None = None
    mean: Callable[[], Tensor] | None = None
    input: None = None

    @property
    def live(self) -> bool:
        """Whether the numbers vary."""
        return self.rate != 0

    @property
    def key(self) -> float | bool:
        """What the variables depend on besides kind and shape: whether they are needed."""
        return self.live

    def result(self, factor: Tensor, summand: Tensor | None) -> Any:
        """Return what the function that was called would return, given the variables."""
        return self._written(self.finish(factor).expand(self.mask_shape))

    def identity(self, level: Level = "mean") -> Any:
        """Return what the function would return without noise."""
        if level == "mean" and self.mean is not None:
            return self._written(self.mean().expand(self.mask_shape))
        if level == "mixed":
            steps = torch.arange(1, math.prod(self.mask_shape) + 1, dtype=torch.float64, device=self.device)
            even = (steps * _GOLDEN).frac().reshape(self.mask_shape)
            return self.result((even if self.law == "uniform" else 6 * even - 3).to(self.dtype), None)
        value = torch.full((), _LEVELS[self.law, level], dtype=self.dtype, device=self.device)
        return self.result(value, None)

    def _written(self, values: Tensor) -> Tensor:
        if self.inplace and self.target is not None:
            return self.target.copy_(values)
        return values.clone()  # what follows may write to it


def read_draw(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
    """Read a call that draws random numbers.

    Args:
        func: Any function of torch.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        The call, not made yet; a generator that it names is left where it stands. None where the function draws
        nothing, or what is not one of these laws.
    """
    read = _READERS.get(func)
    if read is None or kwargs.get("out") is not None:
        return None
    return read(func, args, {name: value for name, value in kwargs.items() if name not in ("generator", "out")})


@dataclass(frozen=True, slots=True)
class _Form:
    """Shape, type and place of what a call makes, and the tensor it fills, if any."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    target: Tensor | None = None

    @classmethod
    def of(cls, tensor: Tensor, *, filled: bool = False) -> "_Form":
        return cls(tuple(tensor.shape), tensor.dtype, tensor.device, tensor if filled else None)

    @classmethod
    def made(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "_Form":
        """Read the form of what `rand` and its kin, or `rand_like` and its, would make."""
        like = args[0] if args and isinstance(args[0], Tensor) else kwargs.get("input")
        size = kwargs.get("size", next((value for value in args if isinstance(value, tuple | list)), None))
        if like is not None:
            shape, dtype, device = tuple(like.shape), like.dtype, like.device
        else:
            shape = tuple(args if size is None else size)
            dtype, device = torch.get_default_dtype(), torch.get_default_device()
        given = kwargs.get("dtype"), kwargs.get("device")
        return cls(shape, given[0] or dtype, device if given[1] is None else torch.device(given[1]))

    def call(
        self,
        kind: str,
        finish: Callable[[Tensor], Tensor],
        *,
        law: Law = "uniform",
        fine: bool = True,
        rate: float | None = None,
        mean: Callable[[], Tensor] | None = None,
    ) -> DrawCall | None:
        """Make the call; `fine` asks for variables of 32 random bits, whatever type the numbers are."""
        if self.dtype.is_complex:
            return None
        typed = None if mean is None else (lambda: mean().to(self.dtype))
        return DrawCall(
            kind=kind,
            law=law,
            rate=rate,
            inplace=self.target is not None,
            mask_shape=self.shape,
            dtype=torch.float64 if fine else self.dtype,
            device=self.device,
            finish=lambda value: finish(value).to(self.dtype),
            target=self.target,
            mean=typed,
        )

    def full(self, value: float) -> Tensor:
        return torch.full(self.shape, value, dtype=torch.float64, device=self.device)


Reader = Callable[[Any, tuple[Any, ...], dict[str, Any]], DrawCall | None]


def _read_rand(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
    return _Form.made(args, kwargs).call("rand", lambda u: u, fine=False)


def _read_randn(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
    return _Form.made(args, kwargs).call("randn", lambda z: z, law="normal")


def _read_randint(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
    ends = [value for value in args if isinstance(value, int)]
    low = kwargs.get("low", ends[0] if len(ends) > 1 else 0)
    high = kwargs.get("high", ends[-1] if ends else None)
    like = args[:1] if args and isinstance(args[0], Tensor) else ()
    sized = [value for value in args if isinstance(value, tuple | list)]
    form = _Form.made((*like, *sized), {"dtype": None if like else torch.int64} | kwargs)
    return None if high is None else form.call("randint", lambda u: (low + u * (high - low)).floor())


def _read_bernoulli(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, inplace: bool) -> DrawCall | None:
    form = _Form.of(args[0] if args else kwargs["input"], filled=inplace)
    p = kwargs.get("p", args[1] if len(args) > 1 else 0.5 if inplace else None)
    if isinstance(p, torch.Generator):
        return None
    if p is None:
        p = args[0] if args else kwargs["input"]
    if isinstance(p, Tensor):
        probs = p.double()
        mean = probs if form.dtype.is_floating_point else (probs > 0.5)
        return form.call("bernoulli", lambda u: u < probs, mean=lambda: mean)
    average = form.full(p if form.dtype.is_floating_point else float(p > 0.5))
    return form.call("bernoulli", lambda u: u < p, rate=round(min(max(1 - p, 0.0), 1.0), 12), mean=lambda: average)


def _read_uniform_(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
    low, high = _options(args, kwargs, ("from", 0.0), ("to", 1.0))
    return _Form.of(args[0], filled=True).call("uniform", lambda u: low + u * (high - low), fine=False)


def _read_normal_(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
    mean, std = _options(args, kwargs, ("mean", 0.0), ("std", 1.0))
    return _Form.of(args[0], filled=True).call("normal", lambda z: mean + std * z, law="normal")


def _read_exponential_(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
    (rate,) = _options(args, kwargs, ("lambd", 1.0))
    form = _Form.of(args[0], filled=True)
    return form.call("exponential", lambda u: -torch.log1p(-u) / rate, mean=lambda: form.full(1 / rate))


def _read_normal(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
    names = dict(zip(("mean", "std", "size"), args, strict=False)) | kwargs
    mean, std = names.get("mean", 0.0), names.get("std", 1.0)
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        like = torch.as_tensor(mean) * torch.as_tensor(std)
        form = _Form(tuple(like.shape), like.dtype, (mean if isinstance(mean, Tensor) else std).device)
    else:
        form = _Form.made((names["size"],), kwargs)
    return form.call("normal", lambda z: mean + std * z, law="normal")


def _options(args: tuple[Any, ...], kwargs: dict[str, Any], *known: tuple[str, float]) -> tuple[Any, ...]:
    return tuple(
        args[i] if len(args) > i else kwargs.get(name, default) for i, (name, default) in enumerate(known, start=1)
    )


def _readers() -> dict[Any, Reader]:
    """Map every function that draws, under all of its names in torch, to what reads its arguments."""

    def in_place(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
        return _read_bernoulli(func, args, kwargs, inplace=True)

    def new(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DrawCall | None:
        return _read_bernoulli(func, args, kwargs, inplace=False)

    readers: dict[str, Reader] = {
        "rand": _read_rand,
        "rand_like": _read_rand,
        "randn": _read_randn,
        "randn_like": _read_randn,
        "randint": _read_randint,
        "randint_like": _read_randint,
        "normal": _read_normal,
        "bernoulli": new,
        "bernoulli_": in_place,
        "uniform_": _read_uniform_,
        "normal_": _read_normal_,
        "exponential_": _read_exponential_,
    }
    found: dict[Any, Reader] = {}
    for name, reader in readers.items():
        packet = getattr(torch.ops.aten, name, None)
        overloads = [] if packet is None else [getattr(packet, overload) for overload in packet.overloads()]
        for func in (getattr(torch, name, None), getattr(Tensor, name, None), packet, *overloads):
            if func is not None:
                found[func] = reader
    return found


_READERS = _readers()
