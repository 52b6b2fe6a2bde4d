"""`mcdrop predict` and `mcdrop sites`: a trained net in a file on data in a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mcdrop.cli.interrupts import advise
from mcdrop.cli.named import open_inputs, open_net, open_transform, said_briefly
from mcdrop.cli.options import (
    DATA,
    OUTPUT,
    PASSES,
    RAY,
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
    Part,
    Returns,
    TaskName,
    Transform,
    Weights,
)
from mcdrop.errors import InputError

__all__ = ["predict", "sites"]

_ROWS = 64  # that a net is looked at with


def predict(
    model: ModelName,
    inputs: Inputs,
    passes: Annotated[
        str,
        typer.Option(
            metavar="T",
            help="Stochastic forward passes, at least 2; or auto: as many as each row needs.",
            rich_help_panel=PASSES,
        ),
    ] = "100",
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Where the predictions go.", rich_help_panel=OUTPUT),
    ] = Path("predictions.h5"),
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
    on_nan: Annotated[
        str,
        typer.Option(
            metavar="[error|skip|keep]",
            help="Rows that hold NaN: stop and name them, leave them out, or keep their places without a prediction.",
            rich_help_panel=DATA,
        ),
    ] = "error",
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="With --passes auto: the largest standard error of a mean, as a share of its std for numbers (default "
            "0.05), in probability for classes (default 0.005).",
            rich_help_panel=PASSES,
        ),
    ] = None,
    max_passes: Annotated[
        int | None, typer.Option(help="With --passes auto: the most of a row. Default: 10000.", rich_help_panel=PASSES)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the dropout masks.", rich_help_panel=PASSES)] = 0,
    masks: Annotated[
        str,
        typer.Option(
            metavar="[shared|independent]",
            help="One mask a pass for all rows, or one for each row.",
            rich_help_panel=PASSES,
        ),
    ] = "shared",
    sampling: Annotated[
        str,
        typer.Option(
            metavar="[stratified|iid]",
            help="Passes that share out their draws, or not.",
            rich_help_panel=PASSES,
        ),
    ] = "stratified",
    last_layer: Annotated[
        str,
        typer.Option(
            metavar="[sampled|exact]", help="exact: the last layer's dropout in closed form.", rich_help_panel=PASSES
        ),
    ] = "sampled",
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            help="Rows that are read, predicted and written at once. Default: by the net's shapes.",
            rich_help_panel=PASSES,
        ),
    ] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help='What passes may take beside net and inputs. Default: "2 GiB".', rich_help_panel=PASSES
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="[hdf5|csv|parquet]",
            help="Default: by the ending of --out. HDF5 is for mcdrop.load, compare, plot, ArviZ and h5py.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    keep_samples: Annotated[
        bool,
        typer.Option("--keep-samples", help="Write all passes, too: T times as much.", rich_help_panel=OUTPUT),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where an interrupted run stopped; the result is that of a run without a break.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace an older file or unfinished run.", rich_help_panel=OUTPUT),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar and no report.", rich_help_panel=OUTPUT)
    ] = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Predict on Ray: several processes, or a cluster.", rich_help_panel=RAY)
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Of a cluster (or auto). Default: RAY_ADDRESS, else one that is started here for this run.",
            rich_help_panel=RAY,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that hold the net. Default: one per CPU (or GPU).", rich_help_panel=RAY),
    ] = None,
    cpus_per_worker: Annotated[int, typer.Option(help="CPUs, and threads, of each.", rich_help_panel=RAY)] = 1,
    gpus_per_worker: Annotated[
        float, typer.Option(help="GPUs of each; 0.5 where two share one.", rich_help_panel=RAY)
    ] = 0.0,
    split: Annotated[
        str,
        typer.Option(
            metavar="[auto|points|passes]", help="What workers share: rows, or passes, too.", rich_help_panel=RAY
        ),
    ] = "auto",
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
    stopping: dict[str, Any] = {"tolerance": tolerance, "max_passes": max_passes}
    images = {"size": image_size, "mode": image_mode, "mean": image_mean, "std": image_std}
    with said_briefly(), open_inputs(inputs, columns, images) as source:
        net = open_net(model, weights, device, task=task, output=output, outputs=outputs, class_axis=class_axis)
        done = predict_file(
            net.model,
            source,
            out,
            format=format,  # type: ignore[arg-type]
            on_nan=on_nan,  # type: ignore[arg-type]
            transform=open_transform(divide_by, transform),
            resume=resume,
            overwrite=overwrite,
            execute=execute,
            passes=number,
            seed=seed,
            masks=masks,  # type: ignore[arg-type]
            sampling=sampling,  # type: ignore[arg-type]
            last_layer=last_layer,  # type: ignore[arg-type]
            keep_samples=keep_samples,
            batch_size=batch_size,
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
        net = open_net(model, weights, "cpu", task=task, output=output, outputs=outputs, class_axis=class_axis)
        reader = Reader(source, "keep", complete_row(source), open_transform(divide_by, transform))
        typer.echo(str(net.model.sites(reader.read(0, min(len(source), _ROWS)).x)))


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


def _report(done: Any, passes: Any) -> list[str]:
    """Say what was done."""
    most = " at most" if passes == "auto" else ""
    live = len(done.sites.live)
    lines = [f"passes: {done.passes:,}{most}, {live} dropout site{'s' * (live != 1)} live"]
    if done.resumed == done.rows:
        return [*lines, f"{done.path} was complete already"]
    rows = done.rows - done.resumed
    again = f", {done.resumed:,} before" if done.resumed else ""
    lines.append(f"{rows:,} rows predicted in {done.seconds:.1f} s, {rows / done.seconds:,.0f} a second{again}")
    if done.gaps:
        hold = "rows hold" if done.gaps > 1 else "row holds"
        lines.append(f"{done.gaps:,} {hold} NaN, without a prediction")
    return [*lines, f"Written to {done.path}"]
