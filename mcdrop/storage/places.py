"""Places for files: paths that a file system can have, and what lies there already."""

import os
import stat
from pathlib import Path

from mcdrop.errors import InputError

__all__ = ["as_path", "mode_there"]


def as_path(path: str | Path) -> Path:
    """Return a path of text that could be a file's.

    Raises:
        InputError: If it is no text or path, or holds a character that no path can hold.
    """
    try:
        place = Path(path)
    except TypeError as error:
        raise InputError(
            f"path must be a str or a pathlib.Path, got {type(path).__name__} {path!r}; give the name of the file"
        ) from error
    try:
        encoded = os.fsencode(place)
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        raise InputError(f"path must hold characters that a file's name can have, got {str(place)!r}; rename it")
    return place


def mode_there(place: Path) -> int | None:
    """Return the permissions of the file at a place, or None if there is none yet.

    Raises:
        OSError: If something else is there: to put a file in its stead would destroy it.
    """
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError("it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError("it is a pipe, a socket or a device, and no file")
    return stat.S_IMODE(mode)
