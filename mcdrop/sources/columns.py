"""Columns of a table, chosen by name."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from mcdrop.errors import DataError, InputError
from mcdrop.sources.layout import first_few

__all__ = ["check_columns", "choose_columns"]


def check_columns(columns: Sequence[str] | None) -> list[str] | None:
    """Return the names of columns as a list.

    Raises:
        InputError: If they are no names, none, or one of them comes twice.
    """
    if columns is None:
        return None
    if isinstance(columns, str) or not isinstance(columns, Sequence) or not all(isinstance(c, str) for c in columns):
        raise InputError(f"columns must be a list of names, got {columns!r}; for example ['a', 'b']")
    if not columns:
        raise InputError("columns must name at least one column, got none; leave them out to take all")
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if twice:
        raise InputError(f"columns must name each column once, got {first_few(twice)} again; leave out the second")
    return list(columns)


def choose_columns(names: Sequence[str], wanted: Sequence[str] | None, *, place: Path) -> list[str]:
    """Return the columns to read, in the order they are wanted in.

    Args:
        names: The columns of the file.
        wanted: Those to read, or None for all.
        place: The file, for messages.

    Raises:
        InputError: If a column is not there.
        DataError: If a column to read has no name, or a name that another one has, too.
    """
    for name in names if wanted is None else wanted:
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{place}: expected a column {name!r}, got {first_few(names, most=20)}{hint}")
        if not name:
            raise DataError(
                f"{place}: expected a name for each column, got an empty one, which is often a written index; choose "
                "columns, or write the table without its index"
            )
        if names.count(name) > 1:
            raise DataError(f"{place}: expected one column {name!r}, got {names.count(name)}; rename them")
    return list(names if wanted is None else wanted)
