"""Files that appear whole or not at all: written beside their place, then renamed."""

import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcdrop.errors import OutputError

__all__ = ["check_folder", "check_place", "write_whole"]


def write_whole(target: Path, write: Callable[[Path], Any], *, advice: str, partial: str | None = None) -> None:
    """Write a file of which others see nothing until it is complete.

    Whatever fails, an older file of that name stays as it was, and nothing is left beside it. A process that is killed
    may leave a hidden file named `.partial-...`, or what `partial` says.

    Args:
        target: Where the file goes; its folder is made if need be, and a link there stays a link.
        write: Writes everything to the path that it is given, in the same folder and with the same ending.
        advice: What to do when this fails; ends the error message.
        partial: Name of the file that is written first, which takes the place of one that is left there; for a caller
            who sees to it that no one else writes there. Default: a name of chance.

    Raises:
        OutputError: If the file cannot be written, or something is there that is no file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = Path(folder, "notes", "a.txt")
        ...     write_whole(place, lambda path: path.write_text("whole"), advice="choose another folder")
        ...     place.read_text()
        'whole'
    """
    beside: Path | None = None
    try:
        place = _free(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name(partial or f".partial-{secrets.token_hex(8)}{place.suffix}")
        if partial:
            beside.unlink(missing_ok=True)
        beside.open("xb").close()  # with the permissions of any new file, which who writes into it keeps
        write(beside)
        beside.replace(place)
    except (OSError, RuntimeError) as error:
        raise _unwritable(target, error, advice) from error
    finally:
        if beside is not None:
            with suppress(OSError):  # where it could not even be removed, the error above says why
                beside.unlink(missing_ok=True)


def check_folder(folder: Path, *, advice: str) -> None:
    """Make a folder and try to write in it, before any long work.

    Args:
        folder: The folder; may be there already.
        advice: What to do when this fails; ends the error message.

    Raises:
        OutputError: If that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=".partial-", dir=folder) as file:
            file.write(b"ok")
    except OSError as error:
        raise _unwritable(folder, error, advice) from error


def check_place(target: Path, *, advice: str) -> None:
    """See that `write_whole` could write a file there, before any long work; its folder is made.

    Args:
        target: Where the file is to go.
        advice: What to do when this fails; ends the error message.

    Raises:
        OutputError: If that fails.
    """
    try:
        place = _free(target)
    except (OSError, RuntimeError) as error:
        raise _unwritable(target, error, advice) from error
    check_folder(place.parent, advice=advice)


def _free(target: Path) -> Path:
    """Return where a link leads, and refuse a folder or a device, which a file would replace."""
    place = target.resolve()
    if place.exists() and not place.is_file():
        raise OSError("something is there that is no file")
    return place


def _unwritable(place: Path, error: Exception, advice: str) -> OutputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    return OutputError(f"cannot write {place}: {reason}; {advice}")
