"""What a file is by its content, and why it is no net that can be opened."""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from mcdrop.errors import DataError
from mcdrop.weights import ENDINGS

__all__ = ["FORMS", "content_of", "refusal_of"]

Content = Literal[
    "program",
    "old program",
    "compiled",
    "torchscript",
    "state",
    "pickle",
    "safetensors",
    "onnx",
    "cut",
    "empty",
    "unknown",
]

_ZIP = b"PK\x03\x04"
FORMS = (
    "MODEL must be a program saved with torch.export.save (net.pt2), the code that builds the net as "
    "package.module:factory or file.py:factory, or a local Hugging Face folder"
)
"""The three forms, in a sentence that an advice may follow."""


def content_of(path: Path) -> Content:
    """Tell what a file is, whatever its name says; nothing of it is run.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(16)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                first = min((entry.header_offset for entry in archive.infolist()), default=0)
                if first and start.startswith(_ZIP):  # the whole archives inside a cut one can be all that is found
                    return "cut"
                return _zipped(archive.namelist())
    except zipfile.BadZipFile:
        return "cut"
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; check the file") from error
    if not start:
        return "empty"
    if start.startswith(_ZIP):
        return "cut"
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    if size > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size:
        return "safetensors"
    return "onnx" if path.suffix == ".onnx" else "unknown"


def _zipped(names: Collection[str]) -> Content:
    inside = {name.partition("/")[2] for name in names}
    if any(name.startswith(("data/aotinductor/", "aotinductor/")) for name in inside | set(names)):
        return "compiled"
    if "archive_format" in inside or any(name.startswith("models/") for name in inside):
        return "program"
    if "serialized_exported_program.json" in names:
        return "old program"
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        return "torchscript"
    return "state" if "data.pkl" in inside else "unknown"


def refusal_of(path: Path, content: Content) -> DataError:
    """Return the error for a file that is no exported program: what it is, and what to do with it."""
    weights = (
        f"give the code that builds the net as package.module:factory and this file as --weights {path}"
        if path.suffix in ENDINGS
        else "save net.state_dict() as .safetensors or .pt, give the code that builds the net as "
        "package.module:factory and that file as --weights"
    )
    told = {
        "old program": "is a program that torch 2.7 or an older one exported, in a format that holds pickles, which "
        f"would run code; export it again with torch.export.save of {_torch()}",
        "compiled": "holds code that AOTInductor compiled: it would run as it is, and passes need the graph; save the "
        "program itself with torch.export.save",
        "torchscript": "is a TorchScript archive, which holds code; save the net with torch.export.save, or give the "
        "code that loads it as package.module:factory",
        "state": f"is a file of torch.save: as a net, its pickle would run code; {weights}",
        "pickle": f"is a pickle, which would run code; {weights}",
        "safetensors": f"holds weights without the net; {weights}",
        "onnx": "is an ONNX graph, whose dropout is gone; save the net with torch.export.save",
        "cut": "is no whole archive: it was cut short; copy it again, or export the net again",
        "empty": f"is empty; {FORMS}",
    }
    return DataError(f"{path} {told.get(content, f'is no file that holds a net; {FORMS}')}")


def _torch() -> str:
    import torch

    return f"torch {torch.__version__.partition('+')[0]}"
