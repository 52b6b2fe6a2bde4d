"""A trained net that was opened by name, and what identifies it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from mcdrop.sealed import checksum

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["Kind", "Model", "fingerprint", "is_program", "program_of", "tensors_of_program"]

Kind = Literal["export", "factory", "hugging_face"]
"""The forms in which a trained net can be named."""

_KINDS = {"export": "exported program", "factory": "net of a factory", "hugging_face": "Hugging Face net"}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Model:
    """A trained net, ready for `MCDropout`.

    Attributes:
        net: The module, in eval mode, or the exported program.
        kind: In which form it was named.
        task: What the file itself says that the net predicts; None where it does not say.
        rows: The only number of rows that the net takes; None if it takes any.
        about: Plain data that identifies the net: its kind, its name, "sha256" over all of its tensors, and "code",
            the SHA-256 of a text of what it computes (an export's graph; the printed modules of others).
    """

    net: "nn.Module | ExportedProgram"
    kind: Kind
    task: Literal["regression", "classification"] | None
    rows: int | None
    about: dict[str, Any]

    def describe(self) -> str:
        """Return one line about the net: its name, form, size and what it takes."""
        net: Any = self.net
        held = net.state_dict.values() if is_program(net) else net.parameters()
        numbers = sum(tensor.numel() for tensor in held if isinstance(tensor, nn.Parameter))
        told = f", for {self.task}" if self.task else ""
        fixed = f", {self.rows} rows at a time" if self.rows is not None else ""
        return f"{self.about['name']}: {_KINDS[self.kind]} with {numbers:,} parameters{told}{fixed}"


def fingerprint(kind: Kind, name: str, tensors: Mapping[str, Tensor], code: str) -> dict[str, Any]:
    """Return what identifies a net: the same for the same name, numbers and code, wherever it runs.

    Args:
        kind: In which form it was named.
        name: What the user named.
        tensors: Its parameters, buffers and constants by name.
        code: A text that says what the net computes; addresses in memory are left out of it.
    """
    text = _ADDRESS.sub("", code)
    return {
        "kind": kind,
        "name": name,
        "sha256": checksum({}, tensors),
        "code": hashlib.sha256(text.encode()).hexdigest(),
    }


def is_program(net: Any) -> bool:
    """Tell a program of `torch.export`, without importing that."""
    return type(net).__name__ == "ExportedProgram" and hasattr(net, "module")


def tensors_of_program(program: "ExportedProgram") -> dict[str, Tensor]:
    """Return all tensors that a program holds, by name."""
    held = {**program.constants, **program.state_dict}
    return {name: value for name, value in held.items() if isinstance(value, Tensor)}


def program_of(program: "ExportedProgram", device: str) -> "ExportedProgram":
    """Return a program on a device; one that is there already is left as it is."""
    if device == "cpu" and all(tensor.device.type == "cpu" for tensor in tensors_of_program(program).values()):
        return program
    from torch.export.passes import move_to_device_pass

    return move_to_device_pass(program, device)
