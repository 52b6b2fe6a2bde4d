"""Many trainings side by side: one process a core, one thread a process.

A net of this size gains little from a second thread, and the last bits of its products depend on the number of
threads. One thread per training therefore is both the fastest way and the one that gives the same numbers on every
number of cores.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch

from mcdrop.errors import TrainingError
from mcdrop.progress import track

__all__ = ["INTERRUPTED", "Tick", "count_cores", "run_all"]

Tick = Callable[[], None]
"""Told of every unit of work that is done."""

J = TypeVar("J")
R = TypeVar("R")

INTERRUPTED = "training was interrupted; run again with --resume to go on from there"
"""What whoever stopped the trainings is told."""

_LOOK_EVERY = 0.2
"""Seconds between two looks at how far the processes are."""

_ALONE_AFTER = 0.5
"""Seconds between two looks of a process at whether its parent is still there."""


def count_cores() -> int:
    """Return how many cores this process may use, a container's quota counted."""
    from joblib import cpu_count

    return max(1, int(cpu_count()))


def run_all(
    work: Callable[[J, Tick], R],
    jobs: Sequence[J],
    *,
    processes: int,
    folder: Path,
    total: int | None = None,
    progress: bool | str = False,
) -> list[R]:
    """Do every job and return what came out, in the order of the jobs.

    Processes end when this one ends, however it does.

    Args:
        work: Does one job; a function that a process can import, of a job that can be pickled.
        jobs: The jobs, longest first where the time matters.
        processes: How many at once; 1 does them here, one after the other, on one thread as well.
        folder: Where they may leave word of how far they are.
        total: Number of ticks of all jobs.
        progress: Whether to show a progress bar; a text names it.

    Raises:
        TrainingError: If a process was killed, or all were interrupted.
        McdropError: Whatever else a job raised.
    """
    from joblib import effective_n_jobs

    if not jobs:
        return []
    ticks = folder / ".ticks"
    ticks.write_bytes(b"")
    try:
        with _watching(ticks, total, progress):
            at_once = min(processes, len(jobs), effective_n_jobs(processes))  # joblib knows if there can be but one
            if at_once == 1:
                return [_do(work, job, ticks, os.getpid()) for job in jobs]
            return _share_out(work, jobs, ticks, at_once)
    finally:
        ticks.unlink(missing_ok=True)


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
    except KeyboardInterrupt as stop:
        raise TrainingError(INTERRUPTED) from stop
    finally:
        with _undisturbed():
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no second Ctrl-C break off the clearing away after the first; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)


def _do(work: Callable[[J, Tick], R], job: J, ticks: Path, parent: int) -> R:
    """Do one job on one thread; each tick adds a byte to the file that the parent looks at."""
    if parent != os.getpid():
        _follow(parent)

    def tick() -> None:
        with ticks.open("ab") as file:
            file.write(b".")

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return work(job, tick)
    finally:
        torch.set_num_threads(threads)


@cache
def _follow(parent: int) -> None:
    """End this process soon after its parent, which alone hears of Ctrl-C."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_ALONE_AFTER)
        os._exit(1)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=look, daemon=True).start()


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
