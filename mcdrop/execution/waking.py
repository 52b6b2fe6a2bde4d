"""Waking: dropout that a net hides in eval mode is found by raising training flags on a copy, and only its own stay up.

Code such as `if self.training: x = F.dropout(x, p)` or `dropout_p=p if self.training else 0.0` makes no dropout call in
eval mode, or one at rate 0. A trial with the flags of all suspect modules up shows the calls that are missing. Then the
flags of as few modules as possible are raised, those nearest to each call, and only if without noise the net still
gives what it gave and its buffers stay as they were. Normalization layers are never suspects.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from mcdrop.errors import NetError
from mcdrop.execution.plan import Twin
from mcdrop.execution.record import ParameterWriteError, Passed, Record, Uncounted, find_uncounted
from mcdrop.execution.twin import structural_twin
from mcdrop.rng import reseed, spared
from mcdrop.sites import DrawCall, Level, Site, declared_rate, declares

__all__ = ["wake"]

_CHANGES_MORE = "training mode changes more there than dropout"
_NOT_DROPOUT = "drawn in training mode only, and not called dropout"


def wake(twin: Twin, record: Record) -> list[Site]:
    """Raise the flags of the modules that hide dropout in eval mode.

    Args:
        twin: The structural twin, in eval mode; the flags of some of its modules are raised.
        record: What it does in eval mode.

    Returns:
        Rows for what was found hidden and stays silent.
    """
    modules = dict(twin.module.named_modules())
    suspects = frozenset(path for path, module in modules.items() if _may_hide(module))
    known = _places(twin, record)
    if known:  # its output changes from run to run unless it is seeded
        record = _record(twin, record, seeded=True)
    search = _Search(twin, record, suspects, known=known, modules=modules)
    if suspects:
        search.run()
    scripted = [path for path, module in modules.items() if isinstance(module, torch.jit.ScriptModule)]
    raised = search.raised | (_scripted_dropout(search, modules, scripted) if scripted else frozenset())
    for path in raised:
        modules[path].training = True
    return search.silent


@dataclass(frozen=True, slots=True)
class _Hidden:
    """A stochastic call that a net makes in training mode only.

    Attributes:
        stack: Paths of the modules that were running.
        kind: What it draws.
        rate: At which rate; None for a draw without one.
        neutral: Whether it does nothing at its average, so that the net's output can be compared.
        counted: Whether the interception sees it.
    """

    stack: tuple[str, ...]
    kind: str
    rate: float | None
    neutral: bool
    counted: bool = True

    @classmethod
    def of(cls, site: Passed) -> "_Hidden":
        call = site.call
        uniform = isinstance(call, DrawCall) and call.law == "uniform" and call.kind != "bernoulli"
        return cls(site.stack, call.kind, call.rate, not uniform)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A copy of the net with some flags up, what it did, and whether its parameters and buffers stayed as they were."""

    twin: Twin
    record: Record
    wrote_nothing: bool


