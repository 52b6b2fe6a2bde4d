"""The commands of `mcdrop`, in the order of its help."""

from typing import Annotated, Any

import typer

from mcdrop.cli.compare import ManyNames, compare
from mcdrop.cli.demos import demo
from mcdrop.cli.plot import plot
from mcdrop.cli.predict import predict, sites

__all__ = ["app"]

app = typer.Typer(
    name="mcdrop",
    help="Monte Carlo dropout: honest uncertainty from any trained PyTorch network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# A command is a function in a module beside this one; its docstring's first sentence stands in the help.
_COMMANDS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (predict, {}),
    (sites, {}),
    (compare, {"cls": ManyNames}),
    (plot, {}),
)
for _function, _options in _COMMANDS:
    app.command(**_options)(_function)
app.add_typer(demo, name="demo")  # groups stand below the commands


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mcdrop {version('mcdrop')}")
        raise typer.Exit


@app.callback()
def _top(
    show: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Monte Carlo dropout: honest uncertainty from any trained PyTorch network."""
