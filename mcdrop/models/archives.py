"""Archives of exported programs: their records read as bytes, and a new archive of those that are known to be data.

An archive is a zip file: a program as JSON, tensors as plain bytes beside JSON lists of them, and, at the will of who
made it, pickles, objects, older formats and compiled code. The new archive holds the first two alone.

References:
    The PyTorch developers (2025). PT2 archive specification. https://docs.pytorch.org/docs/stable/export/pt2_archive.html
"""

import io
import json
import math
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_unflatten, treespec_loads

from mcdrop.models.graphs import check_path, plain_tree
from mcdrop.models.refusal import Refused

__all__ = ["PROGRAM", "VERSION", "check_records", "read_records", "rebuilt"]

VERSION = "0"
"""The version of the format that is read."""

PROGRAM = "models/model.json"
"""The record of the program."""

_LISTS = {
    "data/weights/": ("data/weights/model_weights_config.json", re.compile(r"weight_\d+")),
    "data/constants/": ("data/constants/model_constants_config.json", re.compile(r"tensor_\d+")),
}
_OBJECTS = ("custom_obj_", "opaque_obj_")


def read_records(path: Path) -> dict[str, bytes]:
    """Return the records of an archive by name, without the folder that they are all in.

    Raises:
        Refused: If two records have one name, or one is packed: torch packs none.
        zipfile.BadZipFile: If the file is damaged.
    """
    records: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            _, _, name = entry.filename.partition("/")
            if name in records:
                raise Refused(f"it holds two records named {name[:60]!r}")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise Refused(f"its record {name[:60]!r} is packed, which torch.export.save never does")
            records[name] = archive.read(entry)
    return records


def check_records(records: dict[str, bytes]) -> None:
    """Refuse an archive that is of an older format, or holds no program.

    Raises:
        Refused: Saying which of these.
    """
    if "data/weights/model.pt" in records or "data/constants/model.pt" in records:
        raise Refused("it is of an older format, which holds pickles (export the net again)")
    if PROGRAM not in records:
        named = [name[len("models/") : -len(".json")] for name in records if re.fullmatch(r"models/[^/]+\.json", name)]
        found = f"programs named {', '.join(named)}" if named else "no program"
        raise Refused(f"it holds {found} where one named 'model' belongs (save it with torch.export.save)")


def rebuilt(records: dict[str, bytes], program: dict[str, Any]) -> io.BytesIO:
    """Return a new archive of a checked program and its tensors; all else is left out or made anew.

    Args:
        records: Those of the archive; tensors are taken out, since to hold them twice takes much memory.
        program: What `graphs.checked_program` made of the program in it.

    Raises:
        Refused: If a tensor is a pickle or an object, or has no values.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, data in _kept(records, program):
            archive.writestr(zipfile.ZipInfo(f"package/{name}"), data)
    made.seek(0)
    return made


def _kept(records: dict[str, bytes], program: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    if records.get("byteorder", sys.byteorder.encode()) != sys.byteorder.encode():
        raise Refused(f"it was written by a machine of another byte order than {sys.byteorder}-endian")
    yield "archive_format", b"pt2"
    yield "archive_version", VERSION.encode()
    yield ".data/version", b"6\n"  # of the zip layer; torch asks for one
    yield PROGRAM, json.dumps(program).encode()
    yield "data/sample_inputs/model.pt", _samples(program)
    for folder, (listed, pattern) in _LISTS.items():
        config = _checked_list(json.loads(records[listed]), pattern)
        yield listed, json.dumps({"config": config}).encode()
        _check_values(records, folder, config)
        for name in sorted({str(held["path_name"]) for held in config.values()}):
            yield folder + name, records.pop(folder + name)


def _samples(program: dict[str, Any]) -> bytes:
    """Return inputs that have a program's structure alone; without any, it would not check its guards."""
    spec = treespec_loads(program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"])
    made = io.BytesIO()
    torch.save(tree_unflatten([torch.zeros(())] * spec.num_leaves, spec), made)
    return made.getvalue()


def _checked_list(config: Any, pattern: re.Pattern[str]) -> dict[str, dict[str, Any]]:
    """Return a list of tensors as plain data, and refuse what would be unpickled."""
    checked: dict[str, dict[str, Any]] = {}
    for name, held in config["config"].items():
        place = held["path_name"]
        if held["use_pickle"] is not False or str(place).startswith(_OBJECTS) or held["tensor_meta"] is None:
            raise Refused(f"its record {str(place)[:60]!r} is a pickle, and to read it would run code")
        if not isinstance(place, str) or not pattern.fullmatch(place):
            raise Refused(f"it keeps a tensor in {str(place)[:60]!r}, which is no place of one")
        checked[check_path(name)] = plain_tree(held)
    return checked


def _check_values(records: dict[str, bytes], folder: str, config: dict[str, dict[str, Any]]) -> None:
    """Refuse tensors that were saved without values, which torch would read as zeros."""
    for name, held in config.items():
        numbers = math.prod(size["as_int"] for size in held["tensor_meta"]["sizes"])
        if numbers and not records[folder + held["path_name"]]:
            raise Refused(f"its tensor {name} has no values (export the net with its weights)")
