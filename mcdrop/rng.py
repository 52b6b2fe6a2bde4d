"""Private random streams: run a block on a seed of its own, and leave the global generators as they were."""

import operator
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from mcdrop.errors import InputError

__all__ = ["GENERATORS", "ONE_AT_A_TIME", "GlobalState", "check_seed", "reseed", "seeded", "spared"]

ONE_AT_A_TIME = threading.RLock()
"""Held by whoever may draw from the global generators, which are the same for all threads."""


def check_seed(seed: int) -> int:
    """Return the seed as a plain int.

    Raises:
        InputError: If it is not an integer in [0, 2**63).
    """
    try:
        value = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 2**63:
        raise InputError(f"seed must be an integer from 0 to 2**63 - 1, got {seed!r}; pass for example seed=0")
    return value


@contextmanager
def seeded(seed: int, *, device: torch.device | None = None) -> Iterator[None]:
    """Run a block in which torch draws from a fresh stream, then put the generators back.

    Args:
        seed: Start of the stream.
        device: Where the draws are made; a CUDA device is covered besides the CPU.

    Yields:
        Nothing.

    Raises:
        InputError: If the seed is not an integer in [0, 2**63).
    """
    value = check_seed(seed)
    cuda: list[int] = []
    if device is not None and device.type == "cuda":
        cuda.append(torch.cuda.current_device() if device.index is None else device.index)
    with torch.random.fork_rng(devices=cuda):
        # Not torch.manual_seed: it reseeds every accelerator, also those that fork_rng does not put back.
        torch.default_generator.manual_seed(value)
        for index in cuda:
            torch.cuda.default_generators[index].manual_seed(value)
        yield


GENERATORS = ("torch", "random", "numpy.random")
"""Names of the global generators: torch's on every device in use, Python's and NumPy's."""


@dataclass(frozen=True, slots=True)
class GlobalState:
    """Where global generators stand.

    Attributes:
        states: The state of each, by its name; torch's on the CPU before those on other devices.
        alone: Whether this was the only thread when they were read. A thread that was there then can have moved them
            since, even if it has ended.
    """

    states: dict[str, Any]
    alone: bool

    @classmethod
    def now(cls, names: tuple[str, ...] = GENERATORS) -> Self:
        """Read the states of some generators; nothing is moved."""
        alone = threading.active_count() == 1
        return cls({name: _read_state(name) for name in names}, alone)

    def names_moved(self) -> tuple[str, ...]:
        """Return which of these generators stand elsewhere now."""
        now = type(self).now(tuple(self.states))
        return tuple(name for name, state in self.states.items() if not _is_same_state(name, state, now.states[name]))

    def restore(self) -> None:
        """Put the generators back to where they stood."""
        if "torch" in self.states:
            cpu, *cuda = self.states["torch"]
            torch.set_rng_state(cpu)
            for index, state in enumerate(cuda):
                torch.cuda.set_rng_state(state, index)
        if "random" in self.states:
            random.setstate(self.states["random"])
        if "numpy.random" in self.states:
            np.random.set_state(self.states["numpy.random"])  # noqa: NPY002


def _read_state(name: str) -> Any:
    if name == "torch":
        return (torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if _cuda_is_used() else []))
    return random.getstate() if name == "random" else np.random.get_state()  # noqa: NPY002


def _is_same_state(name: str, a: Any, b: Any) -> bool:
    if name == "torch":
        return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b if name == "random" else a[2:] == b[2:] and np.array_equal(a[1], b[1]))


@contextmanager
def spared() -> Iterator[None]:
    """Run a block that draws from global generators, then put them back; one block of all threads at a time."""
    with ONE_AT_A_TIME:
        before = GlobalState.now()
        try:
            yield
        finally:
            before.restore()


def reseed(*numbers: int) -> None:
    """Start all global generators anew, within `spared`.

    Args:
        numbers: Non-negative integers; other numbers give unrelated streams.
    """
    seeds = np.random.SeedSequence(numbers).generate_state(3, np.uint64)
    torch.default_generator.manual_seed(int(seeds[0] >> np.uint64(1)))
    if _cuda_is_used():
        torch.cuda.manual_seed_all(int(seeds[0] >> np.uint64(1)))
    random.seed(int(seeds[1]))
    np.random.seed(int(seeds[2] & np.uint64(2**32 - 1)))  # noqa: NPY002


def _cuda_is_used() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
