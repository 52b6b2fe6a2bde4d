"""Trials: what a net does with some training flags up, tried on copies, so that neither net nor twin is touched."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from mcdrop.errors import NetError
from mcdrop.execution.plan import Twin
from mcdrop.execution.record import At, ParameterWriteError, Record
from mcdrop.execution.twin import every_module, structural_twin
from mcdrop.execution.uncounted import Uncounted, find_uncounted
from mcdrop.rng import reseed, spared
from mcdrop.sites import Level

__all__ = ["Trial", "Trials"]

_COPIED_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a copy.

    Attributes:
        record: What it did.
        uncounted: Where it drew past the interception.
        buffers: The copy's buffers afterwards.
        wrote_to_parameters: Whether it wrote to its parameters, which were its own then.
    """

    record: Record
    uncounted: tuple[Uncounted, ...]
    buffers: tuple[Tensor, ...]
    wrote_to_parameters: bool


@dataclass(slots=True)
class Trials:
    """Runs copies of a twin.

    Attributes:
        twin: The twin, in eval mode.
        record: What it does so.
        others: The same trials on other rows, once they are asked for.
        is_moved: Whether these are the trials on other rows.
    """

    twin: Twin
    record: Record
    others: "Trials | None" = None
    is_moved: bool = False
    _asleep: Trial | None = field(default=None, init=False)
    _known: dict[tuple[frozenset[str], At | None], Trial | None] = field(default_factory=dict, init=False)
    _seeded: bool = field(default=False, init=False)
    _base: Twin | None = field(default=None, init=False)

    def asleep(self) -> Trial:
        """Return the trial with no flag up; where the net draws uncounted, it and all others run on seeded generators.

        Raises:
            NetError: If the net refuses to run again.
        """
        if self._asleep is None:
            uncounted = find_uncounted(self.twin, self.record.given, self.record)
            self._seeded = bool(uncounted)
            copy = self._copy(frozenset())
            record = self._run(copy, guarded=False).forget_inputs()
            self._asleep = Trial(record, uncounted, tuple(copy.module.buffers()), wrote_to_parameters=False)
        return self._asleep

    def run(self, paths: frozenset[str], at: At | None = None) -> Trial | None:
        """Run a copy with the flags of these modules up; None where it refuses.

        Args:
            paths: Paths of the modules.
            at: At which noise some draws are made; default: all at their average.
        """
        if (paths, at) not in self._known:
            self.asleep()
            self._known[paths, at] = self._tried(paths, at)
        return self._known[paths, at]

    def _tried(self, paths: frozenset[str], at: At | None) -> Trial | None:
        owned = not self.record.guarded  # the net writes into its parameters anyhow, and has its own
        for wrote in (False, True):  # once more with parameters that it may write to, to see what else it does
            copy = self._copy(paths, own=wrote or owned)
            versions = _versions(copy.module)
            try:
                record = self._run(copy, at, guarded=not (wrote or owned))
            except ParameterWriteError:
                continue
            except NetError:
                return None
            uncounted = find_uncounted(copy, self.record.given, record)
            changed = versions != _versions(copy.module) and not owned
            return Trial(record.forget_inputs(), uncounted, tuple(copy.module.buffers()), wrote or changed)
        return None

    def changes_nothing_else(self, paths: frozenset[str], *, compare: bool) -> bool:
        """Whether flags up leave the outputs without noise and what is written to as they were.

        Args:
            paths: Paths of the modules.
            compare: Whether the outputs can be compared value by value; otherwise only their shape is.
        """
        base, trial = self.asleep(), self.run(paths)
        if trial is None or trial.wrote_to_parameters or trial.record.mutated != base.record.mutated:
            return False
        if not all(_same(a, b) for a, b in zip(base.buffers, trial.buffers, strict=False)):
            return False
        if compare:
            return base.record.same_output(trial.record)
        return base.record.output.shape == trial.record.output.shape

    def is_idle(self, paths: frozenset[str], stack: tuple[str, ...], kind: str) -> bool:
        """Whether the net gives what it gives asleep whatever is drawn at one place, as with a rate of 0.

        Both on the rows that the net is surveyed with and on others, since zeros, say, hide what multiplies them.

        Args:
            paths: Paths of the modules whose flags are up.
            stack: Paths of the modules that run while it is drawn.
            kind: What is drawn.
        """
        levels: tuple[Level, ...] = ("low", "high", "mixed")
        ends = (self.run(paths, At(level, stack, kind)) for level in levels)
        if not all(end is not None and self.asleep().record.same_output(end.record) for end in ends):
            return False
        return self._moved is None or self._moved.is_idle(paths, stack, kind)

    @property
    def _moved(self) -> "Trials | None":
        """The same trials on other rows; None on these, and where the net refuses them."""
        if self.others is None and not self.is_moved:
            given = self.record.given
            try:
                record = Record(
                    self._copy(frozenset()), given.map(_moved, start=0, size=given.size), guarded=self.record.guarded
                )
                self.others = Trials(self.twin, record, is_moved=True)
            except NetError:
                self.is_moved = True
        return self.others

    def _copy(self, paths: frozenset[str], *, own: bool = False) -> Twin:
        if self._base is None:  # on parameters of their own where memory allows: a guard can't see every writing
            size = sum(parameter.numel() * parameter.element_size() for parameter in self.twin.module.parameters())
            base = structural_twin(self.twin.module, own_parameters=size <= _COPIED_BYTES)
            self._base = replace(self.twin, module=base)
        copy = replace(self.twin, module=structural_twin(self._base.module, own_parameters=own))
        modules = every_module(copy.module)
        for path in paths:
            modules[path].training = True
        return copy

    def _run(self, copy: Twin, at: At | None = None, *, guarded: bool = True) -> Record:
        if not self._seeded:
            return Record(copy, self.record.given, at=at, guarded=guarded)
        with spared():
            reseed(0)
            return Record(copy, self.record.given, at=at, guarded=guarded)


def _moved(tensor: Tensor) -> Tensor:
    """Return other floating values, and the same indices."""
    if not tensor.is_floating_point():
        return tensor
    steps = torch.arange(1, tensor.numel() + 1, dtype=torch.float64, device=tensor.device)
    return tensor + (steps * 0.618).frac().add(0.5).reshape(tensor.shape).to(tensor.dtype)


def _versions(net: nn.Module) -> list[int]:
    return [-1 if parameter.is_inference() else parameter._version for parameter in net.parameters()]


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())
