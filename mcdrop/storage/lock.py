"""One run at a time: a lock beside a file that ends with the process, however that ends."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from mcdrop.errors import OutputError

__all__ = ["acquire", "release"]


def acquire(path: Path) -> Any:
    """Take the lock of a file, in the same folder, which must exist.

    Args:
        path: The file that no other run may write to meanwhile; need not exist yet.

    Returns:
        The lock, for `release`.

    Raises:
        OutputError: If another run has it, or there can be none in this folder.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(_place(path), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"{path} must belong to one run at a time, got another one that is writing there; wait for it, or choose "
            "another output"
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise OutputError(f"cannot lock {path}: {reason}; choose a writable folder with enough space") from error
    return lock


def release(path: Path, lock: Any) -> None:
    """Give the lock back and leave nothing of it behind."""
    with suppress(OSError):  # a file without a lock on it harms no one
        _place(path).unlink(missing_ok=True)  # while it is still ours: who waits for it sees that it is gone
    lock.release()


def _place(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")
