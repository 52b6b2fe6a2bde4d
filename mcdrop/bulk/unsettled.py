"""Rows that have not converged: warned of once for a whole run, not once for each of its blocks."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mcdrop.alerts import alert
from mcdrop.errors import UnsettledRowsWarning

__all__ = ["gathered", "warn_of_all"]


@contextmanager
def gathered() -> Iterator[list[UnsettledRowsWarning]]:
    """Keep warnings of rows that have not converged from the user while the block runs; others go on.

    Yields:
        These warnings, as they come.
    """
    found: list[UnsettledRowsWarning] = []

    def take(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if isinstance(message, UnsettledRowsWarning):
            found.append(message)
        else:
            show(message, category, *place, **more)

    with warnings.catch_warnings():
        show = warnings.showwarning
        warnings.simplefilter("always", UnsettledRowsWarning)
        warnings.showwarning = take
        yield found


def warn_of_all(found: Sequence[UnsettledRowsWarning], total: int) -> int:
    """Give one warning for several.

    Args:
        found: What each block was warned of.
        total: How many rows they were predicted among.

    Returns:
        How many rows have not converged.
    """
    count = sum(each.rows for each in found)
    if count:
        passes, excess = max(each.passes for each in found), max(each.excess for each in found)
        alert(UnsettledRowsWarning(count, total, passes, excess))
    return count
