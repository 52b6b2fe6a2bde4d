"""A record of one forward pass without noise: which sites it passes, what it gives, what it moves."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mcdrop.errors import NetError
from mcdrop.execution.plan import Twin, run_net
from mcdrop.execution.twin import every_module, own_parameters
from mcdrop.fused import time_steps
from mcdrop.inputs import Batch
from mcdrop.rng import GlobalState
from mcdrop.sites import DrawCall, DropoutCall, Interception, Level, SiteCall

__all__ = ["At", "ParameterWriteError", "Passed", "Record", "first_record", "paths"]


class ParameterWriteError(NetError):
    """A guarded run was about to write into what belongs to the user; the run is given up."""


@dataclass(frozen=True, slots=True)
class At:
    """At which noise the draws of one place are made, instead of their average.

    Attributes:
        level: The noise.
        stack: Paths of the modules that run while they are made.
        kind: What is drawn.
    """

    level: Level
    stack: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Passed:
    """A site that a forward pass met.

    Attributes:
        stack: Paths of the modules that were running, the net itself first.
        call: The call.
        shape: Shape of its mask over the batch.
        drawn_by: Name of the function that drew random numbers; empty for dropout.
    """

    stack: tuple[str, ...]
    call: SiteCall
    shape: tuple[int, ...]
    drawn_by: str = ""

    @property
    def module(self) -> str:
        """Path of the module whose forward made the call."""
        return self.stack[-1] if self.stack else ""


def first_record(twin: Twin, batch: Batch) -> "Record":
    """Run a net for the first time; if it writes into its parameters, give it some of its own before.

    Args:
        twin: What to run.
        batch: What to run it on.

    Raises:
        NetError: If the net refuses the inputs.
    """
    try:
        return Record(twin, batch, guarded=True)
    except ParameterWriteError:
        own_parameters(twin.module)
        return Record(twin, batch)


class Record:
    """One forward pass in which dropout is the identity and draws are what they are on average.

    Attributes:
        given: What the net was to be run on.
        guarded: Whether it would have been stopped from writing into parameters.
        batch: The copy that it was run on.
        output: What it gave.
        passed: The sites it met, in order.
        sequences: Paths of the modules that called recurrent nets or attention, and the time steps they gave them.
        mutated: Whether it wrote into its inputs.
        before: Where the global generators stood.
        moved: Names of the global generators that moved meanwhile, by the net or by another thread.
        prefix: Bytes of all results before the first live site.
        suffix: Bytes of all results from there on.
        widest: Bytes of the largest result.
        widest_noisy: Bytes of the largest result from the first live site on.
    """

    def __init__(self, twin: Twin, batch: Batch, *, at: At | None = None, guarded: bool = False) -> None:
        """Run the net.

        Args:
            twin: What to run.
            batch: What to run it on; it is copied first.
            at: At which noise some draws are made; default: all at their average.
            guarded: Whether writing into parameters is refused.

        Raises:
            NetError: If the net refuses the inputs.
        """
        self.at, self.given, self.guarded = at, batch, guarded
        self.passed: list[Passed] = []
        self.sequences: list[tuple[str, int]] = []
        self.prefix = self.suffix = self.widest = self.widest_noisy = 0
        self.stack: list[str] = []
        self._noisy = False
        with torch.inference_mode(False):  # tensors made in inference mode do not count what is written to them
            self.batch = batch.cloned()
        versions = [tensor._version for tensor in self.batch.tensors()]
        self.before = GlobalState.now()
        mode = _Guard(self, twin.module) if guarded else _Accountant(self)
        with torch.no_grad(), paths(twin.module, self.stack), mode:
            self.output = run_net(twin, self.batch)
        self.moved = self.before.names_moved()
        after = self.batch.tensors()
        self.mutated = versions != [tensor._version for tensor in after] or not all(
            torch.equal(a, b)
            for a, b in zip(batch.tensors(), after, strict=True)  # `.data` leaves no version
        )

    def on_site(self, call: SiteCall) -> Any:
        """Take note of a site, and let it do nothing."""
        stack = tuple(self.stack)
        self.passed.append(Passed(stack, call, call.mask_shape, _caller() if isinstance(call, DrawCall) else ""))
        self._noisy = self._noisy or call.live
        here = self.at is not None and (self.at.stack, self.at.kind) == (stack, call.kind)
        result = call.identity(self.at.level if self.at is not None and here else "mean")
        self.count(result)  # a pass holds what the dropout call itself gives, too
        return result

    def count(self, result: Any) -> None:
        """Take note of the size of a result."""
        if not isinstance(result, Tensor):
            return
        size = result.numel() * result.element_size()
        self.widest = max(self.widest, size)
        if self._noisy:
            self.suffix += size
            self.widest_noisy = max(self.widest_noisy, size)
        else:
            self.prefix += size

    def forget_inputs(self) -> "Record":
        """Let go of what entered the sites, for a record that is kept only for what fired and what came out."""
        nothing = torch.empty(0)
        self.passed = [
            replace(site, call=replace(site.call, input=nothing)) if isinstance(site.call, DropoutCall) else site
            for site in self.passed
        ]
        return self

    def signature(self) -> list[tuple[str, str]]:
        """Return what makes two records comparable call by call."""
        return [(site.module, site.call.kind) for site in self.passed]

    def same_output(self, other: "Record") -> bool:
        """Whether two records gave the same, up to the rounding of another order of operations."""
        mine, theirs = self.output, other.output
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            return False
        if not (mine.is_floating_point() or mine.is_complex()):
            return torch.equal(mine, theirs)
        tolerance = 64 * torch.finfo(mine.dtype).eps
        scale = mine.abs().nan_to_num(0, 0, 0).max().item() if mine.numel() else 0.0
        return torch.allclose(mine, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _caller() -> str:
    """Return the name of the innermost function up the stack that is neither mcdrop's nor torch's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("mcdrop", "torch"):
        frame = frame.f_back
    return frame.f_code.co_name


