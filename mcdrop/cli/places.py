"""Where a command writes: checked before any work, and never over a file unless that is asked for."""

from pathlib import Path
from typing import Annotated

import typer

from mcdrop.errors import InputError, OutputError
from mcdrop.files import check_place

__all__ = ["ADVICE", "Overwrite", "check_ending", "check_free"]

ADVICE = "choose another place with --out"
"""What to do where nothing can be written."""

_FOREIGN = frozenset(
    ".7z .arrow .bz2 .db .doc .docx .feather .gz .htm .html .jpg .json .jsonl .log .mat .md .npy .npz .ods .orc .pdf "
    ".pickle .pkl .png .pt .pt2 .pth .safetensors .sqlite .svg .tsv .txt .xls .xlsx .xml .yaml .yml .zip".split()
)
"""Endings of files that are something else than predictions."""

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]


def check_free(target: Path, *, overwrite: bool) -> None:
    """See that a file can be written, and that it may.

    Args:
        target: Where it is to go; its folder is made.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        OutputError: If it cannot, or may not.
    """
    if target.is_file() and not overwrite:
        raise OutputError(f"cannot write {target}: it is there already; pass --overwrite, or {ADVICE}")
    check_place(target, advice=ADVICE)


def check_ending(target: Path, form: str | None) -> None:
    """Refuse to write HDF5 into a file whose name says that it is something else.

    Args:
        target: Where predictions are to go.
        form: The format that is asked for; None for that of the ending, which HDF5 stands in for where it is unknown.

    Raises:
        InputError: If the ending is that of another kind of file.

    Example:
        >>> check_ending(Path("predictions.h5"), None)
    """
    ending = target.suffix.lower()
    if form is None and ending in _FOREIGN:
        raise InputError(
            f"--out must end in .h5 (HDF5), .csv or .parquet, got {target}, and {ending} cannot be written; choose one "
            "of them, or say --format"
        )
