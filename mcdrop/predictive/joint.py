"""Several targets of one net: each read for a task of its own, all from the same passes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from mcdrop.errors import InputError
from mcdrop.outputs import Packing
from mcdrop.precision import LogLikelihood
from mcdrop.predictive.reading import Known, Reading

__all__ = ["JointReading", "Key"]

Key = int | str
"""What a target is called: its place or its name in the net's return."""


@dataclass(frozen=True, slots=True)
class _JointState:
    """The statistics of every target."""

    parts: tuple[Any, ...]

    def merge(self, other: Self) -> Self:
        """Return the statistics of both parts together."""
        return type(self)(tuple(a.merge(b) for a, b in zip(self.parts, other.parts, strict=True)))

    def closed(self) -> Self:
        """Return the same statistics, known to be those of one whole block."""
        return type(self)(tuple(part.closed() for part in self.parts))

    def at(self, rows: Tensor) -> Self:
        """Return the statistics at some of the rows, given by their places."""
        return type(self)(tuple(part.at(rows) for part in self.parts))


class JointReading(Reading[_JointState, dict[Key, Any]]):
    """How a net's return is read for several targets; a run needs a reading of its own, since it remembers shapes."""

    def __init__(self, readings: Mapping[Key, Reading[Any, Any]]) -> None:
        """Say what is read.

        Args:
            readings: By target, how it is read.
        """
        self._readings = dict(readings)
        self._chosen = Packing({key: reading.choose for key, reading in readings.items()})
        self._taken = Packing({key: reading.take for key, reading in readings.items()})

    def take(self, output: Any) -> Tensor:
        """Return what is sampled of every target, side by side."""
        return self._taken(output)

    def choose(self, output: Any) -> Tensor:
        """Return what is summarized of every target, side by side."""
        return self._chosen(output)

    def split(self, passes: Tensor) -> tuple[Tensor, ...]:
        """Return what was taken of each target, in order."""
        return tuple(self._taken.unpack(passes).values())

    def summarize(self, passes: Tensor, *, block: int = 1) -> tuple[_JointState, tuple[Tensor, ...]]:
        """Return the statistics of every target, and what of it may be kept."""
        parts = self._chosen.unpack(passes)
        done = [reading.summarize(parts[key], block=block) for key, reading in self._readings.items()]
        return _JointState(tuple(state for state, _ in done)), tuple(kept for _, (kept,) in done)

    def excess(self, state: _JointState, tolerance: float | None) -> Tensor:
        """Return the largest error of a row's targets, each over its tolerance."""
        pairs = zip(self._readings.values(), state.parts, strict=True)
        return torch.stack([reading.excess(part, tolerance) for reading, part in pairs]).amax(dim=0)

    def likelihood(self, passes: Tensor, y: Tensor, tau: float | None) -> LogLikelihood:
        """Refuse: one number cannot tell how likely several targets are.

        Raises:
            InputError: Always.
        """
        raise InputError(f"a likelihood is of one target, got {list(self._readings)}; ask for one at a time")

    def predictive(
        self, states: Sequence[_JointState], samples: Sequence[Tensor] | None, known: Known
    ) -> dict[Key, Any]:
        """Return the prediction of every target, by its key."""
        made = {}
        for number, (key, reading) in enumerate(self._readings.items()):
            own = dict(known) | {"provenance": {**known["provenance"], "task": reading.task, "output": key}}
            parts = [state.parts[number] for state in states]
            made[key] = reading.predictive(parts, None if samples is None else samples[number : number + 1], own)
        return made
