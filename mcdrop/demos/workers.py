"""Many trainings side by side: one process a core, one thread a process.

A net of this size gains little from a second thread, and the last bits of its products depend on the number of
threads. One thread per training therefore is both the fastest way and the one that gives the same numbers on every
number of cores.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from mcdrop.errors import TrainingError
from mcdrop.progress import track

__all__ = ["Tick", "count_cores", "run_all"]

Tick = Callable[[], None]
"""Told of every unit of work that is done."""

J = TypeVar("J")
R = TypeVar("R")

_LOOK_EVERY = 0.2
"""Seconds between two looks at how far the processes are."""


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(
    work: Callable[[J, Tick], R],
    jobs: Sequence[J],
    *,
    processes: int,
    total: int | None = None,
    progress: bool | str = False,
) -> list[R]:
    """Do every job and return what came out, in the order of the jobs.

    Processes end when this one ends, however it does.

    Args:
        work: Does one job; a function that a process can import, of a job that can be pickled.
        jobs: The jobs, longest first where the time matters.
        processes: How many at once; 1 does them here, one after the other, on one thread as well.
        total: Number of ticks of all jobs.
        progress: Whether to show a progress bar; a text names it.

    Raises:
        TrainingError: If a process was killed.
        McdropError: Whatever else a job raised.
    """
    if not jobs:
        return []
    with tempfile.TemporaryDirectory(prefix="mcdrop-") as folder:
        ticks = Path(folder) / "ticks"
        ticks.touch()
        with _watching(ticks, total, progress):
            if min(processes, len(jobs)) == 1:
                return [_do(work, job, ticks, os.getpid()) for job in jobs]
            return _share_out(work, jobs, ticks, min(processes, len(jobs)))


def _share_out(work: Callable[[J, Tick], R], jobs: Sequence[J], ticks: Path, processes: int) -> list[R]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            parallel = Parallel(n_jobs=processes, batch_size=1, pre_dispatch="n_jobs")
            results: list[R] = parallel(delayed(_do)(work, job, ticks, os.getpid()) for job in jobs)
        return results
    except TerminatedWorkerError as error:
        raise TrainingError(
            "a training process was killed, perhaps for want of memory; run again with --resume, and with fewer --jobs"
        ) from error
    finally:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _do(work: Callable[[J, Tick], R], job: J, ticks: Path, parent: int) -> R:
    """Do one job on one thread; each tick adds a byte to the file that the parent looks at."""

    def tick() -> None:
        if parent not in (os.getpid(), os.getppid()):
            os._exit(1)  # the parent is gone, and nobody waits for the rest
        with ticks.open("ab") as file:
            file.write(b".")

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return work(job, tick)
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _watching(ticks: Path, total: int | None, progress: bool | str) -> Iterator[None]:
    """Move a progress bar as the file of ticks grows."""
    if not progress:
        yield
        return
    done, seen = threading.Event(), 0
    with track(total, "Working", enabled=progress) as advance:

        def watch() -> None:
            nonlocal seen
            while not done.wait(_LOOK_EVERY):
                size = ticks.stat().st_size
                advance(size - seen)
                seen = size

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            advance(ticks.stat().st_size - seen)
