"""The command line: parse, call, print."""

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as RichTable

from mcdrop.errors import McdropError

__all__ = ["app", "main"]

app = typer.Typer(
    name="mcdrop",
    help="Monte Carlo dropout: honest uncertainty from any trained PyTorch network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
demo = typer.Typer(
    help="Run a part of the dropout tutorial end to end: data, training, passes, figures.", no_args_is_help=True
)
app.add_typer(demo, name="demo")

Out = Annotated[Path | None, typer.Option(help="Folder for figures, arrays, weights and summary.json.")]
Preset = Annotated[
    str,
    typer.Option(
        help="default: two minutes on two cores. paper: the tutorial's nets and long training, for a GPU. "
        "tiny: seconds, only to see that everything works."
    ),
]
Seed = Annotated[int, typer.Option(help="Of initial weights, training noise and dropout masks.")]
Passes = Annotated[int | None, typer.Option(help="Stochastic forward passes T, at least 2. Default: the preset's.")]
Device = Annotated[str, typer.Option(help="Where to train and predict: cpu, cuda, cuda:1, ...")]
Reuse = Annotated[bool, typer.Option("--reuse", help="Load the weights of an earlier run with the same settings.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no report, only errors.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mcdrop {version('mcdrop')}")
        raise typer.Exit


@app.callback()
def _top(
    show: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Monte Carlo dropout: honest uncertainty from any trained PyTorch network."""


@demo.command()
def co2(
    out: Out = None,
    preset: Preset = "default",
    seed: Seed = 0,
    passes: Passes = None,
    data: Annotated[
        Path | None,
        typer.Option(help="HDF5 file to use instead of the bundled series: its layout, or `data` and `label` (N, 1)."),
    ] = None,
    reuse: Reuse = False,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Regression: extrapolate the Mauna Loa CO2 series with MC dropout and a Gaussian process.

    Trains a ReLU and a TanH net, runs T passes of each, fits a squared-exponential GP, and draws the tutorial's
    four panels (panels.png) and the bands in ppm with the real later months over them (ppm.png).
    """
    from mcdrop.demos import run_co2

    folder = out or Path("runs/co2")
    options = {"preset": preset, "seed": seed, "passes": passes, "data": data, "reuse": reuse, "device": device}
    _run(run_co2, folder, quiet, **options)


@demo.command()
def digits(
    out: Out = None,
    preset: Preset = "default",
    seed: Seed = 0,
    passes: Passes = None,
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
    reuse: Reuse = False,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Classification: turn a digit until the nets no longer know it, and see them say so.

    Trains the 800-800 perceptron and a LeNet, turns a held-out 1 by 50 to 127 degrees, runs T passes of each, and
    draws softmax inputs and outputs (softmax_*.png), probabilities and measures (uncertainty_*.png).
    """
    from mcdrop.demos import run_digits

    folder = out or Path("runs/digits")
    options = {"preset": preset, "seed": seed, "passes": passes, "data": data, "reuse": reuse, "device": device}
    _run(run_digits, folder, quiet, digit=digit, **options)


def _run(run: Callable[..., Any], out: Path, quiet: bool, **options: Any) -> None:
    """Run a demo without a screen and print its report."""
    import matplotlib as mpl

    mpl.use("agg")
    report = run(out, progress=not quiet, **options)
    if quiet:
        return
    console = Console()
    for table in report.tables:
        drawn = RichTable(*table.columns, title=table.title, title_justify="left")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)
    for check in report.checks:
        relation = "at least" if check.at_least else "at most"
        mark = "[green]ok[/]" if check.met else "[red]missed[/]"
        console.print(f"{check.name}: {check.value:.3g} (expected {relation} {check.bound:g}) {mark}")
    console.print(f"Written to {out}: {', '.join(path.name for path in report.files)}", soft_wrap=True)


def main() -> None:
    """Run the command line; an error of the project's tree is one line on standard error and exit code 2."""
    try:
        app()
    except McdropError as error:
        interrupted = isinstance(error.__cause__, KeyboardInterrupt)
        Console(stderr=True, soft_wrap=True).print(f"mcdrop: error: {error}", markup=False, highlight=False)
        sys.exit(130 if interrupted else 2)
