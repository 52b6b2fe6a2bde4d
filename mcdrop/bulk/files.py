"""From a file of inputs to a file of predictions, block by block; what is done stays done.

Every block that is predicted goes to a journal beside the output. When the last one is in, the journal becomes the
output. A run that was interrupted, or killed, goes on after the last block in the journal, with the bits that it would
have had without the break: blocks are cut, the net is surveyed and masks are drawn the same way again.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from mcdrop.arguments import check_choice
from mcdrop.bulk.blocks import OnNan, Reader, complete_row, first_rows, groups_of
from mcdrop.bulk.identity import identity
from mcdrop.bulk.output import RUN, Format, Output
from mcdrop.bulk.unsettled import gathered, warn_of_all
from mcdrop.bulk.work import Execute, in_process
from mcdrop.errors import ExecutionError, InputError, OutputError
from mcdrop.execution import PredictOptions
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.prepared import Prepared
from mcdrop.progress import track
from mcdrop.sampler import MCDropout
from mcdrop.sites import SiteTable
from mcdrop.sources import Source, open_source
from mcdrop.storage import Journal

__all__ = ["Written", "predict_file"]


@dataclass(frozen=True, slots=True)
class Written:
    """What `predict_file` has done.

    Attributes:
        path: The file of predictions.
        rows: Rows of the inputs.
        gaps: How many of them are without a prediction, since they hold NaN; None where all was done before.
        resumed: How many had been predicted before this call.
        passes: Passes of a row, at most.
        unsettled: With passes="auto", how many of the rows predicted by this call had not converged after that many.
        seconds: Time that this call took.
        sites: The audit of the net.
    """

    path: Path
    rows: int
    gaps: int | None
    resumed: int
    passes: int
    unsettled: int
    seconds: float
    sites: SiteTable


def predict_file(
    model: MCDropout[Any],
    inputs: str | Path | Source,
    out: str | Path,
    *,
    format: Format | None = None,
    on_nan: OnNan = "error",
    transform: Callable[[Any], Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    execute: Execute = in_process,
    **options: Unpack[PredictOptions],
) -> Written:
    """Predict all rows of a file, which may be larger than memory, and write what is predicted to another.

    Args:
        model: The net, for one target.
        inputs: A file or folder, as `mcdrop.sources.open_source` takes it, or what that returned.
        out: The file of predictions: HDF5 in the layout of `save`, which `mcdrop.load` and ArviZ open, with the
            measures and the number of each row; or a table.
        format: "hdf5", "csv" or "parquet"; default: by the ending of `out`, HDF5 for all others.
        on_nan: Rows that hold NaN: "error" names them and stops; "skip" leaves them out of the predictions; "keep"
            keeps their places, with NaN as prediction.
        transform: Done to the inputs of each block before the net sees them: takes an array, or a dict of them, and
            returns what `MCDropout.predict` takes.
        resume: Go on with a run that was interrupted, or begin it where nothing is there. Options, net and inputs must
            be those it was begun with; until the end `on_nan` may change, and the last one counts. A file that has come
            to `out` since is replaced only where the run was begun with `overwrite`. An HDF5 file of the same run that
            is finished is left as it is. A finished table cannot tell its run, and is refused.
        overwrite: Replace an older file, and drop an unfinished run into it.
        execute: Who predicts the blocks; `mcdrop.distributed` has others.
        **options: How the passes run, as for `MCDropout.predict`. `batch_size` is also the number of rows that are
            read and written at once; default: as many as use the machine well, by the net's shapes.

    Returns:
        What was done.

    Raises:
        InputError: If an option is not usable, a run cannot be resumed as it was begun, or `out` is the inputs.
        DataError: If the inputs cannot be read, or hold NaN and that is an error; earlier blocks are kept.
        OutputError: If there is a file already, or one that does not go with what is resumed, or the disk is full;
            earlier blocks are kept.
        NoDropoutError: If no dropout fires in the net.
        NetError: If the net refuses the inputs, or its outputs are unusable.
        ExecutionError: If a strategy that was asked for cannot run the net, or `execute` does not predict all blocks.

    Warns:
        UserWarning: If rows have not converged, once for all that this call predicts.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import torch
        >>> import mcdrop
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.Dropout(0.1), torch.nn.Linear(64, 1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/x.npy", np.zeros((5, 3), np.float32))
        ...     done = mcdrop.predict_file(mcdrop.MCDropout(net), f"{folder}/x.npy", f"{folder}/y.h5", passes=50)
        ...     mcdrop.load(done.path).mean.shape
        (5, 1)
    """
    begun = time.monotonic()
    check_choice("on_nan", on_nan, OnNan)
    kind, progress = _kind(model), options.pop("progress", False)
    output = Output(out, format, resume=resume, overwrite=overwrite)
    if output.format != "hdf5" and options.get("keep_samples"):
        raise InputError(
            f"keep_samples must go with format='hdf5', got {output.format!r}: a table has one row per point"
        )
    with nullcontext(inputs) if isinstance(inputs, Source) else open_source(inputs) as source:
        _refuse_inputs(output.path, source)
        filler = None if on_nan == "error" else complete_row(source)
        reader = Reader(source, on_nan, filler, transform)
        prepared = model.prepare(reader.read(0, first_rows(source)).x, **options)
        size = int(options.get("batch_size") or prepared.block_rows)
        about = identity(model.net, prepared.provenance, source, options, transform) | {"rows at once": size}
        resumed, gaps, unsettled = len(source), None, 0
        if not output.is_done(about, source, on_nan=on_nan):
            with output.journal(about, source) as journal, _gone_if_empty(journal):
                resumed = journal.rows
                unsettled = _predict_missing(prepared, reader, journal, output, execute, size, progress=progress)
                said = {"inputs": source.describe(), "input_rows": len(source), RUN: about}
                gaps = output.assemble(
                    journal, kind, prepared.provenance | said, source, on_nan=on_nan, progress=progress
                )
                journal.remove()
        return Written(
            output.path,
            len(source),
            gaps,
            resumed,
            prepared.passes,
            unsettled,
            time.monotonic() - begun,
            prepared.sites,
        )


@contextmanager
def _gone_if_empty(journal: Journal) -> Iterator[None]:
    """Remove a journal where a run fails before there is anything in it: nothing is left to go on with."""
    try:
        yield
    except BaseException:
        if not journal.rows:
            with suppress(OutputError):  # what has failed is told
                journal.remove()
        raise


def _predict_missing(
    prepared: Prepared[Any],
    reader: Reader,
    journal: Journal,
    output: Output,
    execute: Execute,
    size: int,
    *,
    progress: bool | str,
) -> int:
    """Predict the blocks that the journal lacks, and put each there as soon as it is done.

    Returns:
        How many rows of them have not converged.
    """
    missing, title = _missing(reader, journal, size), "Predicting"
    total, parts = len(reader.source), prepared.passes
    with (
        gathered() as unsettled,
        track(total, title, enabled=progress, unit="points", done=journal.rows, parts=parts) as advance,
        ExitStack() as stack,
    ):
        found = execute(prepared, reader, missing, advance) if missing else iter(())
        if isinstance(found, Generator):  # an error ends it here, and what it holds, not when it is forgotten
            stack.callback(found.close)
        for number, each in enumerate(found):
            groups = groups_of(each.prediction, each.start, each.gaps)
            if number == 0:
                output.check(groups)
            journal.append(each.start, len(each.gaps), groups)
            del each, groups  # before the next one is predicted
    count = warn_of_all(unsettled, sum(map(len, missing)))
    if lost := journal.gaps(total):
        raise ExecutionError(
            f"all {total:,} rows must be predicted, got {journal.rows:,}, without rows {lost[0].start} to "
            f"{lost[0].stop - 1}; go on with resume"
        )
    return count


def _missing(reader: Reader, journal: Journal, size: int) -> list[range]:
    """Return the rows of the blocks that a journal lacks, once rows that were left out before may be.

    Raises:
        DataError: If some were that may not be now.
    """
    for entry in journal.entries:
        if reader.on_nan == "error" and entry.points < entry.size:
            reader.read(entry.start, entry.stop)
    total, done = len(reader.source), {entry.start for entry in journal.entries}
    return [range(first, min(first + size, total)) for first in range(0, total, size) if first not in done]


def _refuse_inputs(out: Path, source: Source) -> None:
    """Refuse to put predictions in the place of their inputs.

    Raises:
        InputError: If they should go there.
    """
    if out.resolve() == source.path.resolve():
        raise InputError(f"out must be another file than the inputs, got {out} for both; choose another name")


def _kind(model: MCDropout[Any]) -> str:
    """Return the name of the class of a net's predictions.

    Raises:
        InputError: If it has several targets.
    """
    if isinstance(model.task, Mapping):
        raise InputError(
            f"a file holds the predictions of one target, got {list(model.task)}; wrap the net once for each, with "
            "output=, and write a file for each: the same seed gives the same passes"
        )
    return (ClassificationPredictive if model.task == "classification" else RegressionPredictive).__name__
