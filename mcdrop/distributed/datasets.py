"""Predictions of Ray data sets."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Unpack

from mcdrop.arguments import check_choice
from mcdrop.bulk import gathered, warn_of_all
from mcdrop.distributed.columns import check_columns, inputs_of, refuse_gaps
from mcdrop.distributed.execution import quiet, run_items, telling, work
from mcdrop.distributed.packing import pack
from mcdrop.distributed.session import Crew, Pool, connected, import_ray
from mcdrop.distributed.splitting import EACH, Split, block_rows, cut
from mcdrop.distributed.stored import StoredRows
from mcdrop.distributed.worker import BatchWorker
from mcdrop.errors import InputError, NetError
from mcdrop.execution import PredictOptions
from mcdrop.predictive import joined
from mcdrop.prepared import Prepared
from mcdrop.progress import Advance, track
from mcdrop.sampler import MCDropout, Task
from mcdrop.sources import Block, nan_rows

if TYPE_CHECKING:
    import ray.data
    from torch import nn
    from torch.export import ExportedProgram

__all__ = ["predict", "stream"]

_PROBE = 1024  # rows that the net is surveyed with, in every process
_PROBE_BYTES = 64 * 2**20  # that these rows take at most, unless they are fewer than _LEAST
_LEAST = 16


def predict(
    net: "nn.Module | ExportedProgram | MCDropout[Any]",
    dataset: "ray.data.Dataset",
    *,
    task: Task | None = None,
    columns: Sequence[str] | None = None,
    workers: int | None = None,
    cpus_per_worker: int = 1,
    gpus_per_worker: float = 0.0,
    split: Split = "auto",
    **options: Unpack[PredictOptions],
) -> Any:
    """Predict all rows of a Ray data set on its cluster, by a pool of processes that hold the net.

    The result equals that of `MCDropout.predict` on the same rows to rounding, for any number of workers, however the
    work is split, and if workers die: what they had in hand is done again with the same masks.

    Args:
        net: The trained net, or an `MCDropout` of it where more is to be said than the task.
        dataset: The inputs. One column of arrays is the net's positional input, several are keyword inputs; columns of
            plain numbers are put side by side.
        task: What the net was trained for, as for `MCDropout`; default: regression.
        columns: The columns to take; default: all.
        workers: How many processes hold the net; default: as many as the cluster has CPUs (or GPUs) for, but one CPU
            for reading, without which the rows are put into Ray's object store before workers start.
        cpus_per_worker: CPUs of each, and threads of its products.
        gpus_per_worker: GPUs of each; a part of one where several share it.
        split: "points": workers share the rows, which stream through them, however many there are; "passes": also the
            passes of each block of rows, whose partial moments are merged; "auto": the passes, too, where there are
            fewer than four blocks of rows for each worker. Where these are so few, passes are split, or rows have masks
            of their own, the rows are put into Ray's object store first. Where few rows are all that workers share,
            blocks are smaller, unless there is a `batch_size`.
        **options: How the passes run, as for `MCDropout.predict`.

    Returns:
        What `MCDropout.predict` returns, in the order of the rows.

    Raises:
        InputError: If an argument or the data are not usable.
        DataError: If rows hold NaN.
        ClusterError: If the cluster has no room for the workers, the data set cannot be read, or Ray fails.
        DependencyError: If Ray is not installed.
        NoDropoutError: If no dropout fires in the net.
        NetError: If the net refuses the inputs, or its outputs are unusable.
        ExecutionError: If the net cannot go to other processes.

    Example:
        >>> import ray, torch  # doctest: +SKIP
        >>> dataset = ray.data.read_parquet("s3://bucket/rows.parquet")  # doctest: +SKIP
        >>> pred = mcdrop.distributed.predict(net, dataset, columns=["a", "b"], workers=8)  # doctest: +SKIP
    """
    blocks = stream(
        net,
        dataset,
        task=task,
        columns=columns,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        split=split,
        **options,
    )
    with gathered() as unsettled:
        made = joined(list(blocks))
    warn_of_all(unsettled, len(next(iter(made.values())) if isinstance(made, Mapping) else made))
    return made


def stream(
    net: "nn.Module | ExportedProgram | MCDropout[Any]",
    dataset: "ray.data.Dataset",
    *,
    task: Task | None = None,
    columns: Sequence[str] | None = None,
    workers: int | None = None,
    cpus_per_worker: int = 1,
    gpus_per_worker: float = 0.0,
    split: Split = "auto",
    **options: Unpack[PredictOptions],
) -> Iterator[Any]:
    """Predict block by block, for results that do not fit in memory: arguments and errors are those of `predict`.

    Yields:
        Predictions of consecutive rows, in order, from the first row on.
    """
    check_choice("split", split, Split)
    check_columns(columns)
    model = _model(net, task)
    pool = Pool(workers=workers, cpus=cpus_per_worker, gpus=gpus_per_worker)
    progress = options.pop("progress", False)
    with connected(pool, spare=1) as crew, quiet():
        own = _own(dataset)
        probe = _probe(own, columns)
        prepared = model.prepare(probe, **options)
        if columns is not None:
            own = own.select_columns(list(columns))
        asked = options.get("batch_size")
        size = int(asked or prepared.block_rows)
        rows = _stored(own, columns, crew, size, whole=split == "passes" or options.get("masks") == "independent")
        total = None if rows is None else len(rows)
        with track(total, "Predicting", enabled=progress, unit="points", parts=prepared.passes) as advance:
            if rows is None:
                yield from _streamed(prepared, own, columns, pool, crew, size, advance)
            else:
                size = size if asked else block_rows(prepared, len(rows), workers=crew.workers, split=split)
                yield from _taken(prepared, rows, pool, crew, split, size, advance)


def _model(net: Any, task: Task | None) -> MCDropout[Any]:
    if not isinstance(net, MCDropout):
        return MCDropout(net, task=task or "regression")
    if task not in (None, net.task):
        raise InputError(f"task must be that of the MCDropout, {net.task!r}, or left out, got {task!r}")
    return net


def _own(dataset: Any) -> Any:
    """Return the same data set, to be read in order, without bars; the user's own goes on as it was set up."""
    ray = import_ray()
    if not isinstance(dataset, ray.data.Dataset):
        raise InputError(f"dataset must be a ray.data.Dataset, got {type(dataset).__name__}; make one with ray.data")
    own = ray.data.Dataset.copy(dataset, _deep_copy=True)
    own.context.execution_options.preserve_order = True
    own.context.enable_progress_bars = False
    return own


