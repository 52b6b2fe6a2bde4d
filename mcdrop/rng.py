"""Private random streams: run a block on a seed of its own and leave the global generators as they were."""

import operator
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mcdrop.errors import InputError

__all__ = ["check_seed", "seeded"]


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
