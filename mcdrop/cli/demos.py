"""`mcdrop demo`: the parts of the dropout tutorial, run end to end."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mcdrop.cli.interrupts import advise

__all__ = ["demo"]

demo = typer.Typer(
    help="Run a part of the dropout tutorial end to end: data, training, passes, figures.", no_args_is_help=True
)

_KEPT = "files written so far are whole; run again with {option} to keep what was trained"

Out = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="Folder for figures, arrays, weights and summary.json.")
]
Preset = Annotated[
    str,
    typer.Option(
        help="default: two to four minutes on two cores. paper: the tutorial's nets and long training, for a GPU. "
        "tiny: seconds, only to see that everything works."
    ),
]
Seed = Annotated[int, typer.Option(help="Of initial weights, training noise and dropout masks.")]
Passes = Annotated[int | None, typer.Option(help="Stochastic forward passes T, at least 2. Default: the preset's.")]
Device = Annotated[str, typer.Option(help="Where to train and predict: cpu, cuda, cuda:1, ...")]
Reuse = Annotated[bool, typer.Option("--reuse", help="Load the weights of an earlier run with the same settings.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no report, only errors.")]


@demo.command()
def co2(
    out: Out = None,
    preset: Preset = "default",
    seed: Seed = 0,
    passes: Passes = None,
    gp: Annotated[
        str,
        typer.Option(
            metavar="[none|map|nuts]",
            help="Gaussian processes beside the nets: map finds the best hyperparameters in seconds, nuts draws them "
            "from their posterior in many minutes, most of them for the structured kernel (needs mcdrop[nuts]), none "
            "leaves the processes out.",
        ),
    ] = "map",
    data: Annotated[
        Path | None,
        typer.Option(help="HDF5 file to use instead of the bundled series: its layout, or `data` and `label` (N, 1)."),
    ] = None,
    reuse: Reuse = False,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Regression: extrapolate the Mauna Loa CO2 series with MC dropout and Gaussian processes.

    Trains a ReLU and a TanH net, runs T passes of each, fits Gaussian processes with three kernels, draws the
    tutorial's four panels (panels.png) and the bands in ppm with the real later months over them (ppm.png), and
    scores all models inside the data and 1, 5 and 20 years after it (coverage.png, crps.png).
    """
    advise(_KEPT.format(option="--reuse"))
    from mcdrop.demos import run_co2

    folder = "runs/co2" if out is None else out
    options = {"preset": preset, "seed": seed, "passes": passes, "data": data, "reuse": reuse, "device": device}
    _run(run_co2, folder, quiet, gp=gp, **options)


@demo.command()
def digits(
    out: Out = None,
    preset: Preset = "default",
    seed: Seed = 0,
    passes: Passes = None,
    gp: Annotated[
        str,
        typer.Option(
            metavar="[none|map]",
            help="Gaussian-process classifier beside the nets: map fits it with its best hyperparameters, none "
            "leaves it out.",
        ),
    ] = "map",
    data: Annotated[
        Path | None, typer.Option(help="Folder with the four MNIST files to use instead of the bundled digits.")
    ] = None,
    digit: Annotated[
        int | None,
        typer.Option(
            help="Number of the held-out digit to turn. Default: the first 1 that leans "
            "(the tutorial turns 9978 of the full test set)."
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Take trained nets instead of training: a folder that demo regularization or demo digits wrote, or a "
            "file of weights (safetensors, or a state dict of torch). May be given twice, once for each net.",
        ),
    ] = None,
    reuse: Reuse = False,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Classification: turn digits until the nets no longer know them, and see who says so.

    Trains the 800-800 perceptron and a LeNet, turns a held-out 1 by 50 to 127 degrees, runs T passes of each, and
    draws softmax inputs and outputs (softmax_*.png), probabilities and measures (uncertainty_*.png). Then turns all
    held-out digits by 0 to 180 degrees and scores softmax, MC dropout and a Gaussian process (shift.png, ...).
    """
    advise(_KEPT.format(option="--reuse"))
    from mcdrop.demos import run_digits

    folder = "runs/digits" if out is None else out
    options = {"preset": preset, "seed": seed, "passes": passes, "data": data, "reuse": reuse, "device": device}
    _run(run_digits, folder, quiet, digit=digit, gp=gp, weights=weights or (), **options)


@demo.command()
def regularization(
    out: Out = None,
    preset: Annotated[
        str,
        typer.Option(
            help="default: under six minutes on two cores. paper: the tutorial's SGD and 1,500 epochs, for a GPU. "
            "tiny: seconds, only to see that everything works."
        ),
    ] = "default",
    seed: Annotated[int, typer.Option(help="Of the first repeat; the others count up from it.")] = 0,
    repeats: Annotated[
        int | None, typer.Option(help="Seeds with which each net is trained. Default: the preset's.")
    ] = None,
    passes: Annotated[
        int | None,
        typer.Option(help="Most stochastic forward passes T that are averaged, at least 2. Default: the preset's."),
    ] = None,
    exercises: Annotated[
        bool, typer.Option(help="Train the small perceptrons of the exercises, too: the larger part of the nets.")
    ] = True,
    data: Annotated[
        Path | None, typer.Option(help="Folder with the four MNIST files to use instead of the bundled digits.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where an earlier run into the same folder stopped; the curves are those of a run without a "
            "break. With more --repeats, only the new seeds are trained.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(help="Processes that train at once. The numbers do not depend on it. Default: one per core."),
    ] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Regularization: watch dropout spare errors on held-out digits, and see which differences are noise.

    Trains the 800-800 perceptron and the LeNet without and with dropout, with several seeds, and draws their test
    errors after every epoch (errors.png); says which orderings the data supports. Averages T passes beside one pass
    with averaged weights (averaging.png). Then small perceptrons: rates of two layers swapped (rates.png), variance of
    activations (variance.png), dropout and weight decay (decay.png), weights dropped in place of units (connect.png).
    Its trained nets are for `mcdrop demo digits --weights`.
    """
    advise(_KEPT.format(option="--resume"))
    from mcdrop.demos import run_regularization

    folder = "runs/regularization" if out is None else out
    options = {"preset": preset, "seed": seed, "passes": passes, "data": data, "device": device}
    _run(run_regularization, folder, quiet, repeats=repeats, exercises=exercises, resume=resume, jobs=jobs, **options)


def _run(run: Callable[..., Any], out: str, quiet: bool, **options: Any) -> None:
    """Run a demo without a screen and print its report."""
    import matplotlib as mpl

    mpl.use("agg")
    report = run(out, progress=not quiet, **options)
    if quiet:
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    console = Console()
    for table in report.tables:
        drawn = RichTable(*map(escape, table.columns), title=escape(table.title), title_justify="left")
        for row in table.rows:
            drawn.add_row(*map(escape, row))
        console.print(drawn)
    for sentence in report.verdict:
        console.print(sentence, highlight=False, markup=False)
    for check in report.checks:
        relation = "at least" if check.at_least else "at most"
        mark = "[green]ok[/]" if check.met else "[red]missed[/]"
        console.print(f"{escape(check.name)}: {check.value:.3g} (expected {relation} {check.bound:g}) {mark}")
    names = ", ".join(path.name for path in report.files)
    console.print(f"Written to {out}: {names}", soft_wrap=True, markup=False)