@contextmanager
def paths(net: nn.Module, stack: list[str], event: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Keep the paths of the modules that are running in `stack`, the innermost on top.

    Args:
        net: A net of one's own, which hooks may be put on.
        stack: Where to keep them.
        event: What to do before the stack changes.

    Yields:
        Nothing.
    """

    def enter(name: str, *_: Any) -> None:
        event()
        stack.append(name)

    def leave(*_: Any) -> None:
        event()
        if stack:  # empty when another hook raised before this module's name was put on top
            stack.pop()

    handles = []
    for name, module in every_module(net).items():
        if not isinstance(module, torch.jit.ScriptModule):  # what calls them is not Python
            handles.append(module.register_forward_pre_hook(partial(enter, name), prepend=True))
            handles.append(module.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Accountant(Interception):
    """Counts the bytes of every result."""

    def __init__(self, record: Record) -> None:
        super().__init__(record.on_site)
        self._record = record

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        steps = time_steps(func, args, kwargs or {})
        if steps is not None:
            self._record.sequences.append((self._record.stack[-1] if self._record.stack else "", steps))
        return super().__torch_function__(func, types, args, kwargs)

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        self._record.count(result)
        return result


class _Guard(_Accountant):
    """Refuses to write into parameters: they are the user's own."""

    def __init__(self, record: Record, net: nn.Module) -> None:
        super().__init__(record)
        self._own = {p.untyped_storage().data_ptr() for p in net.parameters() if p.device.type != "meta"} - {0}

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for value in tree_leaves(_written(func, args, kwargs)):
            if isinstance(value, Tensor) and value.untyped_storage().data_ptr() in self._own:
                raise ParameterWriteError("the net writes into its parameters, which its twin shares")
        return super().other(func, args, kwargs)


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a call writes to, as far as its name and arguments tell."""
    name = getattr(func, "__name__", "")
    if kwargs.get("out") is not None:
        return kwargs["out"]
    if name == "__set__":  # of `data`: the same memory under the same name is no change
        same = len(args) > 1 and isinstance(args[1], Tensor) and args[1].data_ptr() == args[0].data_ptr()
        return None if same else args[0]
    if func is F.embedding:
        given = dict(zip(_EMBEDDING, args, strict=False)) | kwargs
        return given["weight"] if given.get("max_norm") is not None else None
    in_place = name.endswith("_") and not name.endswith("__")
    if in_place or name == "__setitem__" or name.startswith("__i") or kwargs.get("inplace"):
        return args[0] if args else kwargs.get("input")
    return None


_EMBEDDING = tuple(inspect.signature(F.embedding).parameters)
