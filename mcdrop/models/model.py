"""A trained net that was opened by name, and what identifies it."""

import hashlib
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from mcdrop.programs import is_program, state_of
from mcdrop.sealed import checksum

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["Kind", "Model", "fingerprint"]

Kind = Literal["export", "factory", "hugging_face"]
"""The forms in which a trained net can be named."""

_KINDS = {"export": "exported program", "factory": "net of a factory", "hugging_face": "Hugging Face net"}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_KNOWN = {"torch", "mcdrop", "builtins", "typing", "abc"}  # packages whose versions tell of their code


@dataclass(frozen=True, slots=True)
class Model:
    """A trained net, ready for `MCDropout`.

    Attributes:
        net: The module, in eval mode, or the exported program.
        kind: In which form it was named.
        task: What the file itself says that the net predicts; None where it does not say.
        rows: The only number of rows that the net takes; None if it takes any.
        about: Plain data that identifies the net: its kind, its name, "sha256" over all of its tensors, and "code",
            the SHA-256 of a text of what it computes (an export's graph; the printed modules of others, and the source
            of their classes).
        least_rows: The fewest rows that the net takes at once.
        most_rows: The most rows that the net takes at once; None if there is no bound.
    """

    net: "nn.Module | ExportedProgram"
    kind: Kind
    task: Literal["regression", "classification"] | None
    rows: int | None
    about: dict[str, Any]
    least_rows: int = 0
    most_rows: int | None = None

    def describe(self) -> str:
        """Return one line about the net: its name, form, size and what it takes."""
        net: Any = self.net
        held = net.state_dict.values() if is_program(net) else net.parameters()
        numbers = sum(tensor.numel() for tensor in held if isinstance(tensor, nn.Parameter))
        told = f", for {self.task}" if self.task else ""
        fixed = f", {self.rows} rows at a time" if self.rows is not None else ""
        fixed += f", at least {self.least_rows} rows at a time" if self.least_rows else ""
        fixed += f", at most {self.most_rows} rows at a time" if self.most_rows is not None else ""
        return f"{self.about['name']}: {_KINDS[self.kind]} with {numbers:,} parameters{told}{fixed}"


def fingerprint(net: Any, code: str | None = None) -> dict[str, str]:
    """Return what identifies a net: the same for the same numbers and code, wherever it runs.

    Of a module's code, that of its classes counts, and of the classes that they inherit from; functions that these
    call do not. Classes of torch and mcdrop are known by their versions; where no source can be had, none counts.

    Args:
        net: The module or exported program.
        code: A text that says what the net computes. Default: the graph of a program, a module as it prints itself.

    Returns:
        "sha256", over all of its tensors, and "code", the SHA-256 of the text without addresses in memory, and of the
        source of a module's classes.
    """
    text = code if code is not None else str(net.graph) if is_program(net) else repr(net)
    if isinstance(net, nn.Module):
        text = "\n".join([text, *_sources(net)])
    digest = hashlib.sha256(_ADDRESS.sub("", text).encode())
    return {"sha256": checksum({}, state_of(net)), "code": digest.hexdigest()}


def _sources(net: nn.Module) -> list[str]:
    """Return the source of every class that a net is made of and that is neither torch's nor mcdrop's."""
    kinds = {kind for module in net.modules() for kind in type(module).__mro__}
    sources = set()
    for kind in kinds:
        if kind.__module__.partition(".")[0] not in _KNOWN:
            try:
                sources.add(f"{kind.__qualname__}\n{inspect.getsource(kind)}")
            except (OSError, TypeError):  # typed in, or made by code
                continue
    return sorted(sources)
