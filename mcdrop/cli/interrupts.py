"""What a command says after Ctrl-C: what is kept, and how to go on."""

from contextvars import ContextVar

__all__ = ["advise", "last_words"]

_ADVICE: ContextVar[str] = ContextVar("advice", default="")


def advise(sentence: str) -> None:
    """Say what a user should know if the command that now runs is interrupted.

    A command calls it first of all; without it, `mcdrop` just says that it was interrupted.

    Args:
        sentence: What is kept, and how to go on; empty for nothing.
    """
    _ADVICE.set(sentence)


def last_words() -> str:
    """Return the line for a command that was interrupted.

    Example:
        >>> advise("run it again with --resume")
        >>> last_words()
        'interrupted; run it again with --resume'
        >>> advise("")
        >>> last_words()
        'interrupted'
    """
    return "; ".join(part for part in ("interrupted", _ADVICE.get()) if part)
