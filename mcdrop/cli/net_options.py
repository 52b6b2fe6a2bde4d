"""The options that say which net and which inputs: those of `mcdrop predict` and `mcdrop sites`."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "ClassAxis",
    "Columns",
    "Device",
    "DivideBy",
    "ImageMean",
    "ImageMode",
    "ImageSize",
    "ImageStd",
    "Inputs",
    "ModelName",
    "OnNan",
    "Part",
    "Returns",
    "TaskName",
    "Transform",
    "Weights",
]

_NET, _DATA = "Net", "Inputs"  # panels of the help

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="The trained net: a program of torch.export (net.pt2); the code that builds it (package.module:factory or "
        "nets.py:factory), with --weights; or a local folder of Hugging Face transformers.",
        show_default=False,
    ),
]
Inputs = Annotated[
    str,
    typer.Argument(
        metavar="INPUTS",
        help="The rows: data.h5::dataset, or data.h5 for all of its datasets as keyword inputs; .npy, .npz; .csv or "
        ".parquet; a folder of images. May be larger than memory.",
        show_default=False,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Weights of a factory's net: .safetensors, or a state dict (.pt, .pth, .bin). Loading them runs no code.",
        rich_help_panel=_NET,
    ),
]
TaskName = Annotated[
    str | None,
    typer.Option(
        metavar="[regression|classification|heteroscedastic]",
        help="What the net predicts: numbers; logits of classes; or means and log-variances. Default: what a Hugging "
        "Face folder says of itself, else regression.",
        rich_help_panel=_NET,
    ),
]
Part = Annotated[
    str | None,
    typer.Option(
        metavar="PART",
        help="Which part of what the net returns: a name, a place such as 0, or a path such as decoder.0.",
        rich_help_panel=_NET,
    ),
]
Returns = Annotated[
    str,
    typer.Option(metavar="[logits|probabilities]", help="What a classifier returns.", rich_help_panel=_NET),
]
ClassAxis = Annotated[
    int | None,
    typer.Option(help="Which axis of a classifier's output holds the classes. Default: 1.", rich_help_panel=_NET),
]
Device = Annotated[str, typer.Option(help="Where the net runs: cpu, cuda, cuda:1, ...", rich_help_panel=_NET)]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Columns of a table, in the net's order; or arrays of a .h5 or .npz file, as keyword inputs (one alone as "
        "::name). Default: all.",
        rich_help_panel=_DATA,
    ),
]
DivideBy = Annotated[
    float | None,
    typer.Option(metavar="NUMBER", help="Divide the inputs by it: 255 for images in bytes.", rich_help_panel=_DATA),
]
Transform = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:FUNCTION",
        help="Code of your own that turns each block of inputs (an array, or a dict of them) into what the net takes.",
        rich_help_panel=_DATA,
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(metavar="H[xW]", help="Resize images to it. Default: as they are.", rich_help_panel=_DATA),
]
ImageMode = Annotated[
    str, typer.Option(metavar="[RGB|L]", help="Images in colors, or in gray levels.", rich_help_panel=_DATA)
]
ImageMean = Annotated[
    str | None,
    typer.Option(metavar="M,...", help="Subtract from each channel of images, in [0, 1].", rich_help_panel=_DATA),
]
ImageStd = Annotated[
    str | None, typer.Option(metavar="S,...", help="Divide each channel by, after that.", rich_help_panel=_DATA)
]
OnNan = Annotated[
    str,
    typer.Option(
        metavar="[error|skip|keep]",
        help="Rows that hold NaN: stop and name them, leave them out, or keep their places without a prediction.",
        rich_help_panel=_DATA,
    ),
]
