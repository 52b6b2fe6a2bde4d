"""What a forward draws past the interception: found by the global generators that it moves."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn

from mcdrop.execution.plan import Twin, run_net
from mcdrop.execution.record import Record, paths
from mcdrop.execution.twin import every_module
from mcdrop.inputs import Batch
from mcdrop.rng import GlobalState
from mcdrop.sites import Interception

__all__ = ["Uncounted", "find_uncounted"]


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A place where a forward draws past the interception.

    Attributes:
        stack: Paths of the modules that were running.
        kind: The function that drew, or whose generator moved.
    """

    stack: tuple[str, ...]
    kind: str


def find_uncounted(twin: Twin, batch: Batch, record: Record) -> tuple[Uncounted, ...]:
    """Find where a net draws past the interception.

    A generator that moved has been moved by this net, if there was no other thread. If there was, this net moves it at
    the same places every time.

    Args:
        twin: What to run.
        batch: What to run it on.
        record: A record of the same run.

    Returns:
        The places, in order; none where the net draws nothing uncounted. If there are any, the generators are put back
        to where they stood before the record.
    """
    if not record.moved:
        return ()
    alone = record.before.alone
    places = _Watcher.places(twin, batch, record.moved)
    for _ in range(1 if alone else 11):
        again = set(_Watcher.places(twin, batch, record.moved)) if places else set()
        places = tuple(place for place in places if place in again)
    if alone and not places:
        places = (Uncounted((), record.moved[0]),)
    if places:
        record.before.restore()
    return places


class _Watcher(Interception):
    """Looks at torch's generators around every call and at every boundary of modules."""

    def __init__(self, stack: list[str], hidden: str, names: tuple[str, ...]) -> None:
        super().__init__(lambda call: call.identity())
        self._hidden = hidden
        self.stack, self.found = stack, dict[Uncounted, None]()
        self._is_looking = False
        self._names, self._before = names, GlobalState.now(names)

    def look(self, kind: str = "") -> None:
        """Blame what has run since the last look for what has moved."""
        if self._is_looking:  # a comparison of states is a call, too
            return
        self._is_looking = True
        moved = self._before.names_moved()
        self._before = GlobalState.now(self._names) if moved else self._before
        self._is_looking = False
        names = [(kind or self._hidden) if name == "torch" else name for name in moved]
        self.found |= {Uncounted(tuple(self.stack), name): None for name in names}

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.look()
        result = func(*args, **kwargs)
        self.look(getattr(func, "__name__", "torch"))
        return result

    @classmethod
    def places(cls, twin: Twin, batch: Batch, names: tuple[str, ...]) -> tuple[Uncounted, ...]:
        stack: list[str] = []
        watcher = cls(stack, "TorchScript" if _has_script(twin.module) else "torch's generator", names)
        inputs = batch.cloned()
        with torch.no_grad(), paths(twin.module, stack, watcher.look), watcher:
            watcher._before = GlobalState.now(names)
            run_net(twin, inputs)
            watcher.look()
        return tuple(watcher.found)


def _has_script(net: nn.Module) -> bool:
    values = chain.from_iterable((module, *vars(module).values()) for module in every_module(net).values())
    return any(isinstance(value, torch.jit.ScriptModule | torch.jit.ScriptFunction) for value in values)
