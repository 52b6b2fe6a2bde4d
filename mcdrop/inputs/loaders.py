"""Loaders whose batches do not say which row is whose: those that shuffle, draw or leave out."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import BatchSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler
from torch.utils.data.distributed import DistributedSampler

from mcdrop.errors import InputError

__all__ = ["refuse_reordered"]


def refuse_reordered(loader: Any) -> None:
    """Refuse a loader that is known not to give every row once and in order.

    Args:
        loader: A DataLoader, or any iterable of batches, of which nothing is known.

    Raises:
        InputError: If it shuffles, draws rows at random, or drops the last ones.
    """
    for sampler in _samplers(loader):
        drawn = isinstance(sampler, RandomSampler | SubsetRandomSampler | WeightedRandomSampler)
        if drawn or (isinstance(sampler, DistributedSampler) and sampler.shuffle):
            raise InputError(
                "x must be a loader that keeps the order of its rows, got one that shuffles, by "
                f"{type(sampler).__name__}, so that nothing says which prediction is whose; pass DataLoader(..., "
                "shuffle=False)"
            )
        lost = _lost(sampler)
        if lost:
            raise InputError(
                f"x must be a loader that gives every row, got one with drop_last=True, which leaves out the last "
                f"{lost}; pass DataLoader(..., drop_last=False)"
            )


def _samplers(loader: Any) -> Iterator[Any]:
    """Yield what picks the rows, and what is inside: a loader of given batches keeps its order there."""
    for name in ("sampler", "batch_sampler"):
        inner = getattr(loader, name, None)
        if inner is not None:
            yield inner
            yield from _samplers(inner)


def _lost(sampler: Any) -> int:
    """Return how many rows are left out at the end, as far as lengths are known."""
    if not isinstance(sampler, BatchSampler) or not sampler.drop_last:
        return 0
    try:
        return len(sampler.sampler) % sampler.batch_size  # type: ignore[arg-type]
    except TypeError:
        return 0
