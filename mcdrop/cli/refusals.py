"""What to do where a net refuses its inputs: which option gives it others."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mcdrop.cli.arrays import TABLES
from mcdrop.errors import NetError

if TYPE_CHECKING:
    from mcdrop.sources import Source

__all__ = ["saying_how_to_change"]

_TYPES = re.compile(r"\b(d|data)?types?\b|not implemented for '|as indices", re.IGNORECASE)
"""What torch says of numbers of a type that it does not take there, and of no shape."""


@contextmanager
def saying_how_to_change(source: "Source", change: Callable[[Any], Any] | None) -> Iterator[None]:
    """Say what the net was given, and which option changes that, where it refuses its inputs.

    Args:
        source: The inputs.
        change: What is done to them before the net sees them, if anything is.

    Raises:
        NetError: As the net's own, with the advice.
    """
    try:
        yield
    except NetError as error:
        advice = _advice(source, change, _reason(error)) if str(error).startswith("the net refused inputs") else ""
        if not advice:
            raise
        raise NetError(f"{error}; {advice}") from error


def _reason(error: BaseException) -> BaseException | None:
    """Return what the net itself raised, if it is known: another process keeps it to itself."""
    reason: BaseException | None = error
    while isinstance(reason, NetError):
        reason = reason.__cause__
    return reason


def _advice(source: "Source", change: Callable[[Any], Any] | None, reason: BaseException | None) -> str:
    """Return what to do about a refusal; nothing where the inputs are as the user's own code made them."""
    from mcdrop.bulk import DividedBy
    from mcdrop.sources.layout import first_few

    # A TypeError is of Python's types: an argument that is no tensor, or that the net does not have
    if not isinstance(reason, TypeError) and _TYPES.search(str(reason)):
        if change is not None:
            return ""
        if any(row.dtype.kind in "biu" for row in source.arrays.values()):
            return "--divide-by 255 makes bytes decimal; --transform changes anything else"
        return "--transform changes them, such as decimals to whole numbers"
    if reason is None or not isinstance(change, DividedBy | None):
        return ""
    file, is_table = source.path.name, source.path.name.lower().endswith(TABLES)
    if source.by_name:
        names = source.about["options"].get("columns") or list(source.arrays)
        one = "" if is_table else f", or name one: {file}::{names[0]}"
        return f"the net was given {first_few(names)} as keyword inputs; choose with --columns{one}"
    if is_table:
        columns = first_few(source.about["options"]["columns"])
        return f"the net was given the columns {columns}; choose with --columns"
    return ""
