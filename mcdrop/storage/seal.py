"""A checksum behind the end of a file: damage is found before HDF5, which may hang on it, looks inside.

HDF5 knows where its data end and leaves alone what follows, so other readers do not notice the seal.
"""

import hashlib
from pathlib import Path
from typing import Literal

__all__ = ["has_seal", "inspect", "seal"]

_MARK = b"\nmcdrop sha-256: "
_LENGTH = len(_MARK) + hashlib.sha256().digest_size
_CHUNK = 1 << 20


def seal(path: Path) -> None:
    """Append the checksum of all bytes of a file."""
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256")
        file.write(_MARK + digest.digest())


def has_seal(path: Path) -> bool:
    """Say whether a file ends with a seal; the seal itself is not checked, so that only the end is read."""
    left = path.stat().st_size - _LENGTH
    if left < 0:
        return False
    with path.open("rb") as file:
        file.seek(left)
        return file.read(len(_MARK)) == _MARK


def inspect(path: Path) -> Literal["whole", "damaged", "unsealed"]:
    """Say whether a file is as it was sealed."""
    left = path.stat().st_size - _LENGTH
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
        end = file.read()
    if not end.startswith(_MARK):
        return "unsealed"
    return "whole" if end == _MARK + digest.digest() else "damaged"
