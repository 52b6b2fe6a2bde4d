"""Programs of `torch.export`, read so that no code of the file ever runs.

torch's own reader unpickles without restraint whatever an archive marks as a pickle, objects of classes, files of older
formats and the sample inputs that every archive holds; and it makes code of the program's text (`graphs` says where).
So nothing of a file reaches it as it is: the records are read and checked here, and torch gets a new archive, made of
the checked text and of tensors as plain bytes.
"""

import io
import json
import logging
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mcdrop.errors import DataError, DependencyError
from mcdrop.models.archives import PROGRAM, VERSION, check_records, read_records, rebuilt
from mcdrop.models.graphs import checked_program, fixed_rows, missing_operators, row_bounds
from mcdrop.models.model import Model, fingerprint
from mcdrop.models.named_inputs import with_named_inputs
from mcdrop.models.refusal import Refused
from mcdrop.programs import moved_program

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["open_export"]

_DAMAGED = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    NotImplementedError,
)
_NORMS = re.compile(r"torch\.ops\.aten\.(_native_batch_norm_legit(_functional)?|_batch_norm_with_update\w*)\.\w+")
_VERSION = re.compile(r"\d[\w.+-]*", re.ASCII)


def open_export(path: Path, *, device: str) -> Model:
    """Read a program of `torch.export`.

    Args:
        path: The archive.
        device: Where the program is to run; the one on which it was exported does not count.

    Returns:
        The program, with the SHA-256 of its tensors and of its checked text. If it has several inputs, it takes them
        by name.

    Raises:
        DataError: If the archive is damaged, of another format or version, or holds more than a program of torch's own
            operators and its tensors.
        DependencyError: If this torch cannot read such archives.
    """
    try:
        records = read_records(path)
        check_records(records)
        text = json.loads(records[PROGRAM])
        _check_versions(path, records, text)
        program = with_named_inputs(checked_program(text))
        _check_norms(program)
        rows, (least, most) = fixed_rows(program), row_bounds(program)
        archive = rebuilt(records, program)
    except Refused as refusal:
        raise DataError(
            f"{path} was refused, since {refusal}; export a net in eval mode, made of torch's own operators, or name "
            "the code that builds it as package.module:factory"
        ) from refusal
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(
            f"{path} must be a whole archive of torch.export, got one that cannot be read ({_in_one_line(error)}); "
            "export the net again"
        ) from error
    loaded = moved_program(_loaded(path, archive, program), device)
    del archive, records  # as large as the net
    code = json.dumps(program, sort_keys=True)
    about = {"kind": "export", "name": str(path)} | fingerprint(loaded, code)
    return Model(loaded, "export", None, rows, about, least, most)


def _check_versions(path: Path, records: dict[str, bytes], program: Any) -> None:
    """Refuse an archive that another torch wrote in another format, by its versions."""
    version = records.get("archive_version", b"none").decode(errors="replace").strip()
    if version != VERSION:
        raise _unreadable(path, program, f"its archive has version {version[:20]}, where {VERSION} can be read")
    here, there = _schema_here(), program["schema_version"]
    if there["major"] != here[0]:
        raise _unreadable(
            path, program, f"its program has schema {there['major']}.{there['minor']}, where {here[0]} can be read"
        )
    missing = missing_operators(program)
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise _unreadable(path, program, f"it calls operators that this torch lacks ({named})")


def _schema_here() -> tuple[int, int]:
    try:
        from torch._export.serde.schema import SCHEMA_VERSION
    except ImportError as error:  # a torch that is not yet known
        raise _no_reader() from error
    major, minor = SCHEMA_VERSION[:2]
    return int(major), int(minor)


def _no_reader() -> DependencyError:
    return DependencyError(
        f"exported programs need a torch that reads PT2 archives (2.9 or later), got {torch.__version__}; "
        "pip install -U torch, or name the net's code as package.module:factory"
    )


def _loaded(path: Path, archive: io.BytesIO, program: dict[str, Any]) -> "ExportedProgram":
    try:
        from torch.export.pt2_archive._package import load_pt2
    except ImportError as error:
        raise _no_reader() from error
    talk = logging.getLogger("torch._export.serde.serialize")
    level = talk.level
    talk.setLevel(logging.CRITICAL)  # what torch says of a program that it cannot read, the error below says
    try:
        found: ExportedProgram = load_pt2(archive).exported_programs["model"]
    except Exception as error:  # torch's reader fails in many ways
        raise _unreadable(path, program, f"it cannot be read ({_in_one_line(error)})") from error
    finally:
        talk.setLevel(level)
    return found


def _unreadable(path: Path, program: Any, reason: str) -> DataError:
    """Return the error of a program that may be of another torch: which one wrote it, and which one is here."""
    told = str(program.get("torch_version") or "")
    wrote = told if _VERSION.fullmatch(told) else "of unknown version"
    here = torch.__version__
    advice = f", or install torch {wrote.partition('+')[0]}" if wrote == told and told != here else ""
    return DataError(
        f"{path} was exported by torch {wrote} and this is torch {here}: {reason}; export it again with torch "
        f"{here.partition('+')[0]}{advice}"
    )


def _check_norms(program: dict[str, Any]) -> None:
    """Refuse batch norms that take mean and variance from the batch: a row's prediction would depend on the others."""
    for node in program["graph_module"]["graph"]["nodes"]:
        training = [held["arg"].get("as_bool") for held in node["inputs"] if held["name"] == "training"]
        if _NORMS.fullmatch(node["target"]) and training != [False]:
            raise Refused(f"it was exported in train mode: {node['target']} takes its statistics from the batch")


def _in_one_line(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:200] if words else type(error).__name__
