"""Running the command line: exit codes, errors in one line, Ctrl-C."""

import signal
import sys
import time
from types import FrameType
from typing import NoReturn

import typer

from mcdrop.cli.app import app
from mcdrop.cli.interrupts import advise, last_words
from mcdrop.errors import McdropError

__all__ = ["main"]

# The click that the installed typer uses, its own copy or the package, has one base for all usage errors.
_UsageError: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

_INTERRUPTED = 130

_CLEARING = 2.0
"""Seconds after a Ctrl-C in which another one is not heard."""


def main() -> None:
    """Run the command line.

    Exit code 0: done. 2: an argument, a file or a folder is not what is needed, or training failed; one line on
    standard error says which. 130: interrupted by Ctrl-C; one line says so too, and what the command has to say of it
    (`mcdrop.cli.interrupts.advise`). The first seconds are not ours: while Python still imports torch, before this
    function is called, Ctrl-C ends the process by the signal, with a traceback, and nothing has been done by then.
    """
    stopped: list[float] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped and time.monotonic() - stopped[-1] < _CLEARING:
            return  # a second Ctrl-C would break off the clearing away
        stopped.append(time.monotonic())  # an import in progress may turn the exception into another one
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
    advise("")
    try:
        code = app(standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        if stopped or isinstance(error, KeyboardInterrupt):
            _fail(last_words(), _INTERRUPTED)
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(getattr(error, "message"), nl=False)  # noqa: B009  # empty where typer printed it in color
            sys.exit(2)
        if isinstance(error, _UsageError):
            _fail(f"{getattr(error, 'format_message')().rstrip('.')}; see mcdrop --help", 2)  # noqa: B009
        if isinstance(error, typer.Abort):
            _fail("aborted", 2)
        if isinstance(error, McdropError):
            _fail(str(error), 2)
        raise
    if stopped or code == _INTERRUPTED:  # typer makes an interruption that no signal announced into this code
        _fail(last_words(), _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"mcdrop: error: {' '.join(message.split())}", err=True)
    sys.exit(code)
