"""What runs in the processes of a pool: the net is made ready once, then rows come, and what is found of them goes."""

import builtins
import pickle
import traceback
import warnings
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mcdrop import errors
from mcdrop.alerts import alert
from mcdrop.bulk import Done, Rows, predicted
from mcdrop.distributed.columns import Batch, inputs_of
from mcdrop.distributed.packing import unpack
from mcdrop.errors import ExecutionError, McdropError
from mcdrop.sources import nan_rows

__all__ = ["BatchWorker", "ItemWorker", "opened"]


class _Worker:
    """Holds the net, on as many threads as it has CPUs."""

    def __init__(self, packed: Any, threads: int, device: str | None) -> None:
        """Make the passes ready; where that fails, every call tells of it, since Ray would try again and again.

        Args:
            packed: A list of one reference: to what `pack` returned, and the references that go with it.
            threads: Of products.
            device: Where the net is to run; None for the CPU.
        """
        import ray

        torch.set_num_threads(threads)
        self.failed: Exception | None = None
        try:
            data, self.refs = ray.get(packed[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the driver has prepared the same, and told it
                self.prepared, *self.others = unpack(data, device=device)
        except Exception as error:
            self.failed = error

    def sealed(self, run: Callable[..., Done], *arguments: Any) -> bytes:
        """Return what is found and warned of, or the error that is raised: Ray would try again what failed."""
        if self.failed is not None:
            return _error_bytes(self.failed)
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("default")
                done = run(*arguments)
            once = {(str(each.message), each.category.__name__): each.message for each in told}
            return pickle.dumps((done, [_sendable(warning) for _, warning in sorted(once.items(), key=itemgetter(0))]))
        except Exception as error:
            return _error_bytes(error)


class ItemWorker(_Worker):
    """Predicts rows that it reads itself."""

    def __init__(self, packed: Any, threads: int, device: str | None) -> None:
        """Give the reader its references; see `_Worker`."""
        super().__init__(packed, threads, device)
        if self.failed is None and self.refs:
            self.others[0].blocks = self.refs

    def __call__(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Predict the items of a batch: rows from `start` to `stop`, passes from `first` to `last`, not included."""
        columns = [batch[name].tolist() for name in ("start", "stop", "first", "last")]
        return _results([self.sealed(self._run, *item) for item in zip(*columns, strict=True)])

    def _run(self, start: int, stop: int, first: int, last: int) -> Done:
        (reader,) = self.others
        block = reader.read(start, stop)
        return Done(start, block.gaps, predicted(self.prepared, block, passes=range(first, last)))


class BatchWorker(_Worker):
    """Predicts rows that are brought to it; the masks are shared, so that their numbers do not matter."""

    def __call__(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Predict all rows of a batch, or say which of them hold NaN."""
        return _results([self.sealed(self._run, batch)])

    def _run(self, batch: Batch) -> Done:
        (columns,) = self.others
        x = inputs_of(batch, columns)
        gaps = nan_rows(x)
        return Done(0, gaps, None if gaps.any() else predicted(self.prepared, Rows(0, x, gaps)))


def opened(made: bytes) -> Done:
    """Return what a worker found, and warn of what it warned of.

    Raises:
        McdropError: What was raised there; other errors as they are, too.
    """
    found, told = pickle.loads(made)
    for warning in told:
        alert(warning)
    if isinstance(found, Exception):
        raise found
    assert isinstance(found, Done), "a worker gives nothing else"
    return found


def _sendable(warning: Warning | str) -> Warning:
    """Return a warning that the driver knows: mcdrop's own as it is, one of Python's kinds, or else the most common."""
    if isinstance(warning, Warning) and type(warning).__module__ == errors.__name__:
        return warning
    kind = getattr(builtins, type(warning).__name__, UserWarning)
    return kind(str(warning)) if issubclass(kind, Warning) else UserWarning(str(warning))


def _error_bytes(error: Exception) -> bytes:
    if not isinstance(error, McdropError):  # those say what they mean; of others the place tells more
        error.add_note("in a Ray worker:\n" + "".join(traceback.format_exception(error)))
    try:
        data = pickle.dumps((error, []))
        pickle.loads(data)
    except Exception:  # errors of others may not survive it
        data = pickle.dumps((ExecutionError(f"a worker failed: {type(error).__name__}: {error}"), []))
    return data


def _results(made: list[bytes]) -> dict[str, NDArray[Any]]:
    column = np.empty(len(made), dtype=object)
    column[:] = made
    return {"made": column}
