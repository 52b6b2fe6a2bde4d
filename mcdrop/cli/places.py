"""Where a command writes: checked before any work, and never over a file unless that is asked for."""

from pathlib import Path
from typing import Annotated

import typer

from mcdrop.errors import OutputError
from mcdrop.files import check_place

__all__ = ["ADVICE", "Overwrite", "check_free"]

ADVICE = "choose another place with --out"
"""What to do where nothing can be written."""

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
