"""Warnings that point at the line of the user's that led to them."""

import sys
import warnings

__all__ = ["alert"]


def alert(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn, blaming the first line up the stack that is neither mcdrop's nor torch's.

    Args:
        message: What was expected, what came and what to do; or a warning that says it.
        category: The kind of warning, of a text.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("mcdrop", "torch"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
