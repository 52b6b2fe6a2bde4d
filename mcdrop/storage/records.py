"""Records: blocks of points as bytes with checksums, one after another, found again even behind damaged ones.

A journal is a head and the records after it. The head is

    mark (16 bytes) | number of the format, length of the text (8 each) | SHA-256 of the text (32) | text

where the text is JSON: a random key, and plain data about the run. A record is

    mark (16) | its place in the file, length of the payload (8 each) | SHA-256 of the payload (32) |
    SHA-256 of the key and of the above (32) | payload

where the payload is a safetensors file: the arrays of the block, and in its header the rest as JSON. Whole numbers are
little-endian. No code is ever read. Place and key see to it that a copy of a record inside another one's numbers, or
out of another journal, is never taken for one.

References:
    Hugging Face (2022). Safetensors: a simple and safe way to store tensors.
    https://huggingface.co/docs/safetensors (section Format).
"""

import hashlib
import json
import secrets
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mcdrop.errors import InputError
from mcdrop.storage.archive import POINT, Group, Variable, checked

__all__ = ["Entry", "find", "frame", "is_journal", "make_head", "pack", "payload_of", "read_head", "unpack"]

FORMAT = 1
_HEAD_MARK = b"mcdrop journal\r\n"
_MARK = b"\nmcdrop record:\n"
_HEAD = struct.Struct("<16sQQ32s")
_FRAME = struct.Struct("<16sQQ32s32s")
_SIGNED = _FRAME.size - 32  # the last checksum of a frame is over what stands before it
_CHUNK = 1 << 20
_ABOUT = "mcdrop"  # the one key in the header of a payload


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A block that is in the journal.

    Attributes:
        start: Number of its first row.
        size: How many rows it is made of.
        points: How many points it holds: fewer than rows where some were left out.
        place: Where its record begins in the file, in bytes.
        length: Length of the record's payload in bytes.
    """

    start: int
    size: int
    points: int = field(compare=False)
    place: int = field(compare=False)
    length: int = field(compare=False)

    @property
    def stop(self) -> int:
        """Number of the first row after it."""
        return self.start + self.size

    @property
    def end(self) -> int:
        """Where its record ends in the file, in bytes."""
        return self.place + _FRAME.size + self.length


def make_head(about: Mapping[str, Any]) -> bytes:
    """Return the head of a new journal, with a key of its own."""
    text = json.dumps({"key": secrets.token_hex(16), "about": about}).encode()
    return _HEAD.pack(_HEAD_MARK, FORMAT, len(text), hashlib.sha256(text).digest()) + text


def is_journal(start: bytes) -> bool:
    """Tell by the first 16 bytes of a file whether it is a journal, of whatever format."""
    return start == _HEAD_MARK


def read_head(file: BinaryIO) -> tuple[dict[str, Any], bytes, int]:
    """Return plain data about the run, the key, and where the records begin.

    Raises:
        ValueError: Saying what the file is, if it is no journal that can be read.
    """
    start = file.read(_HEAD.size)
    if not start.startswith(_HEAD_MARK):
        raise ValueError(f"a file that starts with {start[:16]!r}" if start else "an empty file")
    if len(start) < _HEAD.size:
        raise ValueError("one whose beginning is damaged")
    _, layout, length, digest = _HEAD.unpack(start)
    if layout != FORMAT:
        raise ValueError(f"one of format {layout}, while this mcdrop knows format {FORMAT}")
    text = file.read(min(length, 1 << 30))
    if hashlib.sha256(text).digest() != digest:
        raise ValueError("one whose beginning is damaged")
    known = json.loads(text)
    return known["about"], bytes.fromhex(known["key"]), _HEAD.size + length


def pack(start: int, size: int, groups: Mapping[str, Group]) -> tuple[bytes, int]:
    """Return a block as the payload of a record, and how many points it holds.

    Raises:
        InputError: If a variable is of a kind that a journal cannot hold, or they do not fit together.
    """
    from safetensors.numpy import save

    ready = {group: checked(group, variables, {}) for group, variables in groups.items()}
    lengths = {
        size
        for variables in ready.values()
        for variable in variables.values()
        for dim, size in zip(variable.dims, variable.values.shape, strict=True)
        if dim == POINT
    }
    if len(lengths) > 1 or max(lengths, default=0) > size:
        raise InputError(
            f"a block must hold one number of points, at most its {size} row(s), got {sorted(lengths)}; give every "
            f"variable with an axis {POINT!r} one value per point"
        )
    points = max(lengths, default=0)
    arrays = {f"{group}/{name}": _native(name, one) for group, known in ready.items() for name, one in known.items()}
    axes = {
        group: {name: [one.dims, one.units, one.long_name] for name, one in known.items()}
        for group, known in ready.items()
    }
    about = {"start": start, "size": size, "points": points, "groups": axes}
    return save(arrays, {_ABOUT: json.dumps(about)}), points


def unpack(payload: bytes) -> dict[str, dict[str, Variable]]:
    """Return the block that was packed, its arrays to the bit."""
    from safetensors.numpy import load

    arrays = load(payload)
    length = int.from_bytes(payload[:8], "little")
    return {
        group: {
            name: Variable(tuple(dims), arrays[f"{group}/{name}"], units, long_name)
            for name, (dims, units, long_name) in known.items()
        }
        for group, known in _about(payload[8 : 8 + length])["groups"].items()
    }


def frame(payload: bytes, *, key: bytes, place: int) -> bytes:
    """Return what stands before a payload in the record that begins at a place."""
    signed = struct.pack("<16sQQ32s", _MARK, place, len(payload), hashlib.sha256(payload).digest())
    return signed + hashlib.sha256(key + signed).digest()


def payload_of(file: BinaryIO, entry: Entry, *, key: bytes) -> bytes | None:
    """Return the payload of a record, or None if it is not what was written."""
    head = _frame_at(file, entry.place, key)
    if head is None or head[0] != entry.length:
        return None
    payload = _exactly(file, entry.length)
    return payload if hashlib.sha256(payload).digest() == head[1] else None


def find(file: BinaryIO, *, key: bytes, start: int) -> Iterator[Entry]:
    """Find every whole record from a place on; damaged ones are passed over.

    Args:
        file: The journal.
        key: Its key.
        start: Where to begin, in bytes.

    Yields:
        The blocks in the order of the file.
    """
    place: int | None = start
    while place is not None:
        entry = _entry_at(file, place, key)
        if entry is not None:
            yield entry
            place = entry.end
        else:
            place = _next_mark(file, place + 1)


def _entry_at(file: BinaryIO, place: int, key: bytes) -> Entry | None:
    """Return the block of the record that begins at a place, if there is a whole one."""
    head = _frame_at(file, place, key)
    if head is None:
        return None
    length, expected = head
    digest, left = hashlib.sha256(), length
    while left and (chunk := file.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    if left or digest.digest() != expected:
        return None
    file.seek(place + _FRAME.size)
    known = _about(_exactly(file, int.from_bytes(file.read(8), "little")))
    return Entry(known["start"], known["size"], known["points"], place, length)


def _frame_at(file: BinaryIO, place: int, key: bytes) -> tuple[int, bytes] | None:
    """Return length and checksum of the payload that a frame at a place tells of, if there is a whole frame."""
    file.seek(place)
    data = _exactly(file, _FRAME.size)
    if len(data) < _FRAME.size:
        return None
    mark, told, length, digest, seal = _FRAME.unpack(data)
    if mark != _MARK or told != place or seal != hashlib.sha256(key + data[:_SIGNED]).digest():
        return None
    return length, digest


def _next_mark(file: BinaryIO, start: int) -> int | None:
    """Return where the next mark of a record stands, if there is one."""
    file.seek(start)
    place, seen = start, b""
    while chunk := file.read(_CHUNK):
        seen += chunk
        if (found := seen.find(_MARK)) >= 0:
            return place + found
        keep = len(_MARK) - 1
        place += max(len(seen) - keep, 0)
        seen = seen[-keep:]
    return None


def _exactly(file: BinaryIO, size: int) -> bytes:
    """Return so many bytes, or all that are left: without a buffer, a file may give fewer at a time."""
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _about(header: bytes) -> dict[str, Any]:
    """Return what the JSON header of a payload says of the block."""
    known: dict[str, Any] = json.loads(json.loads(header)["__metadata__"][_ABOUT])
    return known


def _native(name: str, variable: Variable) -> NDArray[Any]:
    """Return values as they lie in a payload: one after another, in the order of bytes of safetensors."""
    values = np.asarray(variable.values)
    if values.dtype.kind == "U":
        raise InputError(f"a journal holds numbers and truth values, got text in {name!r}; write texts as labels")
    return values.astype(values.dtype.newbyteorder("<"), order="C", copy=False)
