"""Blocks predicted by a pool of Ray actors, each of which holds the net."""

import inspect
import logging
import re
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mcdrop.bulk import Done, Reader, advising
from mcdrop.distributed.packing import pack
from mcdrop.distributed.session import Crew, Pool, connected, import_ray
from mcdrop.distributed.splitting import Item, Split, cut
from mcdrop.distributed.stored import StoredRows
from mcdrop.distributed.worker import ItemWorker, opened
from mcdrop.errors import ClusterError
from mcdrop.prepared import Partial, Prepared
from mcdrop.progress import Advance

__all__ = ["OnRay", "quiet", "run_items", "telling", "work"]

_BLOCKS = 1000  # of Ray's own, at most, for the items of a run: each costs Ray some milliseconds
_SCHEDULER = "StreamingExecutor"  # how Ray Data names the thread of a run
_PATIENCE = 20.0  # seconds in which such a thread ends
_RETRIES = 3  # of a piece of work at which a worker died; Ray's own are without end
_RESTARTS = 10  # of each worker, whatever it died at: more of them, since a long run meets more
_BEFORE = "The above exception was the direct cause of the following exception:"  # between errors, as Python writes it
_RAISED = re.compile(r"^[\w.]+(: |:?$)", re.MULTILINE)  # where an error is named after the lines that led to it


@dataclass(frozen=True, slots=True)
class OnRay:
    """Predicts the blocks of `mcdrop.predict_file` on Ray: pass it as `execute`.

    Workers read their rows themselves: the file has to be at the same path on every machine.

    Attributes:
        pool: The workers.
        split: What they share: the points, or the passes of each block, too.

    Example:
        >>> execute = OnRay(Pool(workers=2))
        >>> mcdrop.predict_file(model, "x.h5::x", "predictions.h5", execute=execute)  # doctest: +SKIP
    """

    pool: Pool = field(default_factory=Pool)
    split: Split = "auto"

    def __call__(
        self, prepared: Prepared[Any], reader: Reader, blocks: Sequence[range], advance: Advance
    ) -> Iterator[Done]:
        """Predict blocks, in any order.

        Raises:
            ClusterError: If the cluster cannot be reached, or has no room.
            DependencyError: If Ray is not installed.
            ExecutionError: If the net cannot go to other processes.
            McdropError: What is raised by a worker.
        """
        if not blocks:
            return
        with connected(self.pool) as crew, quiet():
            items = cut(prepared, blocks, workers=crew.workers, split=self.split)
            yield from run_items(prepared, reader, items, self.pool, crew, advance, ordered=False)


def run_items(
    prepared: Prepared[Any],
    reader: Reader | StoredRows,
    items: Sequence[Item],
    pool: Pool,
    crew: Crew,
    advance: Advance,
    *,
    ordered: bool,
) -> Iterator[Done]:
    """Have the items of a run done, and put the passes of each block together.

    Args:
        prepared: The passes.
        reader: Reads the rows, in each worker.
        items: What is to be done.
        pool: What each worker has.
        crew: How many there are.
        advance: Is told how many more passes have run, times their rows.
        ordered: Whether what is found waits in Ray's store until its turn comes.

    Yields:
        Each block once, predicted, when all of its passes are in.
    """
    ray = import_ray()
    table = [
        {"start": item.rows.start, "stop": item.rows.stop, "first": item.passes.start, "last": item.passes.stop}
        for item in items
    ]
    with telling():
        dataset = ray.data.from_items(table, override_num_blocks=min(len(table), _BLOCKS))
    dataset.context.execution_options.preserve_order = ordered
    dataset.context.enable_progress_bars = False
    refs = reader.blocks if isinstance(reader, StoredRows) else []
    workers = min(crew.workers, len(items))
    found = work(dataset, ItemWorker, pack(prepared, reader), pool, workers, batch_size=1, refs=refs)
    with closing(found):
        yield from _whole(found, prepared, reader, advance)


def _whole(
    found: Iterator[Done], prepared: Prepared[Any], reader: Reader | StoredRows, advance: Advance
) -> Iterator[Done]:
    """Yield each block once, when all of its passes are in: what a worker had in hand when it died may come twice."""
    parts: dict[int, dict[int, Partial]] = {}
    finished: set[int] = set()
    for done in found:
        made = done.prediction
        if done.start in finished:
            continue
        if isinstance(made, Partial):
            known = parts.setdefault(done.start, {})
            if made.passes.start not in known:
                known[made.passes.start] = made
                advance(len(done.gaps) * len(made.passes))
            if sum(len(part.passes) for part in known.values()) < prepared.passes:
                continue
            with advising(prepared, partial(reader.read, done.start, done.start + len(done.gaps))):
                made = prepared.finish(list(parts.pop(done.start).values()))
        else:
            advance(len(done.gaps) * prepared.passes)
        finished.add(done.start)
        yield Done(done.start, done.gaps, made)


