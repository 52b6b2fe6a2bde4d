"""Rows that have not converged: warned of once for a whole run, not once for each of its blocks."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mcdrop.errors import UnsettledRowsWarning

__all__ = ["gathered"]


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
