"""`mcdrop predict` and `mcdrop sites`: a trained net in a file on data in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mcdrop.cli.interrupts import advise
from mcdrop.cli.named import open_inputs, open_net, open_transform, said_briefly
from mcdrop.cli.net_options import (
    ClassAxis,
    Columns,
    Device,
    DivideBy,
    ImageMean,
    ImageMode,
    ImageSize,
    ImageStd,
    Inputs,
    ModelName,
    OnNan,
    Part,
    Returns,
    TaskName,
    Transform,
    Weights,
)
from mcdrop.cli.places import check_ending
from mcdrop.cli.refusals import saying_how_to_change
from mcdrop.cli.run_options import (
    Address,
    BatchSize,
    CpusPerWorker,
    FormatName,
    GpusPerWorker,
    KeepSamples,
    LastLayer,
    Masks,
    MaxPasses,
    MemoryLimit,
    Out,
    Overwrite,
    Passes,
    Quiet,
    Resume,
    Sampling,
    Seed,
    Split,
    Tolerance,
    UseRay,
    Workers,
)
from mcdrop.errors import InputError

if TYPE_CHECKING:
    from mcdrop.bulk import Written

__all__ = ["predict", "sites"]

_ROWS = 64  # that a net is looked at with


def predict(
    model: ModelName,
    inputs: Inputs,
    passes: Passes = "100",
    out: Out = Path("predictions.h5"),
    weights: Weights = None,
    task: TaskName = None,
    output: Part = None,
    outputs: Returns = "logits",
    class_axis: ClassAxis = None,
    device: Device = "cpu",
    columns: Columns = None,
    divide_by: DivideBy = None,
    transform: Transform = None,
    image_size: ImageSize = None,
    image_mode: ImageMode = "RGB",
    image_mean: ImageMean = None,
    image_std: ImageStd = None,
    on_nan: OnNan = "error",
    tolerance: Tolerance = None,
    max_passes: MaxPasses = None,
    seed: Seed = 0,
    masks: Masks = "shared",
    sampling: Sampling = "stratified",
    last_layer: LastLayer = "sampled",
    batch_size: BatchSize = None,
    memory_limit: MemoryLimit = None,
    format: FormatName = None,
    keep_samples: KeepSamples = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    ray: UseRay = False,
    address: Address = None,
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = 0.0,
    split: Split = "auto",
) -> None:
    """Predict every row of a file with a trained net: mean, spread and measures, block by block, into one file.

    mcdrop predict net.pt2 data.h5::images --task classification --passes 100 --out predictions.h5

    mcdrop predict nets.py:make_net table.csv --weights net.safetensors --columns age,dose --out predictions.csv
    """
    advise("what is predicted is kept; run it again with --resume to go on")
    from mcdrop.bulk import in_process, predict_file

    pool = {
        "--address": address is not None,
        "--workers": workers is not None,
        "--cpus-per-worker": cpus_per_worker != 1,
        "--gpus-per-worker": gpus_per_worker != 0,
        "--split": split != "auto",
    }
    _refuse_without_ray(ray, [name for name, is_given in pool.items() if is_given])
    execute = _on_ray(address, workers, cpus_per_worker, gpus_per_worker, split) if ray else in_process
    number = _passes(passes)
    check_ending(out, format)
    stopping: dict[str, Any] = {"tolerance": tolerance, "max_passes": max_passes}
    images = {"size": image_size, "mode": image_mode, "mean": image_mean, "std": image_std}
    with said_briefly(), open_inputs(inputs, columns, images) as source:
        net = open_net(model, weights, device, task=task, output=output, outputs=outputs, class_axis=class_axis)
        change = open_transform(divide_by, transform)
        with saying_how_to_change(source, change):
            done = predict_file(
                net.model,
                source,
                out,
                format=format,  # type: ignore[arg-type]
                on_nan=on_nan,  # type: ignore[arg-type]
                transform=change,
                resume=resume,
                overwrite=overwrite,
                execute=execute,
                passes=number,
                seed=seed,
                masks=masks,  # type: ignore[arg-type]
                sampling=sampling,  # type: ignore[arg-type]
                last_layer=last_layer,  # type: ignore[arg-type]
                keep_samples=keep_samples,
                batch_size=net.batch_size(batch_size),
                memory_limit=memory_limit,
                progress=not quiet,
                **{name: value for name, value in stopping.items() if value is not None},
            )
    if not quiet:
        for line in (*net.lines, f"inputs: {source.describe()}", *_report(done, number)):
            typer.echo(line)


def sites(
    model: ModelName,
    inputs: Inputs,
    weights: Weights = None,
    task: TaskName = None,
    output: Part = None,
    outputs: Returns = "logits",
    class_axis: ClassAxis = None,
    device: Device = "cpu",
    columns: Columns = None,
    divide_by: DivideBy = None,
    transform: Transform = None,
    image_size: ImageSize = None,
    image_mode: ImageMode = "RGB",
    image_mean: ImageMean = None,
    image_std: ImageStd = None,
) -> None:
    """List where dropout enters a net, and declared dropout that never fires: look here before you trust a spread.

    mcdrop sites net.pt2 data.h5::images --task classification
    """
    from mcdrop.bulk import Reader, complete_row

    images = {"size": image_size, "mode": image_mode, "mean": image_mean, "std": image_std}
    with said_briefly(), open_inputs(inputs, columns, images) as source:
        net = open_net(model, weights, device, task=task, output=output, outputs=outputs, class_axis=class_axis)
        change = open_transform(divide_by, transform)
        reader = Reader(source, "keep", complete_row(source), change)
        with saying_how_to_change(source, change):
            table = net.model.sites(reader.read(0, min(len(source), net.batch_size(None) or _ROWS)).x)
    typer.echo(str(table))


def _passes(text: str) -> Any:
    """Return the number of passes, or "auto"."""
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise InputError(f"--passes must be a whole number or auto, got {text!r}; such as 100") from None


def _refuse_without_ray(ray: bool, given: list[str]) -> None:
    """Refuse options of Ray where it is not asked for."""
    if given and not ray:
        raise InputError(f"{given[0]} must go with --ray, got it alone; add --ray")


def _on_ray(address: str | None, workers: int | None, cpus: int, gpus: float, split: str) -> Any:
    """Return who predicts on Ray."""
    from mcdrop.distributed import OnRay, Pool

    return OnRay(Pool(address=address, workers=workers, cpus=cpus, gpus=gpus), split)  # type: ignore[arg-type]


def _report(done: "Written", passes: Any) -> list[str]:
    """Say what was done."""
    most = " at most" if passes == "auto" else ""
    live = len(done.sites.live)
    lines = [f"passes: {done.passes:,}{most}, {live} dropout site{'s' * (live != 1)} live"]
    if done.gaps is None:
        return [*lines, f"{done.path} was complete already"]
    left = done.rows - done.resumed
    if not left:
        lines.append(f"{_rows(done.rows - done.gaps)} had been predicted before")
    elif not done.resumed or not done.gaps:
        rows = left - done.gaps
        again = f", {done.resumed:,} before" if done.resumed else ""
        lines.append(f"{_rows(rows)} predicted in {done.seconds:.1f} s, {rows / done.seconds:,.0f} a second{again}")
    else:  # nobody has counted in which of the two runs the rows with NaN came
        lines.append(
            f"{_rows(done.rows - done.gaps)} predicted, of {left:,} read in {done.seconds:.1f} s and "
            f"{done.resumed:,} read before"
        )
    if done.gaps:
        hold = "hold" if done.gaps > 1 else "holds"
        lines.append(f"{_rows(done.gaps)} {hold} NaN, without a prediction")
    return [*lines, f"Written to {done.path}"]


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"