@dataclass(slots=True)
class _Search:
    """Which flags to raise, found by trials on copies of the twin."""

    twin: Twin
    record: Record
    suspects: frozenset[str]
    known: tuple[Uncounted, ...]
    modules: dict[str, nn.Module]
    raised: frozenset[str] = frozenset()
    silent: list[Site] = field(default_factory=list)

    def run(self) -> None:
        owners = self._owners(self._hidden(self.suspects))
        meant = {item: paths for item, paths in owners.items() if self._is_meant(item, paths)}
        self._settle({item: paths for item, paths in meant.items() if item.neutral}, compare=True)
        for item, paths in owners.items():
            if item.neutral and item in meant:
                continue
            if item.counted and self._is_inert(paths):
                continue
            if item in meant:
                self._settle({item: paths}, compare=False)
            else:
                self._leave([item], _NOT_DROPOUT)

    def _is_meant(self, item: _Hidden, paths: frozenset[str]) -> bool:
        """Whether a call is dropout: by what it is, or by what the modules around it declare."""
        return item.rate is not None or any(declares(self.modules[path]) for path in paths)

    def trial(self, paths: Iterable[str], level: Level = "mean") -> _Trial | None:
        """Run a copy with these flags up; None where it refuses."""
        copy = self._raised_copy(paths)
        try:
            record = _record(copy, self.record, level, seeded=bool(self.known))
            pairs = zip(self.twin.module.buffers(), copy.module.buffers(), strict=False)
            return _Trial(copy, record, all(_same(a, b) for a, b in pairs))
        except ParameterWriteError:  # look what else it does, with parameters that it may write to
            copy = self._raised_copy(paths, own_parameters=True)
        except NetError:
            return None
        try:
            return _Trial(
                copy, _record(copy, self.record, level, guarded=False, seeded=bool(self.known)), wrote_nothing=False
            )
        except NetError:
            return None

    def _raised_copy(self, paths: Iterable[str], *, own_parameters: bool = False) -> Twin:
        copy = replace(self.twin, module=structural_twin(self.twin.module, own_parameters=own_parameters))
        modules = dict(copy.module.named_modules())
        for path in paths:
            modules[path].training = True
        return copy

    def _hidden(self, paths: frozenset[str]) -> list[_Hidden]:
        """Return what fires with flags up and not otherwise; where the net fails, of the halves that it runs with."""
        trial = self.trial(paths)
        if trial is not None:
            return self._new(trial)
        if len(paths) == 1:
            return []
        ordered = sorted(paths)
        half = len(ordered) // 2
        found = [*self._hidden(frozenset(ordered[:half])), *self._hidden(frozenset(ordered[half:]))]
        return list(dict.fromkeys(found))

    def _new(self, trial: _Trial) -> list[_Hidden]:
        before = Counter(_Hidden.of(site) for site in self.record.passed if site.call.live)
        after = Counter(_Hidden.of(site) for site in trial.record.passed if site.call.live)
        places = [place for place in _places(trial.twin, trial.record) if place not in self.known]
        uncounted = [_Hidden(place.stack, place.kind, None, neutral=False, counted=False) for place in places]
        return [*(after - before), *uncounted]

    def _owners(self, hidden: list[_Hidden]) -> dict[_Hidden, frozenset[str]]:
        """Find for each call the fewest flags, from the innermost module outwards, that make it fire."""
        chains = {item: [path for path in reversed(item.stack) if path in self.suspects] for item in hidden}
        depth = dict.fromkeys(hidden, 1)
        while True:
            paths = {item: frozenset(chains[item][: depth[item]]) for item in hidden}
            trial = self.trial(frozenset().union(*paths.values())) if hidden else None
            fired = set() if trial is None else set(self._new(trial))
            higher = [item for item in hidden if item not in fired and depth[item] < len(chains[item])]
            if not higher:
                break
            for item in higher:
                depth[item] += 1
        self._leave([item for item in hidden if item not in fired], _CHANGES_MORE)
        return {item: paths[item] for item in hidden if item in fired}

    def _settle(self, owners: dict[_Hidden, frozenset[str]], *, compare: bool) -> None:
        """Raise the flags, all at once or else owner by owner, where that changes nothing but the dropout."""
        together = frozenset().union(*owners.values())
        if not together - self.raised:
            return
        if self._is_clean(together, compare=compare):
            self.raised |= together
            return
        for paths in dict.fromkeys(owners.values()):
            if self._is_clean(paths, compare=compare):
                self.raised |= paths
            else:
                self._leave([item for item in owners if owners[item] == paths], _CHANGES_MORE)

    def _is_clean(self, paths: frozenset[str], *, compare: bool) -> bool:
        trial = self.trial(self.raised | paths)
        if trial is None or not trial.wrote_nothing or trial.record.mutated != self.record.mutated:
            return False
        if compare:
            return self.record.same_output(trial.record)
        return self.record.output.shape == trial.record.output.shape

    def _is_inert(self, paths: frozenset[str]) -> bool:
        """Whether a draw changes nothing at either end, as one that is compared with a rate of 0."""
        ends: tuple[Level, Level] = ("low", "high")
        trials = [self.trial(paths, level) for level in ends]
        return all(trial is not None and self.record.same_output(trial.record) for trial in trials)

    def _leave(self, items: list[_Hidden], reason: str) -> None:
        for item in items:
            path = item.stack[-1] if item.stack else ""
            rate = item.rate
            if rate is None and reason is not _NOT_DROPOUT:
                rate = declared_rate(self.modules[path]) or None
            self.silent.append(Site(index=None, module=path, kind=item.kind, rate=rate, reason=reason))


def _record(twin: Twin, like: Record, level: Level = "mean", *, guarded: bool = True, seeded: bool) -> Record:
    """Run what a record was made of again, maybe on global generators seeded for it."""
    if not seeded:
        return Record(twin, like.given, level=level, guarded=guarded)
    with spared():
        reseed(0)
        return Record(twin, like.given, level=level, guarded=guarded)


def _places(twin: Twin, record: Record) -> tuple[Uncounted, ...]:
    return find_uncounted(twin, record.given, record)


def _scripted_dropout(search: _Search, modules: dict[str, nn.Module], scripted: list[str]) -> frozenset[str]:
    """Return which scripted modules to raise: all but normalization if that keeps the buffers, else dropout alone."""
    names = {path: str(getattr(modules[path], "original_name", "")).lower() for path in scripted}
    others = frozenset(path for path, name in names.items() if "norm" not in name)
    dropout = frozenset(path for path, name in names.items() if "drop" in name)
    for paths in (others, dropout):
        trial = search.trial(paths) if paths else None
        if trial is not None and trial.wrote_nothing and trial.record.output.shape == search.record.output.shape:
            return paths
    return frozenset()


def _may_hide(module: nn.Module) -> bool:
    """Whether a module is somebody's own, so that only it knows what it does with its flag."""
    if type(module).__module__.split(".")[0] == "torch" or isinstance(module, _NormBase | torch.jit.ScriptModule):
        return False
    return not any(name.startswith("running_") for name in module._buffers)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())
