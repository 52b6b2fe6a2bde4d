"""Waking: dropout that a net hides in eval mode is found by raising training flags on a copy, and only its own stay up.

Code such as `if self.training: x = F.dropout(x, p)` or `dropout_p=p if self.training else 0.0` makes no dropout call in
eval mode, or one at rate 0. A trial with the flags of all suspect modules up shows the calls that are missing. Then the
flags of as few modules as possible are raised, those nearest to each call, and only if without noise the net still
gives what it gave and writes what it wrote. The normalization layers of torch are never suspects.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from mcdrop.execution.plan import Twin
from mcdrop.execution.record import Passed, Record
from mcdrop.execution.trials import Trial, Trials
from mcdrop.execution.twin import every_module
from mcdrop.sites import DrawCall, Site, declared_rate, declares, is_dropout, speaks_of_dropout

__all__ = ["Waking", "wake"]

_CHANGES_MORE = "training mode changes more there than dropout"
_NOT_DROPOUT = "drawn in training mode only, and not called dropout"


@dataclass(slots=True)
class Waking:
    """What became of the dropout that a net hides.

    Attributes:
        silent: Rows for what was found and stays silent.
        zero: Paths of the modules whose calls at rate 0 have that rate in training mode, too.
        idle: Stack and kind of draws that seem to change nothing in the output.
    """

    silent: list[Site] = field(default_factory=list)
    zero: set[str] = field(default_factory=set)
    idle: set[tuple[tuple[str, ...], str]] = field(default_factory=set)


def wake(twin: Twin, record: Record) -> Waking:
    """Raise the flags of the modules that hide dropout in eval mode.

    Args:
        twin: The structural twin, in eval mode; the flags of some of its modules are raised.
        record: What it does in eval mode.

    Returns:
        What was found.
    """
    modules = every_module(twin.module)
    suspects = {path for path, module in modules.items() if _may_hide(module)}
    if suspects:  # somebody's own code, which may also ask a dropout module for its flag
        suspects |= {path for path, module in modules.items() if isinstance(module, _DropoutNd)}
    scripted = [path for path, module in modules.items() if isinstance(module, torch.jit.ScriptModule)]
    search = _Search(Trials(twin, record), modules, frozenset(suspects))
    search.run()
    raised = search.raised | _scripted_dropout(search.trials, modules, scripted)
    for path in raised:
        modules[path].training = True
    return search.found


@dataclass(frozen=True, slots=True)
class _Hidden:
    """A stochastic call that a net makes in training mode only.

    Attributes:
        stack: Paths of the modules that were running.
        kind: What it draws.
        rate: At which rate; None for a draw without one.
        neutral: Whether it does nothing at its average, so that the net's output can be compared.
        counted: Whether the interception sees it.
        drawn_by: Name of the function that drew random numbers; empty for dropout.
    """

    stack: tuple[str, ...]
    kind: str
    rate: float | None
    neutral: bool
    counted: bool = True
    drawn_by: str = ""

    @classmethod
    def of(cls, site: Passed) -> "_Hidden":
        call = site.call
        uniform = isinstance(call, DrawCall) and call.law == "uniform" and call.kind != "bernoulli"
        return cls(site.stack, call.kind, call.rate, not uniform, drawn_by=site.drawn_by)


@dataclass(slots=True)
class _Search:
    """Which flags to raise."""

    trials: Trials
    modules: dict[str, nn.Module]
    suspects: frozenset[str]
    raised: frozenset[str] = frozenset()
    found: Waking = field(default_factory=Waking)

    def run(self) -> None:
        owners = self._owners(self._hidden(self.suspects)) if self.suspects else {}
        meant = {item: paths for item, paths in owners.items() if self._is_meant(item, paths)}
        self._settle({item: paths for item, paths in meant.items() if item.neutral}, compare=True)
        rest = {item: paths for item, paths in owners.items() if not (item.neutral and item in meant)}
        used = {item: paths for item, paths in rest.items() if not self._may_be_idle(item, paths)}
        self._settle({item: paths for item, paths in used.items() if item in meant}, compare=False)
        self._leave([item for item in used if item not in meant], _NOT_DROPOUT)
        for item in dict.fromkeys(map(_Hidden.of, self.trials.record.passed)):
            if item.rate is None and self._is_idle(item, frozenset()):
                self._use(item)

    def _may_be_idle(self, item: _Hidden, paths: frozenset[str]) -> bool:
        """Whether a draw is compared with a rate of 0: not if a module named after dropout has a rate above it."""
        if not item.counted or any(is_dropout(self.modules[path]) for path in paths):
            return False
        return self._is_idle(item, paths)

    def _hidden(self, paths: frozenset[str]) -> list[_Hidden]:
        """Return what fires with flags up and not otherwise; where the net fails, of the halves that it runs with."""
        trial = self.trials.run(paths)
        if trial is not None:
            at_zero = (site for site in trial.record.passed if site.call.rate == 0 and site.module in paths)
            self.found.zero |= {site.module for site in at_zero if paths.issuperset(self._chain(site.stack))}
            return self._new(trial)
        if len(paths) == 1:
            return []
        ordered = sorted(paths)
        half = len(ordered) // 2
        found = [*self._hidden(frozenset(ordered[:half])), *self._hidden(frozenset(ordered[half:]))]
        return list(dict.fromkeys(found))

    def _new(self, trial: Trial) -> list[_Hidden]:
        asleep = self.trials.asleep()
        before = Counter(_Hidden.of(site) for site in asleep.record.passed if site.call.live)
        after = Counter(_Hidden.of(site) for site in trial.record.passed if site.call.live)
        places = [place for place in trial.uncounted if place not in asleep.uncounted]
        uncounted = [_Hidden(place.stack, place.kind, None, neutral=False, counted=False) for place in places]
        return [*(after - before), *uncounted]

    def _chain(self, stack: tuple[str, ...]) -> list[str]:
        """Return the suspects that were running, the innermost first, each with the dropout modules that it holds."""
        found: list[str] = []
        for path in reversed(stack):
            found += [path] if path in self.suspects else []
            held = (f"{path}.{name}" if path else name for name, _ in self.modules[path].named_children())
            found += [child for child in held if isinstance(self.modules.get(child), _DropoutNd)]
        return list(dict.fromkeys(found))

    def _owners(self, hidden: list[_Hidden]) -> dict[_Hidden, frozenset[str]]:
        """Find for each call the fewest flags, from the innermost module outwards, that make it fire."""
        chains = {item: self._chain(item.stack) for item in hidden}
        depth = dict.fromkeys(hidden, 1)
        fired: set[_Hidden] = set()
        paths: dict[_Hidden, frozenset[str]] = {}
        higher = hidden
        while higher:
            paths = {item: frozenset(chains[item][: depth[item]]) for item in hidden}
            trial = self.trials.run(frozenset(chain.from_iterable(paths.values())))
            fired = set() if trial is None else set(self._new(trial))
            higher = [item for item in hidden if item not in fired and depth[item] < len(chains[item])]
            for item in higher:
                depth[item] += 1
        self._leave([item for item in hidden if item not in fired], _CHANGES_MORE)
        return {item: paths[item] for item in hidden if item in fired}

    def _settle(self, owners: dict[_Hidden, frozenset[str]], *, compare: bool) -> None:
        """Raise the flags, all at once or else owner by owner, where that changes nothing but the dropout."""
        together = frozenset(chain.from_iterable(owners.values()))
        if together <= self.raised:
            return
        if self.trials.changes_nothing_else(self.raised | together, compare=compare):
            self.raised |= together
            return
        for paths in dict.fromkeys(owners.values()):
            if self.trials.changes_nothing_else(self.raised | paths, compare=compare):
                self.raised |= paths
            else:
                self._leave([item for item in owners if owners[item] == paths], _CHANGES_MORE)

    def _use(self, item: _Hidden) -> None:
        """Raise the flags with which a draw is used that was made for nothing, as a net may draw before it asks."""
        running = self._chain(item.stack)
        for depth in range(1, len(running) + 1):
            paths = frozenset(running[:depth])
            if not self._is_idle(item, paths):
                if self._is_meant(item, paths):
                    self._settle({item: paths}, compare=False)
                else:
                    self._leave([item], _NOT_DROPOUT)
                return
        self.found.idle.add((item.stack, item.kind))

    def _is_idle(self, item: _Hidden, paths: frozenset[str]) -> bool:
        return self.trials.is_idle(paths, item.stack, item.kind)

    def _is_meant(self, item: _Hidden, paths: frozenset[str]) -> bool:
        """Whether a call is dropout: by what it is, or by what the modules around it declare."""
        if item.rate is not None or speaks_of_dropout(item.drawn_by):
            return True
        return any(declares(self.modules[path], by_config=item.counted) for path in paths)

    def _leave(self, items: list[_Hidden], reason: str) -> None:
        for item in items:
            path = item.stack[-1] if item.stack else ""
            rate = item.rate
            if rate is None and reason is not _NOT_DROPOUT:
                rate = declared_rate(self.modules[path]) or None
            self.found.silent.append(Site(index=None, module=path, kind=item.kind, rate=rate, reason=reason))


def _scripted_dropout(trials: Trials, modules: dict[str, nn.Module], scripted: list[str]) -> frozenset[str]:
    """Return which scripted modules to raise: all but normalization if nothing else changes, else dropout alone."""
    names = {path: str(getattr(modules[path], "original_name", "")).lower() for path in scripted}
    others = frozenset(path for path, name in names.items() if "norm" not in name)
    dropout = frozenset(path for path, name in names.items() if "drop" in name)
    for paths in (others, dropout):
        if paths and trials.changes_nothing_else(paths, compare=False):
            return paths
    return frozenset()


def _may_hide(module: nn.Module) -> bool:
    """Whether somebody's own code runs in a module, so that only it knows what it does with the flag."""
    if isinstance(module, _NormBase | torch.jit.ScriptModule):
        return False
    if not _is_torchs(type(module)):
        return True
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    return not all(_is_torchs(hook) or _is_torchs(type(hook)) for hook in hooks)


def _is_torchs(code: object) -> bool:
    return str(getattr(code, "__module__", "")).split(".")[0] == "torch"
