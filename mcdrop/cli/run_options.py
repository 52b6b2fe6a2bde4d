"""The options of `mcdrop predict` that say how it runs: the passes, where the predictions go, and Ray."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Address",
    "BatchSize",
    "CpusPerWorker",
    "FormatName",
    "GpusPerWorker",
    "KeepSamples",
    "LastLayer",
    "Masks",
    "MaxPasses",
    "MemoryLimit",
    "Out",
    "Overwrite",
    "Passes",
    "Quiet",
    "Resume",
    "Sampling",
    "Seed",
    "Split",
    "Tolerance",
    "UseRay",
    "Workers",
]

_PASSES, _OUTPUT, _RAY = "Passes", "Predictions", "Ray (needs mcdrop[ray])"  # panels of the help

Passes = Annotated[
    str,
    typer.Option(
        metavar="T",
        help="Stochastic forward passes, at least 2; or auto: as many as each row needs.",
        rich_help_panel=_PASSES,
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="FILE", help="Where the predictions go.", rich_help_panel=_OUTPUT),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        help="With --passes auto: the largest standard error of a mean, as a share of its std for numbers (default "
        "0.05), in probability for classes (default 0.005).",
        rich_help_panel=_PASSES,
    ),
]
MaxPasses = Annotated[
    int | None, typer.Option(help="With --passes auto: the most of a row. Default: 10000.", rich_help_panel=_PASSES)
]
Seed = Annotated[int, typer.Option(help="Of the dropout masks.", rich_help_panel=_PASSES)]
Masks = Annotated[
    str,
    typer.Option(
        metavar="[shared|independent]",
        help="One mask a pass for all rows, or one for each row.",
        rich_help_panel=_PASSES,
    ),
]
Sampling = Annotated[
    str,
    typer.Option(
        metavar="[stratified|iid]",
        help="Passes that share out their draws, or not.",
        rich_help_panel=_PASSES,
    ),
]
LastLayer = Annotated[
    str,
    typer.Option(
        metavar="[sampled|exact]", help="exact: the last layer's dropout in closed form.", rich_help_panel=_PASSES
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        metavar="ROWS",
        help="Rows that are read, predicted and written at once. Default: by the net's shapes.",
        rich_help_panel=_PASSES,
    ),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help='What passes may take beside net and inputs. Default: "2 GiB".', rich_help_panel=_PASSES
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        metavar="[hdf5|csv|parquet]",
        help="Default: by the ending of --out. HDF5 is for mcdrop.load, compare, plot, ArviZ and h5py.",
        rich_help_panel=_OUTPUT,
    ),
]
KeepSamples = Annotated[
    bool,
    typer.Option("--keep-samples", help="Write all passes, too: T times as much.", rich_help_panel=_OUTPUT),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on where an interrupted run stopped; the result is that of a run without a break.",
        rich_help_panel=_OUTPUT,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace an older file or unfinished run.", rich_help_panel=_OUTPUT),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no report.", rich_help_panel=_OUTPUT)]
UseRay = Annotated[
    bool, typer.Option("--ray", help="Predict on Ray: several processes, or a cluster.", rich_help_panel=_RAY)
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Of a cluster (or auto). Default: RAY_ADDRESS, else one that is started here for this run.",
        rich_help_panel=_RAY,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes that hold the net. Default: one per CPU (or GPU).", rich_help_panel=_RAY),
]
CpusPerWorker = Annotated[int, typer.Option(help="CPUs, and threads, of each.", rich_help_panel=_RAY)]
GpusPerWorker = Annotated[float, typer.Option(help="GPUs of each; 0.5 where two share one.", rich_help_panel=_RAY)]
Split = Annotated[
    str,
    typer.Option(
        metavar="[auto|points|passes]", help="What workers share: rows, or passes, too.", rich_help_panel=_RAY
    ),
]