def work(
    dataset: Any,
    worker: type,
    packed: bytes,
    pool: Pool,
    workers: int,
    *,
    batch_size: int,
    refs: Sequence[Any] = (),
) -> Generator[Done, None, None]:
    """Have the rows of a data set worked on by a pool, which is gone when this ends.

    Args:
        dataset: The Ray data set.
        worker: What each process runs.
        packed: The net.
        pool: What each worker has.
        workers: How many there are.
        batch_size: Rows at once.
        refs: References that go with the net.

    Yields:
        What they find.

    Raises:
        ClusterError: If a worker cannot be started, workers die again and again, or Ray fails.
        McdropError: What was raised in one.
    """
    ray = import_ray()
    with telling():
        store = [ray.put((packed, list(refs)))]
        with warnings.catch_warnings():  # that it is to lose these keywords
            warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
            made = dataset.map_batches(
                worker,
                fn_constructor_args=(store, pool.cpus, "cuda" if pool.gpus else None),
                batch_size=batch_size,
                batch_format="numpy",
                compute=ray.data.ActorPoolStrategy(size=workers),
                num_cpus=pool.cpus,
                num_gpus=pool.gpus or None,
                **_bounds(dataset.map_batches),
            )
        others = set(threading.enumerate())
        rows = iter(made.iter_rows())
        try:
            for row in rows:
                yield opened(row["made"])
        finally:
            rows.close()
            _wait_for_others(others)


def _bounds(map_batches: Callable[..., Any]) -> dict[str, int]:
    """Return how often workers that die are made up for; from Ray 2.64 on there may be no way to say it."""
    kinds = {parameter.kind for parameter in inspect.signature(map_batches).parameters.values()}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        return {}
    return {"max_restarts": _RESTARTS, "max_task_retries": _RETRIES}


def _wait_for_others(known: set[threading.Thread]) -> None:
    """Wait for the threads in which Ray Data schedules a run: it gives them two seconds, and a busy machine is slower.

    One that outlives its run still asks for actors when Ray is stopped, and complains.
    """
    for thread in set(threading.enumerate()) - known:
        if thread.name.startswith(_SCHEDULER):
            thread.join(_PATIENCE)


@contextmanager
def telling() -> Iterator[None]:
    """Turn Ray's errors into one that says what to do.

    Raises:
        ClusterError: If there is one.
    """
    ray = import_ray()
    try:
        yield
    except ray.exceptions.RayError as error:
        told, advice = _explained(ray.exceptions, error)
        raise ClusterError(f"expected Ray to read the data set and run its workers, got {told}; {advice}") from error


def _explained(kinds: Any, error: Exception) -> tuple[str, str]:
    """Return what happened, and what to do.

    Args:
        kinds: Ray's errors.
        error: One of them.
    """
    if isinstance(error, kinds.OutOfMemoryError | kinds.RayActorError) and not getattr(error, "actor_init_failed", 0):
        return (
            f"workers that died ({type(error).__name__}), one of them {_RETRIES + 1} times at the same piece of work "
            f"or {_RESTARTS + 1} times in all",
            "if memory is short, ask for fewer workers or a smaller batch_size, else see in Ray's logs what ends them",
        )
    cause, text = getattr(error, "cause", None) or error, str(error)
    if isinstance(cause, kinds.UserCodeException):  # it comes without its own cause, which is in the text alone
        before = text.rpartition(_BEFORE)[0].rpartition(_BEFORE)[2]
        if found := _RAISED.search(before):
            raised = " ".join(before[found.start() :].split())
            return f"{raised[:300]!r} from a function of the data set", "mend it; dataset.take(1) runs it alone"
    lines = [line.strip() for line in (text if cause is error else str(cause)).splitlines() if line.strip()]
    return (
        f"{type(cause).__name__} ({lines[-1][:300] if lines else 'no reason'})",
        "see that every machine can read the inputs and has mcdrop and torch installed, and Ray's logs",
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Ray Data from telling on standard error what it does, while the block runs; errors go on."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    handlers = [each for each in logging.getLogger("ray.data").handlers if isinstance(each, logging.StreamHandler)]
    for handler in handlers:
        handler.addFilter(is_error)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_error)
