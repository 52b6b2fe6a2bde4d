"""`mcdrop plot`: a figure of a saved prediction."""

from pathlib import Path
from typing import Annotated, cast

import typer

from mcdrop.arguments import check_choice
from mcdrop.cli.arrays import FILE_AND_NAME, label_of, read_array
from mcdrop.cli.figures import Kind, Words, check_kind, draw
from mcdrop.cli.places import ADVICE, Overwrite, check_free
from mcdrop.cli.predictions import Predicted, as_truth, check_rows, read_predicted
from mcdrop.errors import InputError
from mcdrop.files import write_whole

__all__ = ["plot"]

_ENDINGS = (".png", ".pdf", ".svg")


def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A prediction.")],
    kind: Annotated[
        str,
        typer.Option(
            metavar="[band|refusal|measures]",
            help="band: mean and spread of a regression along x. refusal: how accurate the answers are that remain "
            "when the least certain are refused (needs --truth). measures: histograms of entropy, mutual information "
            "and variation ratio (with --truth of right and wrong answers), or of a regression's std.",
        ),
    ],
    x: Annotated[
        str | None,
        typer.Option(metavar=FILE_AND_NAME, help="Where the points lie, for bands. Default: the row's number."),
    ] = None,
    truth: Annotated[
        str | None, typer.Option(metavar=FILE_AND_NAME, help="What is true, as for `mcdrop compare`; drawn over bands.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .png, .pdf or .svg. Default: beside the prediction, NAME_KIND.png."),
    ] = None,
    output: Annotated[
        int | None, typer.Option(help="Which output of a regression with several. Default: 0, the first.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Default: the file's name.")] = None,
    xlabel: Annotated[str | None, typer.Option(help='Name and unit of x, such as "time (years)".')] = None,
    ylabel: Annotated[str | None, typer.Option(help='Name and unit of y, such as "CO2 (ppm)".')] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a saved prediction: bands, accuracy against answers refused, or histograms of uncertainty.

    Millions of points are drawn as quantiles of stretches of x, which the legend says.

    mcdrop plot predictions.h5 --kind band --x data.h5::test/x
    """
    check_choice("--kind", kind, Kind)
    target = file.with_name(f"{file.stem}_{kind}.png") if out is None else out
    if target.suffix.lower() not in _ENDINGS:
        raise InputError(f"--out must end in {', '.join(_ENDINGS)}, got {target}; the ending says the format")
    check_free(target, overwrite=overwrite)
    predicted = read_predicted(file)
    check_kind(cast("Kind", kind), predicted, truth=truth is not None, x=x is not None, output=output)
    words = _words(predicted, x, output or 0, {"title": title, "xlabel": xlabel, "ylabel": ylabel})
    _draw_to(target, predicted, cast("Kind", kind), x=x, truth=truth, output=output or 0, words=words)
    typer.echo(f"Written to {target}")


def _words(predicted: Predicted, x: str | None, output: int, given: dict[str, str | None]) -> Words:
    """Return what is asked for to stand at the axes, and what is known of the rest."""
    words = {"title": predicted.path.stem}
    if x is not None:
        words["xlabel"] = label_of(x)
    if predicted.outputs > 1:
        words["ylabel"] = f"output {output}"
    return Words(**words | {name: word for name, word in given.items() if word is not None})


def _draw_to(
    target: Path,
    predicted: Predicted,
    kind: Kind,
    *,
    x: str | None,
    truth: str | None,
    output: int,
    words: Words,
) -> None:
    """Draw without a screen, and write the figure whole."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    y = places = None
    if truth is not None:
        y = read_array(truth, option="--truth")
        check_rows([predicted], len(y), truth)
        y = as_truth(y, truth, labels=predicted.kind == "classification")[predicted.rows]
    if x is not None:
        places = read_array(x, option="--x")
        check_rows([predicted], len(places), x)
        places = places[predicted.rows]
    figure = draw(kind, predicted, truth=y, x=places, output=output, words=words)
    try:
        write_whole(target, lambda path: figure.savefig(path, dpi=150), advice=ADVICE)
    finally:
        plt.close(figure)