def _probe(dataset: Any, columns: Sequence[str] | None) -> Block:
    """Return the first rows."""
    try:
        with telling():
            batch = dataset.take_batch(_PROBE, batch_format="numpy")
    except ValueError as error:
        raise InputError(f"dataset must hold rows, got none ({error}); check how it was made") from error
    probe = inputs_of(batch, columns)
    arrays = list(probe.values()) if isinstance(probe, dict) else [probe]
    rows = len(arrays[0])
    refuse_gaps(nan_rows(probe), 0)
    each = max(sum(array.nbytes for array in arrays) // rows, 1)
    kept = min(rows, max(_PROBE_BYTES // each, _LEAST))
    return {name: array[:kept] for name, array in probe.items()} if isinstance(probe, dict) else probe[:kept]


def _stored(dataset: Any, columns: Sequence[str] | None, crew: Crew, size: int, *, whole: bool) -> StoredRows | None:
    """Put the rows into Ray's store where they have to be there, or are few; return None where they may stream.

    Rows that come one block after another need a CPU to be read while workers have theirs. Of few of them, the last
    blocks would keep some of the workers busy and not the others.
    """
    few = EACH * crew.workers * size
    with telling():
        if not whole and crew.spare >= 1:
            dataset = dataset.limit(few).materialize()
            if dataset.count() == few:
                return None
        return StoredRows.of(dataset, columns)


def _streamed(
    prepared: Prepared[Any],
    dataset: Any,
    columns: Sequence[str] | None,
    pool: Pool,
    crew: Crew,
    size: int,
    advance: Advance,
) -> Iterator[Any]:
    """Have rows brought to the workers as the data set is read, cut small enough for all to have some."""
    start = 0
    cut_small = dataset.repartition(target_num_rows_per_block=size)
    with closing(work(cut_small, BatchWorker, pack(prepared, columns), pool, crew.workers, batch_size=size)) as found:
        try:
            for done in found:
                refuse_gaps(done.gaps, start)
                start += len(done.gaps)
                advance(len(done.gaps) * prepared.passes)
                yield done.prediction
        except NetError as error:
            raise NetError(f"{error} (here rows are counted from row {start:,} of the data set on)") from error


def _taken(
    prepared: Prepared[Any], rows: StoredRows, pool: Pool, crew: Crew, split: Split, size: int, advance: Advance
) -> Iterator[Any]:
    """Have workers take the rows that they need from Ray's store; yield the blocks in order."""
    blocks = [range(first, min(first + size, len(rows))) for first in range(0, len(rows), size)]
    items = cut(prepared, blocks, workers=crew.workers, split=split)
    waiting: dict[int, Any] = {}
    due = 0
    for done in run_items(prepared, rows, items, pool, crew, advance, ordered=True):
        waiting[done.start] = done
        while due in waiting:
            ready = waiting.pop(due)
            due += len(ready.gaps)
            yield ready.prediction
